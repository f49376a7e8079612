from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avse.errors import CorruptWeightsError, InputError, MissingExtraError, MissingWeightsError
from avse.evaluate.evaluation import Request, judge_folders
from avse.evaluate.report import render
from avse.evaluate.scoring import Plan
from avse.evaluate.transcripts import normalise, open_transcriber, word_error_rate
from avse.scene import no_progress

from .conftest import Folders, words

# "Hears" the name of the file.
ECHO = shlex.join([sys.executable, "-c", "import sys; print(sys.argv[1].split('/')[-1])"])


@pytest.mark.parametrize(
    ("heard", "said", "rate"),
    [
        ("bin blue at F two now", "Bin blue, at f two now.", 0),
        ("bin at f two now", "bin blue at f two now", 1 / 6),
        ("bin blue blue at", "bin blue at", 1 / 3),
        ("", "bin blue", 1),
        ("a b c d", "x", 4),
        ("don’t", "don't", 0),
        ("ÉTÉ 12", "été 12", 0),
    ],
)
def test_word_error_rate(heard: str, said: str, rate: float) -> None:
    assert word_error_rate(heard, said).value == pytest.approx(rate)


def test_no_words_no_rate() -> None:
    assert word_error_rate("hello", "…").value is None
    assert normalise("One—two, three!") == ["one", "two", "three"]


def test_a_command_is_a_recogniser(tmp_path: Path) -> None:
    path = tmp_path / "two words.wav"
    path.touch()
    assert open_transcriber(ECHO)(path).strip() == "two words.wav"
    assert open_transcriber(ECHO + " {}")(path).strip() == "two words.wav"


def test_commands_that_fail(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="'no-such-program'"):
        open_transcriber("no-such-program")
    crash = shlex.join([sys.executable, "-c", "raise SystemExit('no microphone')"])
    with pytest.raises(InputError, match="no microphone"):
        open_transcriber(crash)(tmp_path / "a.wav")
    with pytest.raises(InputError, match="empty"):
        open_transcriber(" ")


def test_faster_whisper_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match="faster-whisper is not installed"):
        open_transcriber("faster-whisper")


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
        return [SimpleNamespace(text=self.name), SimpleNamespace(text="blue")], None


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    package = SimpleNamespace(WhisperModel=Model, available_models=lambda: ["tiny", "base.en"])
    monkeypatch.setitem(sys.modules, "faster_whisper", package)


def test_faster_whisper_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch)
    hear = open_transcriber("faster-whisper:tiny")
    (tmp_path / "a.wav").touch()
    assert hear(tmp_path / "a.wav") == "tiny blue"
    with pytest.raises(InputError, match=r"failed on b\.wav: no sound"):
        hear(tmp_path / "b.wav")


@pytest.mark.parametrize("real", [False, True])
def test_faster_whisper_without_its_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real: bool
) -> None:
    if real:
        pytest.importorskip("faster_whisper")
    else:
        stand_in(monkeypatch)
    with pytest.raises(MissingWeightsError, match="not on this machine") as caught:
        open_transcriber("faster-whisper:nobody/has-this")
    assert "download_model('nobody/has-this')" in caught.value.hint
    with pytest.raises(MissingWeightsError, match="no model 'huge'") as caught:
        open_transcriber("faster-whisper:huge")
    assert "base.en" in caught.value.hint
    with pytest.raises(CorruptWeightsError, match=r"no tokenizer\.json"):
        open_transcriber(f"faster-whisper:{tmp_path}")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CorruptWeightsError, match="cannot be loaded"):
        open_transcriber(f"faster-whisper:{tmp_path}")


def test_word_errors_in_an_evaluation(folders: Folders) -> None:
    words(folders.references / "talk0.1.wav", "talk0 1 wav")
    words(folders.references / "talk0.2.wav", "something else")
    request = Request(Plan(("si-sdr",), ceilings=False), transcriber=ECHO)
    results = judge_folders(
        folders.estimates, folders.references, folders.mixtures, request, no_progress
    ).results
    found = results["transcripts"]
    assert (found["references_from_text"], found["references_from_recogniser"]) == (2, 4)
    assert found["items"]["talk0.1"] == 0
    assert found["items"]["talk0.2"] == 1.5
    assert found["items"]["talk1.1"] == 0
    assert found["mixture"]["mean"] > found["estimate"]["mean"]
    assert "Word error rate of the mixtures" in render(results)


def test_a_recogniser_that_fails_gives_no_rate(folders: Folders) -> None:
    line = "import sys; sys.exit('talk0.1' in sys.argv[1]); "
    command = shlex.join([sys.executable, "-c", line])
    request = Request(Plan(("si-sdr",), ceilings=False), transcriber=command)
    words(folders.references / "talk0.2.wav", "bin blue")
    found = judge_folders(
        folders.estimates, folders.references, folders.mixtures, request, no_progress
    ).results["transcripts"]
    assert found["items"]["talk0.1"] is None
    assert found["items"]["talk0.2"] == 1
    assert any("failed on talk0.1.wav" in reason for reason in found["estimate"]["reasons"])
