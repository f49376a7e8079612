from __future__ import annotations

import shlex
import sys

import pytest

from avse.evaluation.evaluation import Request, judge_folders
from avse.evaluation.report import render
from avse.evaluation.scoring import ScoringPlan
from avse.evaluation.word_errors import normalise, word_error_rate
from avse.scene.scene import no_progress

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


def test_word_errors_in_an_evaluation(folders: Folders) -> None:
    words(folders.references / "talk0.1.wav", "talk0 1 wav")
    words(folders.references / "talk0.2.wav", "something else")
    request = Request(ScoringPlan(("si-sdr",), ceilings=False), transcriber=ECHO)
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
    request = Request(ScoringPlan(("si-sdr",), ceilings=False), transcriber=command)
    words(folders.references / "talk0.2.wav", "bin blue")
    found = judge_folders(
        folders.estimates, folders.references, folders.mixtures, request, no_progress
    ).results["transcripts"]
    assert found["items"]["talk0.1"] is None
    assert found["items"]["talk0.2"] == 1
    assert any("failed on talk0.1.wav" in reason for reason in found["estimate"]["reasons"])


def test_times_that_a_recogniser_prints_are_no_words(folders: Folders) -> None:
    pytest.importorskip("pysubs2", reason="pysubs2 (the extra dev) is not installed")
    line = "print('1\\n00:00:00,000 --> 00:00:01,000\\nbin blue\\n')"
    words(folders.references / "talk0.2.wav", "bin blue")
    request = Request(
        ScoringPlan(("si-sdr",), ceilings=False),
        transcriber=shlex.join([sys.executable, "-c", line]),
    )
    found = judge_folders(
        folders.estimates, folders.references, folders.mixtures, request, no_progress
    ).results["transcripts"]
    assert found["items"]["talk0.2"] == 0
