"""Identify the people of clips: by labels, or else by clustering faces and voices.

Unlabelled clips are clustered twice (agglomerative, average linkage): first on features that
normalise the variation within a clip, then on features that also normalise the variation within the
first groups. The first threshold is low, because the second round needs groups with one person
each.

People who look similar may be one person. They form a family, by a higher threshold. All members
of a family are in the same split, so that a person who was divided by mistake is never in both
training and test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage

from avse.prepare.clustering import Array, PersonClusters, refined
from avse.prepare.layouts import SourceFile
from avse.prepare.settings import PrepareSettings
from avse.prepare.store import StoredResult

FIRST, SECOND = 1.5, 10.5
"""Smallest distance between two people, on the features of the first and the second round."""

FAMILY = 13.5 / 10.5
"""Smallest distance between two families, relative to that between two people."""

MOST = 8000
"""Maximum number of clips to cluster at once; of more, parts are clustered first, then their
groups."""


@dataclass(frozen=True)
class Group:
    """Labels of a clip.

    Attributes:
        corpus: name of the corpus.
        person: name of the speaker.
        recording: label of the recording, whose clips mostly have the same delay; None if unknown.
        family: the family that decides the split; None if the person does.
    """

    corpus: str
    person: str
    recording: str | None
    family: str | None = None


def find_groups(
    clips: Sequence[tuple[SourceFile, StoredResult]], settings: PrepareSettings
) -> list[Group]:
    """Label the person of each clip.

    Args:
        clips: the clips of the pack.
        settings: only `sound_only` and `strictness` are used.
    """
    unknown: dict[str, list[int]] = {}
    for n, (source, _) in enumerate(clips):
        if source.person is None and not settings.sound_only:
            unknown.setdefault(source.corpus, []).append(n)
    groups: dict[int, Group] = {}
    for corpus, members in sorted(unknown.items()):
        ordered = sorted(members, key=lambda n: clips[n][0].id)
        album = PersonClusters()
        for n in ordered:
            arrays = clips[n][1].arrays("gradients", "skull", "voice")
            album.add(arrays["gradients"], arrays["skull"], arrays["voice"])
        people, families = tell_apart(album.features(), strictness=settings.strictness)
        for n, person, family in zip(ordered, people, families, strict=True):
            first = _name(clips[ordered[int(np.argmax(people == person))]][0])
            elder = _name(clips[ordered[int(np.argmax(families == family))]][0])
            name = f"like-{first}"
            # No recording: delays of similar newsreaders agreed no better than those of others.
            groups[n] = Group(corpus, name, None, f"{corpus}/family-of-{elder}")
    for n, (source, _) in enumerate(clips):
        if n not in groups:
            person, recording = source.person or _name(source), source.recording
            shared = None if recording is None else f"{source.corpus}/{recording}"
            groups[n] = Group(source.corpus, person, shared)
    return [groups[n] for n in range(len(clips))]


def tell_apart(
    features: Array, *, strictness: float = 1.0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Cluster clips into people and families.

    Args:
        features: (clips, features), see `PersonClusters.features`.
        strictness: above 1, thresholds are lower, so that there are more people.

    Returns:
        (clips,) numbers of people and of families; all clips of a person are in the same family.
    """
    people = _clusters(features, FIRST / strictness)
    limit = FIRST
    better = refined(features, people)
    if better is not None:
        features, limit = better, SECOND
    people = _clusters(features, limit / strictness)
    families = _clusters(features, FAMILY * limit / strictness)
    return people, _whole(people, families)


def _clusters(points: Array, limit: float) -> npt.NDArray[np.int64]:
    """Cluster points by average linkage with a distance limit: (n,) labels from 0."""
    count = len(points)
    if count <= MOST:
        if count < 2:
            return np.zeros(count, np.int64)
        tree = linkage(points, "average")
        return np.asarray(fcluster(tree, limit, "distance") - 1, np.int64)
    parts = []
    used = 0
    for first in range(0, count, MOST):
        labels = _clusters(points[first : first + MOST], limit)
        parts.append(labels + used)
        used += int(labels.max()) + 1
    labels = np.concatenate(parts)
    if used >= count:  # every clip is a cluster
        return labels
    sums = np.zeros((used, points.shape[1]))
    np.add.at(sums, labels, points)
    means = sums / np.bincount(labels)[:, None]
    return _clusters(means, limit)[labels]


def _whole(people: npt.NDArray[np.int64], families: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Join families that share a person, which may happen if parts were clustered separately."""
    whole = families.copy()
    for person in np.unique(people):
        mine = np.unique(whole[people == person])
        whole[np.isin(whole, mine)] = mine[0]
    return whole


def _name(source: SourceFile) -> str:
    return source.id.partition("/")[2].replace("/", "-")
