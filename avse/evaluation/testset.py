"""Read a test set of `avse mix` for evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from avse.errors import InputError
from avse.evaluation.sounds import read_sound
from avse.faces.detect import FaceBackend
from avse.faces.lips import POINTS, Lips, LipSequence
from avse.faces.track import find_people
from avse.media import Frame, probe, read_frames
from avse.media.pictures import Picture
from avse.mixtures.items import Item
from avse.mixtures.manifest import NAME, Manifest, read_manifest
from avse.types import FloatArray


@dataclass(frozen=True)
class TestSet:
    """A manifest and its folder.

    Attributes:
        path: path of the manifest.
        manifest: its content.
    """

    path: Path
    manifest: Manifest
    __test__ = False  # to pytest this looks like a class of tests

    @property
    def folder(self) -> Path:
        """Where the outputs lie."""
        return self.path.parent

    def references(self, item: Item) -> tuple[Path, ...]:
        """The clean voices, from left to right."""
        return tuple(self.folder / path for path in item.outputs.references)

    def mixture(self, item: Item) -> Path:
        """The sound of all."""
        return self.folder / item.outputs.mixture

    def video(self, item: Item) -> Path:
        """The side-by-side video.

        Raises:
            InputError: the set has no pictures.
        """
        if item.outputs.video is None or item.picture is None:
            raise InputError(
                f"{item.id} of {self.path} has no picture",
                "make the test set with videos: see `avse mix --help`",
            )
        return self.folder / item.outputs.video

    def missing(self, item: Item) -> list[str]:
        """Missing files of an item, relative to the folder."""
        outputs = item.outputs
        needed = [outputs.mixture, *outputs.references, *filter(None, [outputs.video])]
        return [name for name in needed if not (self.folder / name).is_file()]


def open_test_set(path: Path) -> TestSet:
    """Read a manifest and check that the files of at least one mixture exist.

    Raises:
        InputError: it cannot be read, holds nothing, or none of its mixtures is whole.
    """
    file = path / NAME if path.is_dir() else path
    manifest = read_manifest(file)
    if not manifest.items:
        raise InputError(f"{file} holds no mixtures", "make the test set again with `avse mix`")
    test_set = TestSet(file, manifest)
    missing = [test_set.missing(item) for item in manifest.items]
    if all(missing):
        raise InputError(
            f"no mixture of {file} has all its files: {missing[0][0]} is the first missing one",
            "keep the manifest in the folder that `avse mix` wrote; the same `avse mix` makes what "
            "is missing",
        )
    return test_set


@dataclass(frozen=True)
class NetworkItem:
    """One mixture as input of the network.

    Attributes:
        name: of the mixture.
        rate_hz: of its sound.
        mixture: (samples,).
        references: (samples,) of each person; not needed to separate, only to score.
        lips: of each person; frame 0 is the first sample of the sound.
        speakers: name of each person; equal names are the same person. May be empty.
        wanted: indices of the target lips; the other faces only compete. Empty for all.
    """

    name: str
    rate_hz: int
    mixture: FloatArray = field(repr=False)
    references: tuple[FloatArray, ...] = field(repr=False)
    lips: tuple[LipSequence, ...] = field(repr=False)
    speakers: tuple[str, ...] = ()
    wanted: tuple[int, ...] = ()

    @property
    def asked(self) -> tuple[int, ...]:
        """Indices of the target lips, with empty expanded to all."""
        return self.wanted or tuple(range(len(self.lips)))


def network_item(test_set: TestSet, item: Item, backend: FaceBackend) -> NetworkItem:
    """The mixture as made, and lips found in each person's own part of the picture.

    This excludes codec losses and confusions between faces. Where no face is found, the lips are
    unseen throughout.

    Raises:
        InputError: a file cannot be read.
    """
    mixture, rate = read_sound(test_set.mixture(item))
    references = tuple(read_sound(path)[0] for path in test_set.references(item))
    lips = _lips(test_set, item, backend)
    speakers = tuple(source.speaker for source in item.sources)
    return NetworkItem(item.id, rate, mixture, references, lips, speakers)


def _lips(test_set: TestSet, item: Item, backend: FaceBackend) -> tuple[LipSequence, ...]:
    video = test_set.video(item)
    assert item.picture is not None
    info = probe(video)
    origin = info.audio[0].start if info.audio else info.start
    frames = list(read_frames(video))
    edges = np.cumsum([0, *item.picture.widths]) / item.picture.width
    found = []
    for left, right in pairwise(edges):
        part = []
        for frame in frames:
            columns = slice(*(round(edge * frame.image.shape[1]) for edge in (left, right)))
            image = np.ascontiguousarray(frame.image[:, columns])
            part.append(Frame(frame.time - origin, Picture(image)))
        people = find_people(iter(part), backend)
        longest = max(people, key=lambda person: person.seconds_on_screen, default=None)
        found.append(no_lips() if longest is None else Lips(longest.lips.stretches).whole())
    return tuple(found)


def no_lips() -> LipSequence:
    """Lips that are never seen."""
    return LipSequence(0, np.zeros((0, POINTS, 3), np.float32), np.zeros((0, POINTS), np.float32))
