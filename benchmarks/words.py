"""Measure the word error rate of a recogniser before and after separation.

    avse mix GRID -o set
    python benchmarks/words.py set "python examples/hear.py --grammar examples/grid.gram"

The set has mixtures of two people of the GRID corpus, whose file names spell the sentence: bbaf2n
is "bin blue at f two now". The same recogniser transcribes the mixture, each stem of `avse
separate` (from the video, with the gate), and the clean voice, all as `--transcribe` does. Prints
word error rates in percent, with 95 % intervals by bootstrap over mixtures. The transcript of a
person whose face was not found is empty.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from avse.errors import NoFaceError
from avse.evaluation.running import places
from avse.evaluation.statistics import summarise
from avse.evaluation.testset import TestSet, open_test_set
from avse.evaluation.word_errors import word_error_rate
from avse.faces.detect import FaceBackend, open_backend
from avse.inference.networks import SeparationNetwork, open_network
from avse.metrics import Score
from avse.mixtures.items import Item
from avse.separation.separator import separate
from avse.settings import Settings
from avse.transcription.transcribers import Transcriber
from avse.transcription.voices import SpeakerAudio, open_for_subtitles, transcribe

GRID = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(
        zip(
            "z123456789",
            ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            strict=True,
        )
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
"""Words for the letters of a file name: verb, colour, preposition, letter, digit, adverb."""


def said(name: str) -> str:
    """The sentence of a GRID file."""
    return " ".join(words[letter] for words, letter in zip(GRID, name, strict=True))


def hear(path: Path, recogniser: Transcriber) -> str:
    return " ".join(cue.text for cue in transcribe(SpeakerAudio(path, 0, 0.0), recogniser))


def separated(
    test_set: TestSet,
    item: Item,
    network: SeparationNetwork,
    backend: FaceBackend,
    recogniser: Transcriber,
) -> list[str]:
    """Transcribe each person's stem, from left to right."""
    try:
        separation = separate(test_set.video(item), network=network, backend=backend)
    except NoFaceError:
        return [""] * len(item.sources)
    with tempfile.TemporaryDirectory() as folder:
        paths = {number: Path(folder, f"{number}.wav") for number in separation.numbers}
        separation.save(paths)
        people = separation.people
        return [
            "" if place is None else hear(paths[people[place].number], recogniser)
            for place in places(item, people)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("set", type=Path, help="a set that `avse mix` made of GRID")
    parser.add_argument("recogniser", help="see `avse separate --transcribe`")
    parser.add_argument("--model", default=Settings.model)
    parser.add_argument("--count", type=int, help="only the first mixtures")
    given = parser.parse_args()
    recogniser = open_for_subtitles(given.recogniser, option="the recogniser")
    test_set = open_test_set(given.set)
    network, backend = open_network(given.model), open_backend(Settings.faces)
    rates: dict[str, list[Score]] = {"mixture": [], "avse separate": [], "clean voice": []}
    groups: list[str] = []
    for item in test_set.manifest.items[: given.count]:
        mixture = hear(test_set.mixture(item), recogniser)
        voices = separated(test_set, item, network, backend, recogniser)
        clean = [hear(path, recogniser) for path in test_set.references(item)]
        for source, voice, reference in zip(item.sources, voices, clean, strict=True):
            truth = said(Path(source.path).stem)
            for name, heard in zip(rates, (mixture, voice, reference), strict=True):
                rates[name].append(word_error_rate(heard, truth))
            groups.append(item.id)
            print(f"{item.id}: {truth} | {mixture} | {voice} | {reference}", flush=True)
    print(f"{len(set(groups))} mixtures, {len(groups)} voices; word error rate, percent")
    for name, scores in rates.items():
        told = summarise(scores, groups)
        assert told.mean is not None
        spread = (
            ""
            if told.low is None or told.high is None
            else (f" ({100 * told.low:.0f} to {100 * told.high:.0f})")
        )
        print(f"{name:14}{100 * told.mean:5.0f}{spread}")


if __name__ == "__main__":
    main()
