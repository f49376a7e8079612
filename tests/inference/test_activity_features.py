"""Cues, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest

from avse.faces.lips import POINTS, LipSequence
from avse.inference.activity_features import (
    AGREEMENT,
    COUNT,
    HEAD,
    LEVEL,
    MOTION,
    SEEN,
    contrast,
    motion,
)
from avse.inference.mask_estimator import MaskEstimator
from avse.inference.networks import open_network
from avse.inference.voice_activity import AUDIO_VISUAL, LIPS_ONLY, lips_only, speaking
from avse.types import FloatArray


def normal(*shape: int) -> FloatArray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_lips_agree_with_their_own_voice_in_step_and_not_with_another() -> None:
    voice, other = normal(2, 1, 8, 100)
    own = contrast(voice, voice).mean()
    strange = contrast(voice, other).mean()
    late = contrast(voice, np.roll(voice, 12, axis=-1)).mean()
    assert own > 5 * abs(strange)
    assert late < 0


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_a_small_delay_is_found_where_it_belongs(late: int) -> None:
    voice = normal(1, 8, 100)
    near = contrast(voice, np.roll(voice, late, axis=-1), 4)
    assert near.shape == (1, 9, 100)
    assert int(near.mean(axis=-1).argmax()) == 4 - late


def test_lips_that_move_have_more_motion_than_lips_that_keep_still() -> None:
    still = np.ones((1, 4, 50), np.float32)
    assert (motion(normal(1, 4, 50)) > motion(still) + 2).all()


def test_each_cue_counts_for_speech() -> None:
    quiet = np.zeros((1, COUNT, 1), np.float32)
    quiet[0, SEEN] = 1
    quiet[0, LEVEL] = -20
    for place in (HEAD, LEVEL, AGREEMENT):
        more = quiet.copy()
        more[0, place] += 1
        assert speaking(more) > speaking(quiet)
    more = quiet.copy()
    more[0, MOTION] += 1
    assert speaking(more, AUDIO_VISUAL) == speaking(quiet, AUDIO_VISUAL)
    assert speaking(more, LIPS_ONLY) > speaking(quiet, LIPS_ONLY)
    # The points of a mesh tremble: the same motion says less.
    assert speaking(quiet, LIPS_ONLY) > speaking(quiet, lips_only("mediapipe"))


def test_out_of_sight_is_unknown() -> None:
    assert np.isnan(speaking(np.zeros((1, COUNT, 3), np.float32))).all()


def test_a_still_face_never_speaks_to_a_voice_that_is_heard() -> None:
    """The shipped weights, a voice of the example, and a face that does not move."""
    import soundfile

    from tests.conftest import EXAMPLES

    network = open_network("avse-small")
    sound, rate = soundfile.read(EXAMPLES / "duet.1.flac", dtype="float32")
    assert rate == 48_000
    heard = sound.reshape(len(sound), -1)[:, 0].reshape(-1, 3).mean(axis=1)[None]
    rng = np.random.default_rng(0)
    face = rng.normal(0, 0.02, (1, POINTS, 3)) + rng.normal(0, 0.0005, (160, POINTS, 3))
    lips = LipSequence(0, face.astype(np.float32), np.ones((160, POINTS), np.float32))
    estimator = MaskEstimator(network, [lips], window_s=4, overlap=0.5)
    cues = np.concatenate([block.cues for block in estimator.masks([heard])], axis=-1)
    assert np.nanmax(speaking(cues)) < 0.4
