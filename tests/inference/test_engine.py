from collections.abc import Iterator

import numpy as np
import pytest

from avse.dsp.stft import VIDEO_RATE
from avse.faces.lips import LipSequence
from avse.inference.engine import Engine
from avse.inference.sound import ArraySound
from avse.models.network import AVSENet
from avse.settings import Settings
from tests.conftest import TINY, randomise

RATE, SECONDS = 48_000, 14


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(randomise(AVSENet(TINY)), Settings(window_s=2.0, carry=False))


@pytest.fixture(scope="module")
def sound() -> ArraySound:
    rng = np.random.default_rng(1)
    return ArraySound(rng.normal(0, 0.1, (2, SECONDS * RATE + 777)).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def lips() -> list[LipSequence]:
    rng = np.random.default_rng(2)
    count = SECONDS * VIDEO_RATE
    return [
        LipSequence(
            0,
            rng.normal(0, 1, (count, 43, 3)).astype(np.float32),
            np.ones((count, 43), np.float32),
        )
        for _ in range(2)
    ]


@pytest.mark.parametrize("begin", [25, 137, 300, 345])
def test_a_run_can_begin_anywhere(
    engine: Engine, sound: ArraySound, lips: list[LipSequence], begin: int
) -> None:
    whole = np.concatenate([b.stems for b in engine.run(lips, sound).blocks([0, 1])], axis=-1)
    blocks = list(engine.run(lips, sound, begin=begin).blocks([0, 1]))
    first = begin * RATE // VIDEO_RATE
    assert blocks[0].start == first
    part = np.concatenate([block.stems for block in blocks], axis=-1)
    assert part.shape[-1] == whole.shape[-1] - first
    np.testing.assert_allclose(part, whole[..., first:], atol=2e-5)
    original = np.concatenate([block.original for block in blocks], axis=-1)
    np.testing.assert_array_equal(original, sound.samples[:, first:])


def test_activity_can_begin_anywhere(
    engine: Engine, sound: ArraySound, lips: list[LipSequence]
) -> None:
    whole = np.concatenate(list(engine.run(lips, sound).cues()), axis=-1)
    part = np.concatenate(list(engine.run(lips, sound, begin=160).cues()), axis=-1)
    np.testing.assert_allclose(part, whole[..., 160:], atol=1e-4)


def test_a_run_that_is_left_reads_no_further(engine: Engine, lips: list[LipSequence]) -> None:
    taken = 0

    class Counted(ArraySound):
        def downmix(self, begin: int) -> Iterator[np.ndarray]:  # type: ignore[type-arg]
            nonlocal taken
            for block in np.split(next(super().downmix(begin)), SECONDS * 2, axis=-1):
                taken += 1
                yield block

    sound = Counted(np.zeros((1, SECONDS * 16_000), np.float32), 16_000)
    blocks = engine.run(lips, sound).blocks([0])
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert 0 < taken < SECONDS


def test_lips_can_be_replaced_on_the_way(
    engine: Engine, sound: ArraySound, lips: list[LipSequence]
) -> None:
    """As a page does, which knows the picture only as far as it has been looked at."""
    half = [
        LipSequence(0, one.points[: 6 * VIDEO_RATE], one.confidence[: 6 * VIDEO_RATE])
        for one in lips
    ]
    run = engine.run(half, sound)
    parts = []
    for block in run.blocks([0, 1]):
        parts.append(block.stems)
        if block.start >= 2 * RATE:
            run.estimator.set_lips(lips)
    grown = np.concatenate(parts, axis=-1)
    whole = np.concatenate([b.stems for b in engine.run(lips, sound).blocks([0, 1])], axis=-1)
    late = slice(4 * RATE, None)
    error = np.abs(grown - whole)[..., late].max() / np.abs(whole).max()
    assert error < 0.05  # the gain of a person's motion is an average over what is known


def test_arrays_give_what_files_would(
    engine: Engine, sound: ArraySound, lips: list[LipSequence]
) -> None:
    stems = engine.separate(sound.samples, RATE, lips)
    assert stems.shape == (2, *sound.samples.shape)
    assert engine.separate(sound.samples[0], RATE, lips).shape == (2, 1, sound.samples.shape[-1])
