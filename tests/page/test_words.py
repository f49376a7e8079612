"""Words of a page, heard by recognisers that are made up and by a real command."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from avse.errors import InputError, MissingExtraError
from avse.page.store import CHUNK_S, StemStore, VoiceChunk
from avse.page.words import PIECE, Recogniser, Words, open_recogniser
from avse.transcription.subtitles import Cue
from avse.transcription.transcribers import Transcript

from .conftest import eventually

pytest.importorskip("pysubs2", reason="pysubs2 (the extra dev) is not installed")

RATE = 8000
SAMPLES = CHUNK_S * RATE


class Ear:
    """Hears how long each sound is, and when."""

    timed = True

    def __init__(self) -> None:
        self.heard: list[float] = []
        self.fail: str | None = None

    def hear(self, path: Path, stopped: Callable[[], bool] = lambda: False) -> Transcript:
        if self.fail:
            raise InputError(self.fail, "try another")
        length = soundfile.info(path).duration
        self.heard.append(length)
        text = f"{len(self.heard)}: {length:.1f} s"
        return Transcript(text, (Cue(0.2, 1.0, text), Cue(1.2, length + 5, "and on")))


class Made:
    """Stands in for the analysis: voices of people 1 and 2, where a test says so."""

    def __init__(self, folder: Path, chunks: int) -> None:
        folder.mkdir()
        self.recording: Any = SimpleNamespace(
            chunks=chunks,
            audio=SimpleNamespace(sample_rate=RATE, channels=1),
            first_sample=lambda chunk: min(chunk, chunks) * SAMPLES,
        )
        self.people = [SimpleNamespace(number=n, numbers=(n,)) for n in (1, 2)]
        self.playhead, self.epoch, self.draft = 0, 0, False
        self.store = StemStore(folder)
        self.made: dict[int, int] = {}

    def draft_is_due(self) -> bool:
        return self.draft

    def made_for(self, chunk: int) -> int | None:
        there = self.made.get(chunk) == self.epoch and chunk in self.store
        return self.epoch if there else None

    def final(self, chunk: int) -> bool:
        return self.made.get(chunk) == self.epoch

    def put(self, chunk: int, second: float = 0.0) -> None:
        """Voices of a chunk: the first speaks but for the last second of each chunk, loudly."""
        rng = np.random.default_rng(chunk)
        voices = 0.2 * rng.standard_normal((3, 1, SAMPLES)).astype(np.float32)
        voices[0, :, -RATE:] = 0
        voices[1] *= second
        voices[2] = 0
        self.store.put(chunk, VoiceChunk((1, 2), voices, np.ones((2, 100), np.float32)), 0)
        self.made[chunk] = self.epoch


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "stems", 3 * PIECE)


class Listening:
    """Words, and what they tell."""

    def __init__(self, made: Made, folder: Path, transcriber: Any) -> None:
        folder.mkdir()
        self.told: list[tuple[str, dict[str, Any]]] = []
        recogniser = Recogniser("ear", transcriber)
        self.words = Words(
            made,  # type: ignore[arg-type]
            recogniser,
            folder,
            lambda name, about: self.told.append((name, about)),
        )
        self.made, self.folder = made, folder

    def of(self, *numbers: int) -> list[Cue]:
        return self.words.of(SimpleNamespace(numbers=numbers))  # type: ignore[arg-type]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [about for one, about in self.told if one == name]


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def listening(made: Made, tmp_path: Path, ear: Ear) -> Iterator[Listening]:
    on = Listening(made, tmp_path / "words", ear)
    yield on
    on.words.close()


def test_pieces_end_in_pauses_and_the_playhead_comes_first(
    made: Made, listening: Listening, ear: Ear
) -> None:
    for chunk in range(PIECE, made.recording.chunks):
        made.put(chunk)
    made.playhead = 2 * PIECE + 1
    listening.words.start()
    assert eventually(lambda: len(listening.of(1)) == 2, 30)
    first, follows = listening.of(1)
    begin = 2 * PIECE * CHUNK_S
    assert first.text.startswith("1: ")
    assert first.start == pytest.approx(begin + 0.2, abs=0.05)  # the pause before it is not heard
    assert follows.stop == pytest.approx(3 * PIECE * CHUNK_S - 1, abs=0.05)
    assert listening.of(2) == []  # who is silent is not asked about
    made.put(PIECE - 1)  # the end of the first piece, which the second needs
    assert eventually(lambda: len(listening.of(1)) == 4, 30)
    assert [c.start for c in listening.of(1)] == pytest.approx([32.2, 33.2, 64.2, 65.2], abs=0.05)
    told = listening.events("words")
    assert told == [{"person": 1, "version": 1}, {"person": 1, "version": 2}]


def test_merged_people_are_joined_and_corrections_heard_anew(
    made: Made, listening: Listening, ear: Ear
) -> None:
    for chunk in range(made.recording.chunks):
        made.put(chunk, second=0.5)
    listening.words.start()
    assert listening.words.wait(lambda: False, lambda share: None) == []
    assert len(ear.heard) == 6
    both = listening.of(1, 2)
    assert len(both) == 12
    assert both == sorted([*listening.of(1), *listening.of(2)], key=lambda cue: cue.start)
    made.people = [SimpleNamespace(number=1, numbers=(1, 2))]
    assert listening.words.wait(lambda: False, lambda share: None) == []
    assert len(ear.heard) == 6  # nothing is heard twice
    made.epoch += 1
    shares: list[float] = []
    assert not eventually(lambda: len(ear.heard) > 6, 0.8)
    for chunk in range(made.recording.chunks):
        made.put(chunk, second=0.5)
    assert listening.words.wait(lambda: False, shares.append) == []
    assert len(ear.heard) == 12
    assert all(int(cue.text.split(":")[0]) > 6 for cue in listening.of(1, 2) if ":" in cue.text)
    assert all(0 <= share <= 1 for share in shares)


def test_voices_that_were_dropped_are_told(made: Made, listening: Listening) -> None:
    for chunk in range(made.recording.chunks):
        made.put(chunk)
    del made.store._sizes[made.recording.chunks - 2]
    listening.words.start()
    assert listening.words.wait(lambda: False, lambda share: None) == [2.0 * PIECE * CHUNK_S]


def test_a_draft_comes_first(made: Made, listening: Listening, ear: Ear) -> None:
    made.draft = True
    for chunk in range(made.recording.chunks):
        made.put(chunk)
    listening.words.start()
    assert not eventually(lambda: ear.heard, 0.8)
    made.draft = False
    assert eventually(lambda: ear.heard, 30)


def test_a_recogniser_that_fails_says_so_once(made: Made, listening: Listening, ear: Ear) -> None:
    for chunk in range(made.recording.chunks):
        made.put(chunk)
    ear.fail = "no microphone"
    listening.words.start()
    assert eventually(lambda: listening.events("state"), 30)
    (problem,) = listening.events("problem")
    assert "no microphone" in problem["error"]
    assert "try another" in problem["hint"]
    assert listening.words.failed is not None
    assert listening.words.wait(lambda: False, lambda share: None) == []
    assert list(listening.folder.iterdir()) == []


def test_a_command_ends_with_the_page(made: Made, tmp_path: Path) -> None:
    program = "import sys, time; open(sys.argv[1] + '.on', 'w'); time.sleep(60)"
    recogniser = open_recogniser(shlex.join([sys.executable, "-c", program]), option="--this")
    assert recogniser.name == Path(sys.executable).name
    for chunk in range(made.recording.chunks):
        made.put(chunk)
    on = Listening(made, tmp_path / "words", recogniser.transcriber)
    on.words.start()
    assert eventually(lambda: list(on.folder.rglob("*.on")), 20)
    began = time.monotonic()
    on.words.close(10)
    assert time.monotonic() - began < 5
    assert not on.words._thread.is_alive()
    assert on.told == []
    assert list(on.folder.iterdir()) == []


def test_a_recogniser_that_is_not_there() -> None:
    with pytest.raises(MissingExtraError, match="'no-such-program'"):
        open_recogniser("no-such-program", option="--this")
