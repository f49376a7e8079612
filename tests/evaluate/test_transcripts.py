from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avse.errors import InputError, MissingExtraError, MissingWeightsError
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


def test_faster_whisper_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: Any, **more: Any) -> None:
        raise OSError("cannot reach the hub")

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=offline))
    with pytest.raises(MissingWeightsError) as caught:
        open_transcriber("faster-whisper:base.en")
    assert "'base.en'" in caught.value.message
    assert "go online once" in caught.value.hint


def test_faster_whisper_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Model:
        def __init__(self, size: str, **more: Any) -> None:
            self.size = size

        def transcribe(self, path: str, **more: Any) -> tuple[list[SimpleNamespace], None]:
            return [SimpleNamespace(text=self.size), SimpleNamespace(text="blue")], None

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=Model))
    assert open_transcriber("faster-whisper:tiny")(tmp_path) == "tiny blue"


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
