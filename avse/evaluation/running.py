"""Make the estimates that are to be judged: by the whole pipeline, or by the network alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from avse.errors import AvseError, InputError, MissingError
from avse.evaluation.items import Mixture, ScoredVoice
from avse.evaluation.sounds import write_sound
from avse.evaluation.testset import NetworkItem, TestSet, network_item
from avse.faces.people import Person
from avse.inference.engine import Engine
from avse.inference.sound import ArraySound
from avse.media import resample
from avse.mixtures.items import Item
from avse.models.network import AVSENet
from avse.separation.separator import Separator
from avse.settings import Settings
from avse.types import FloatArray

NO_FACE = "no face was found in this person's part of the picture"


def run_pipeline(
    test_set: TestSet,
    separator: Separator,
    folder: Path,
    progress: Callable[[float], None] = lambda done: None,
) -> Iterator[Mixture]:
    """Video in, stems out, as `avse separate` does it.

    The stem of a person is that of the face in their part of the picture. Stems are cut to the
    length of the references: codecs add padding behind the end.

    Args:
        test_set: with videos.
        separator: what is judged.
        folder: where estimates are written.
        progress: called with the seconds of sound done.
    """

    def answer(item: Item) -> list[FloatArray | None]:
        return separate_video(separator, test_set.video(item), item)

    return _run(test_set, answer, folder, progress)


def run_network(
    test_set: TestSet,
    separator: Separator,
    folder: Path,
    progress: Callable[[float], None] = lambda done: None,
) -> Iterator[Mixture]:
    """The network alone: the sound as it was mixed, each person's lips found by themselves.

    Args:
        test_set: with videos.
        separator: what is judged.
        folder: where estimates are written.
        progress: called with the seconds of sound done.
    """

    def answer(item: Item) -> list[FloatArray | None]:
        inputs = network_item(test_set, item, separator.backend)
        voices = separate_item(separator.engine.network, inputs, separator.settings)
        return list(voices)

    return _run(test_set, answer, folder, progress)


def separate_video(separator: Separator, video: Path, item: Item) -> list[FloatArray | None]:
    """Ask `avse separate` for the voices of an item.

    Args:
        separator: what is judged.
        video: of the item, or one made from it.
        item: whose people are wanted.

    Returns:
        (samples,) for each source, at the rate of the item and no longer than it; None where no
        face was found.

    Raises:
        AvseError: see `avse.separation.separator`.
    """
    separation = separator.separate(video)
    stems = separation.voices().mean(axis=1)
    if separation.sample_rate != item.sample_rate:
        stems = resample(stems, separation.sample_rate, item.sample_rate)
    return [
        None if place is None else stems[place][: item.samples]
        for place in places(item, separation.people)
    ]


def separate_item(
    network: AVSENet, item: NetworkItem, settings: Settings | None = None
) -> FloatArray:
    """Ask the network for voices, as `avse separate` would if it had these lips, without a gate.

    Args:
        network: in evaluation mode.
        item: mixture and lips; references are not looked at.
        settings: for the windows, and whether voices carry on where lips are missing.

    Returns:
        (people asked for, samples), at the rate of the item.
    """
    settings = dataclasses.replace(settings or Settings(), gate=False)
    engine, sound = Engine(network, settings), ArraySound(item.mixture[None], item.rate_hz)
    run = engine.run(item.lips, sound, enrolment=engine.enrol(item.lips, sound))
    return np.concatenate([block.stems for block in run.blocks(item.asked)], axis=-1)[:, 0]


def places(item: Item, people: Sequence[Person]) -> list[int | None]:
    """For each source of an item, from left to right, which of the people it is; None if nobody."""
    assert item.picture is not None
    edges = np.cumsum([0, *item.picture.widths]) / item.picture.width
    middles = [float(np.median(p.boxes[:, 0] + p.boxes[:, 2] / 2)) for p in people]
    found: list[int | None] = []
    for left, right in pairwise(edges):
        here = [n for n, x in enumerate(middles) if left <= x < right]
        longest = max(here, key=lambda n: people[n].seconds_on_screen, default=None)
        found.append(longest)
    return found


def _run(
    test_set: TestSet,
    answer: Callable[[Item], list[FloatArray | None]],
    folder: Path,
    progress: Callable[[float], None],
) -> Iterator[Mixture]:
    done = 0.0
    for item in test_set.manifest.items:
        missing = test_set.missing(item)
        try:
            if missing:
                raise InputError(f"{missing[0]} is not there", "make it again with `avse mix`")
            answers, failure = answer(item), NO_FACE
        except MissingError:
            raise
        except AvseError as error:
            answers, failure = [None] * len(item.sources), error.message
        voices = []
        for number, (voice, path) in enumerate(
            zip(answers, test_set.references(item), strict=True), 1
        ):
            name = f"{item.id}.{number}"
            target = folder / f"{name}.wav"
            if voice is not None:
                write_sound(target, voice, item.sample_rate)
            text = path.with_suffix(".txt")
            voices.append(
                ScoredVoice(
                    name,
                    path,
                    None if voice is None else target,
                    failure if voice is None else None,
                    text if text.is_file() else None,
                )
            )
        done += item.duration_s
        progress(done)
        mixed = None if item.outputs.mixture in missing else test_set.mixture(item)
        yield Mixture(item.id, mixed, tuple(voices))
