"""Make the estimates to score: with the whole pipeline, or with the network alone."""

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
from avse.inference.networks import SeparationNetwork
from avse.inference.sound import ArraySound
from avse.media import resample
from avse.mixtures.items import Item
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
    """Separate the videos of a test set, as `avse separate` does.

    The stem of a person is that of the face in the person's part of the picture. Stems are cut to
    the length of the references, because codecs add padding at the end.

    Args:
        test_set: with videos.
        separator: the separator to evaluate.
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
    """Run the network alone, on the mixture as made and on lips found for each person separately.

    Args:
        test_set: with videos.
        separator: the separator to evaluate.
        folder: where estimates are written.
        progress: called with the seconds of sound done.
    """

    def answer(item: Item) -> list[FloatArray | None]:
        inputs = network_item(test_set, item, separator.backend)
        voices = separate_item(separator.engine.network, inputs, separator.settings)
        return list(voices)

    return _run(test_set, answer, folder, progress)


def separate_video(separator: Separator, video: Path, item: Item) -> list[FloatArray | None]:
    """Separate the voices of an item, as `avse separate` does.

    Args:
        separator: the separator to evaluate.
        video: video of the item, or one made from it.
        item: item with the people to separate.

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
    network: SeparationNetwork, item: NetworkItem, settings: Settings | None = None
) -> FloatArray:
    """Separate voices with the network from given lips, as `avse separate` does, without a gate.

    Args:
        network: in evaluation mode.
        item: mixture and lips; references are not used.
        settings: settings of the windows, and whether voices are tracked where lips are missing.

    Returns:
        (target speakers, samples), at the rate of the item.
    """
    settings = dataclasses.replace(settings or Settings(), gate=False)
    engine, sound = Engine(network, settings), ArraySound(item.mixture[None], item.rate_hz)
    run = engine.run(item.lips, sound, enrolment=engine.enrol(item.lips, sound))
    return np.concatenate([block.stems for block in run.blocks(item.asked)], axis=-1)[:, 0]


def places(item: Item, people: Sequence[Person]) -> list[int | None]:
    """For each source of an item, from left to right, the matching person; None if there is
    none."""
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
