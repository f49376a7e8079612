"""Recognisers: a real command, and faster-whisper where it is not there."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avse.errors import (
    CorruptWeightsError,
    InputError,
    MissingExtraError,
    MissingWeightsError,
    UsageError,
)
from avse.transcription.subtitles import Cue
from avse.transcription.transcribers import Transcriber, name_of, open_transcriber

# "Hears" the name of the file.
ECHO = shlex.join([sys.executable, "-c", "import sys; print(sys.argv[1].split('/')[-1])"])


def opened(name: str) -> Transcriber:
    return open_transcriber(name, option="--this")


def printing(text: str) -> Transcriber:
    """A command that hears the same in every file."""
    return opened(shlex.join([sys.executable, "-c", f"print({text!r})"]))


def test_a_command_that_prints_text_gives_no_times(tmp_path: Path) -> None:
    silent, plain = printing(""), printing("bin blue")
    assert (silent.timed, plain.timed) == (None, None)
    assert silent.hear(tmp_path).text.strip() == ""
    assert plain.hear(tmp_path).cues is None
    assert (silent.timed, plain.timed) == (None, False)


def test_a_command_that_prints_subtitles_gives_times(tmp_path: Path) -> None:
    pytest.importorskip("pysubs2", reason="pysubs2 (the extra dev) is not installed")
    command = printing("WEBVTT\n\n00:01.000 --> 00:02.500\nbin blue\n")
    heard = command.hear(tmp_path)
    assert (heard.text, heard.cues) == ("bin blue", (Cue(1.0, 2.5, "bin blue"),))
    assert command.timed


def test_a_command_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    forever = shlex.join([sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(InputError, match="timed out"):
        open_transcriber(forever, option="--this", patience_s=0.1).hear(tmp_path)


def test_a_command_is_stopped(tmp_path: Path) -> None:
    forever = shlex.join([sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(InputError, match="it was stopped"):
        opened(forever).hear(tmp_path, lambda: True)


def test_names() -> None:
    assert name_of("faster-whisper:small.en") == "faster-whisper:small.en"
    assert name_of("'/opt/my tools/hear' --plain {}") == "hear"


def test_a_command_is_a_recogniser(tmp_path: Path) -> None:
    path = tmp_path / "two words.wav"
    path.touch()
    assert opened(ECHO).hear(path).text.strip() == "two words.wav"
    assert opened(ECHO + " {}").hear(path).text.strip() == "two words.wav"


def test_commands_that_fail(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="'no-such-program'"):
        opened("no-such-program")
    crash = shlex.join([sys.executable, "-c", "raise SystemExit('no microphone')"])
    with pytest.raises(InputError, match="no microphone"):
        opened(crash).hear(tmp_path / "a.wav")
    with pytest.raises(UsageError, match="--this is empty"):
        opened(" ")
    with pytest.raises(UsageError, match="cannot be read"):
        opened("hear 'me")


def test_faster_whisper_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match="faster-whisper is not installed"):
        opened("faster-whisper")


class Model:
    """Stands in for faster-whisper's, whose weights are not in the repository."""

    def __init__(self, name: str, *, local_files_only: bool = False, **more: Any) -> None:
        assert local_files_only
        if name != "tiny":
            raise OSError("not in the cache")
        self.name = name

    def transcribe(self, path: str, **more: Any) -> tuple[list[SimpleNamespace], None]:
        if not Path(path).is_file():
            raise ValueError("no sound")
        found = [(0.0, 1.5, f" {self.name}"), (1.5, 2.0, " blue")]
        return [SimpleNamespace(start=a, end=b, text=text) for a, b, text in found], None


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    package = SimpleNamespace(WhisperModel=Model, available_models=lambda: ["tiny", "base.en"])
    monkeypatch.setitem(sys.modules, "faster_whisper", package)


def test_faster_whisper_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch)
    whisper = opened("faster-whisper:tiny")
    (tmp_path / "a.wav").touch()
    heard = whisper.hear(tmp_path / "a.wav")
    assert heard.text == "tiny blue"
    assert heard.cues == (Cue(0.0, 1.5, "tiny"), Cue(1.5, 2.0, "blue"))
    assert whisper.timed
    with pytest.raises(InputError, match=r"failed on b\.wav: no sound"):
        whisper.hear(tmp_path / "b.wav")


@pytest.mark.parametrize("real", [False, True])
def test_faster_whisper_without_its_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real: bool
) -> None:
    if real:
        pytest.importorskip("faster_whisper")
    else:
        stand_in(monkeypatch)
    with pytest.raises(MissingWeightsError, match="not on this machine") as caught:
        opened("faster-whisper:nobody/has-this")
    assert "download_model('nobody/has-this')" in caught.value.hint
    with pytest.raises(MissingWeightsError, match="no model 'huge'") as caught:
        opened("faster-whisper:huge")
    assert "base.en" in caught.value.hint
    with pytest.raises(CorruptWeightsError, match=r"no tokenizer\.json"):
        opened(f"faster-whisper:{tmp_path}")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CorruptWeightsError, match="cannot be loaded"):
        opened(f"faster-whisper:{tmp_path}")


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize(
    "name", ["$(touch caught).wav", "`touch caught`.wav", "a; touch caught.wav"]
)
def test_a_name_is_never_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_text("seven words")
    for command in ("cat {}", "cat", """sh -c "cat < \\"$1\\"" sh {}"""):  # the last as in the docs
        assert opened(command).hear(path).text == "seven words"
    assert [found.name for found in tmp_path.iterdir()] == [name]
