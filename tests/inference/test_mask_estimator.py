"""Masks of ones give the recording back, at any rate and length; windows join without a seam."""

from __future__ import annotations

import numpy as np
import pytest

from avse.dsp.stft import BINS, FRAME_RATE, HOP, HOPS_PER_VIDEO_FRAME, SAMPLE_RATE
from avse.faces.lips import POINTS, Lips, LipSequence
from avse.inference.activity_features import COUNT
from avse.inference.mask_applier import Grid, MaskApplier
from avse.inference.mask_estimator import FloatArray, MaskEstimator
from avse.inference.torch_networks import TorchNetwork
from avse.models.network import AVSENet


def lips(frames: int, seed: int = 0, first: int = 0) -> LipSequence:
    rng = np.random.default_rng(seed)
    points = (0.02 * rng.standard_normal((frames, POINTS, 3))).astype(np.float32)
    return LipSequence(first, points, np.ones((frames, POINTS), np.float32))


def pieces(rng: np.random.Generator, signal: FloatArray, longest: int) -> list[FloatArray]:
    cuts, at = [], 0
    while at < signal.shape[-1]:
        n = int(rng.integers(1, longest))
        cuts.append(signal[:, at : at + n])
        at += n
    return cuts


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [0, 1e-4, 0.0399, 0.5, 1.2345])
def test_masks_of_ones_give_the_recording_back(rate: int, seconds: float) -> None:
    samples = round(seconds * rate)
    rng = np.random.default_rng(samples)
    signal = rng.standard_normal((2, samples)).astype(np.float32)
    applier = MaskApplier(rate, 2, 1)
    frames = -(-samples * SAMPLE_RATE // rate) // HOP + 1 if samples else 0
    out = [np.zeros((1, 2, 0), np.float32)]
    sound = iter(pieces(rng, signal, rate // 3 + 2))
    for first in range(0, frames, 17):
        ones = np.ones((1, BINS, min(17, frames - first)), np.complex64)
        applier.push_masks(ones)
        while applier.wants_audio() and (piece := next(sound, None)) is not None:
            applier.push_audio(piece)
        out.append(applier.apply())
    for piece in sound:
        applier.push_audio(piece)
    out.append(applier.finish())
    np.testing.assert_allclose(np.concatenate(out, axis=-1)[0], signal, atol=2e-6)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000, 22_050])
def test_a_mask_lands_on_its_own_time_and_frequency(rate: int) -> None:
    # Two tones; the mask lets pass 1 kHz in the first half and 3 kHz in the second.
    time = np.arange(2 * rate) / rate
    low, high = np.sin(2 * np.pi * 1000 * time), np.sin(2 * np.pi * 3000 * time)
    masks = np.zeros((1, BINS, 2 * FRAME_RATE + 1), np.complex64)
    masks[:, 20:60, :FRAME_RATE] = 1
    masks[:, 100:140, FRAME_RATE:] = 1
    applier = MaskApplier(rate, 1, 1)
    applier.push_audio((low + high).astype(np.float32)[None])
    applier.push_masks(masks)
    out = np.concatenate([applier.apply(), applier.finish()], axis=-1)[0, 0]
    edge = rate // 10
    first, second = slice(edge, rate - edge), slice(rate + edge, 2 * rate - edge)
    np.testing.assert_allclose(out[first], low[first], atol=0.02)
    np.testing.assert_allclose(out[second], high[second], atol=0.02)


def test_above_8_khz_follows_the_top_of_the_mask() -> None:
    masks = np.ones((1, BINS, 3), np.complex64)
    masks[:, -41:] = 0.25
    wide = Grid(48_000).bins(masks)
    assert wide.shape == (1, 961, 3)
    np.testing.assert_allclose(np.abs(wide[:, 325:]), 0.25, atol=1e-6)
    np.testing.assert_allclose(wide[:, :270], 1)


@pytest.mark.parametrize("samples", [0, 1, 639, 640, 641, 16_001, 47_999, 80_000])
@pytest.mark.parametrize(("window_s", "overlap"), [(0.8, 0.5), (0.8, 0.0), (1.0, 0.9), (60, 0.5)])
def test_masks_cover_the_recording_however_it_arrives(
    network: AVSENet, samples: int, window_s: float, overlap: float
) -> None:
    rng = np.random.default_rng(samples)
    signal = rng.standard_normal((1, samples)).astype(np.float32)
    people = [lips(100, 1), lips(60, 2, first=20)]

    def run(blocks: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
        estimator = MaskEstimator(TorchNetwork(network), people, window_s=window_s, overlap=overlap)
        out = [np.zeros((2, BINS, 0), np.complex64)]
        cues = [np.zeros((2, COUNT, 0), np.float32)]
        at = 0
        for block in estimator.masks(blocks):
            assert block.first == at
            at += block.masks.shape[-1]
            out.append(block.masks)
            cues.append(block.cues)
            assert sum(part.shape[-1] for part in cues) == -(-at // HOPS_PER_VIDEO_FRAME)
        return np.concatenate(out, axis=-1), np.concatenate(cues, axis=-1)

    whole, cues = run([signal] if samples else [])
    assert whole.shape[-1] == (samples // HOP + 1 if samples else 0)
    assert np.isfinite(whole).all()
    assert np.isfinite(cues).all()
    again, cues_again = run(pieces(rng, signal, 9000))
    np.testing.assert_allclose(again, whole, atol=1e-5)
    np.testing.assert_allclose(cues_again, cues, atol=1e-3)


def test_one_window_is_the_network_itself(network: AVSENet) -> None:
    import torch

    from avse.dsp.stft import stft

    signal = np.random.default_rng(0).standard_normal((1, 32_000)).astype(np.float32)
    estimator = MaskEstimator(TorchNetwork(network), [lips(51)], window_s=60, overlap=0.5)
    (block,) = estimator.masks([signal])
    spectrum = stft(torch.from_numpy(signal))
    padded = np.pad(spectrum.numpy()[0], ((0, 0), (0, 3)))
    expected = estimator.estimate(padded, 0)
    np.testing.assert_allclose(block.masks[0], expected.masks[0, :, :201], atol=1e-4)
    np.testing.assert_allclose(block.cues, expected.cues, atol=1e-4)


def test_lips_that_are_never_seen_do_not_matter_where_they_are_not(network: AVSENet) -> None:
    unseen = LipSequence(0, np.zeros((0, POINTS, 3), np.float32), np.zeros((0, POINTS), np.float32))
    signal = np.random.default_rng(0).standard_normal((1, 16_000)).astype(np.float32)
    estimator = MaskEstimator(TorchNetwork(network), [unseen], window_s=4, overlap=0.5)
    for block in estimator.masks([signal]):
        assert np.isfinite(block.masks).all()


def test_lips_in_stretches_are_fed_as_the_whole_is(network: AVSENet) -> None:
    early, late = lips(40, 1, first=3), lips(50, 2, first=90)
    parts = Lips((early, late))
    apart, whole = (
        MaskEstimator(TorchNetwork(network), [one], window_s=4, overlap=0)
        for one in (parts, parts.whole())
    )
    for start, frames in ((0, 200), (-5, 20), (30, 100), (60, 10)):
        np.testing.assert_allclose(
            apart.lips(start, frames)[0], whole.lips(start, frames)[0], atol=1e-5
        )
        assert apart.lips(start, frames)[1].tolist() == whole.lips(start, frames)[1].tolist()
        there = apart.presence(start, frames)
        np.testing.assert_array_equal(there, whole.presence(start, frames))
