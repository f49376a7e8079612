"""A known voice goes to its owner while the face is lost, and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME
from avse.inference.activity_features import COUNT, HEAD, LEVEL, SEEN
from avse.inference.mask_estimator import MaskBlock
from avse.inference.offscreen import Traces
from avse.inference.speaker_tracking import SpeakerTracker, TrackingRule

RULE = TrackingRule(slope=20, offset=-10, known_s=1.0, span_s=1.0, evidence_s=0.1)
FRAMES, LOST = 200, 100
ANNA, BEN, STRANGER = np.eye(4)[:3]
VISIBLE, NARRATOR = 0.25, 0.5


def blocks(
    narrator: np.ndarray, sizes: tuple[int, ...], speaks_s: float = 4.0
) -> Iterator[MaskBlock]:
    """Anna and Ben are heard at first; then Anna is lost, and a narrator has this voice."""
    prints = np.zeros((3, 5, FRAMES), np.float32)
    cues = np.zeros((2, COUNT, FRAMES), np.float32)
    cues[:, SEEN], cues[:, HEAD] = 1, 20
    cues[0, SEEN, LOST:] = 0
    cues[:, LEVEL] = 0
    heard = int(25 * speaks_s)
    for person, voice in enumerate((ANNA, BEN)):
        prints[person, :4, :heard], prints[person, 4, :heard] = voice[:, None], 1
    prints[2, :4, LOST:], prints[2, 4, LOST:] = narrator[:, None], 1
    prints[0, :, LOST:] = 0
    at = 0
    for size in sizes:
        stop = min(FRAMES, at + size)
        hops = HOPS_PER_VIDEO_FRAME * (stop - at)
        masks = np.full((2, 3, hops), VISIBLE, np.complex64)
        masks[0, :, max(0, HOPS_PER_VIDEO_FRAME * (LOST - at)) :] = 0
        shares = np.full((2, 3, hops), NARRATOR, np.float32)
        shares[1] = 0.1
        here = slice(at, stop)
        traces = Traces(shares, prints[..., here])
        yield MaskBlock(HOPS_PER_VIDEO_FRAME * at, masks, cues[..., here], traces)
        at = stop


def presence(first: int, frames: int) -> np.ndarray:
    there = np.ones((2, frames), np.float32)
    there[0, max(0, LOST - first) :] = 0
    return there


def run(
    narrator: np.ndarray, sizes: list[int] | None = None, **options: float
) -> tuple[np.ndarray, SpeakerTracker]:
    carrier = SpeakerTracker(presence, RULE)
    out = list(carrier.assigned(blocks(narrator, sizes or [50] * 4, **options)))
    assert [b.first for b in out] == [4 * int(n) for n in np.cumsum([0, *(sizes or [50] * 4)[:-1]])]
    return np.concatenate([block.masks for block in out], axis=-1), carrier


LATER = slice(4 * (LOST + 20), 4 * (FRAMES - 20))


def test_her_voice_is_hers_when_her_face_is_lost() -> None:
    masks, carrier = run(ANNA)
    left = 1 - VISIBLE
    np.testing.assert_allclose(masks[0, :, LATER], NARRATOR * left, rtol=1e-3)
    np.testing.assert_allclose(masks[2, :, LATER], 0, atol=1e-3)
    (absence,) = carrier.absences
    assert (absence.person, absence.first, absence.stop) == (0, LOST, FRAMES)
    assert absence.heard_s > 3
    assert absence.confidence is not None
    assert absence.confidence > 0.99


@pytest.mark.parametrize("voice", [STRANGER, BEN], ids=["a stranger's", "somebody's in sight"])
def test_another_voice_stays_the_narrators(voice: np.ndarray) -> None:
    masks, carrier = run(voice)
    np.testing.assert_allclose(masks[0, :, LATER], 0, atol=1e-3)
    if voice is STRANGER:
        np.testing.assert_allclose(masks[2, :, LATER], NARRATOR * (1 - VISIBLE), rtol=1e-3)
    (absence,) = carrier.absences
    assert (absence.heard_s, absence.confidence) == (0, None)


def test_what_was_hardly_heard_is_not_known() -> None:
    masks, _ = run(ANNA, speaks_s=0.5)
    np.testing.assert_allclose(masks[0, :, LATER], 0, atol=1e-3)


def test_everything_adds_up_to_what_the_visible_left() -> None:
    masks, _ = run(0.7 * ANNA + 0.7 * STRANGER)
    shared = masks.sum(axis=0)
    before = np.where(np.arange(shared.shape[-1]) < 4 * LOST, 2 * VISIBLE, VISIBLE)
    np.testing.assert_allclose(
        shared, np.broadcast_to(before + 0.6 * (1 - before), shared.shape), rtol=1e-5
    )


@pytest.mark.parametrize("sizes", [(200,), (10,) * 20, (7, 93, 60, 40)])
def test_the_same_however_the_blocks_come(sizes: tuple[int, ...]) -> None:
    # What is known of a voice is what was heard by then: here all of it, before the face is lost.
    masks, carrier = run(ANNA, sizes)
    expected, other = run(ANNA)
    np.testing.assert_allclose(masks[..., LATER], expected[..., LATER], atol=1e-4)
    assert carrier.absences[0].heard_s == pytest.approx(other.absences[0].heard_s, abs=0.2)


def test_blocks_come_out_before_the_end() -> None:
    """Memory must not grow with the recording."""
    given = 0

    def counted() -> Iterator[MaskBlock]:
        nonlocal given
        for block in blocks(ANNA, (10,) * 20):
            given += 1
            yield block

    carrier = SpeakerTracker(presence, RULE)
    stream = carrier.assigned(counted())
    next(stream)
    assert given <= 3
    for _ in stream:
        assert carrier.prints is not None
        assert carrier.prints.shape[-1] <= 60


def test_nobody_is_given_anything_if_nothing_is_carried() -> None:
    carrier = SpeakerTracker(None, RULE)
    masks = np.concatenate([b.masks for b in carrier.assigned(blocks(ANNA, (50,) * 4))], axis=-1)
    assert (masks[0, :, LATER] == 0).all()
    np.testing.assert_allclose(masks[2, :, LATER], NARRATOR * (1 - VISIBLE), rtol=1e-5)
    assert carrier.absences == []
