from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.evaluation.robustness import (
    CURVES,
    ON_VIDEO,
    freeze_lips,
    hide_lips,
    score_network,
    shift_lips,
    trace,
    worsened,
)
from avse.evaluation.running import separate_item
from avse.evaluation.testset import NetworkItem
from avse.faces.lips import LipSequence
from avse.models.network import AVSENet
from avse.settings import Settings

from ..metrics.voices import voice


def lips(frames: int, seed: int = 0) -> LipSequence:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(frames, 43, 3)).astype(np.float32)
    return LipSequence(2, points, np.ones((frames, 43), np.float32))


def item(name: str, seed: int, seconds: float = 1.0) -> NetworkItem:
    voices = tuple(voice(seed + k, seconds).astype(np.float32) for k in (0, 1))
    return NetworkItem(
        name,
        16_000,
        voices[0] + voices[1],
        voices,
        (lips(25, seed), lips(25, seed + 1)),
        (f"{name}-left", f"{name}-right"),
    )


@given(frames=st.integers(0, 60), share=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_a_stretch_is_hidden_or_frozen(frames: int, share: float, seed: int) -> None:
    whole = lips(frames)
    hidden, frozen = hide_lips(whole, share, seed), freeze_lips(whole, share, seed)
    gone = round(frames * share)
    assert int((~hidden.seen).sum()) == gone
    assert frozen.seen.all()
    moved = (frozen.points != whole.points).any(axis=(1, 2))
    assert moved.sum() in (gone, gone - 1)
    assert (hidden.first, len(hidden.points)) == (whole.first, frames)
    np.testing.assert_array_equal(whole.points, lips(frames).points)  # left alone


def test_lips_are_shifted_by_whole_frames() -> None:
    assert shift_lips(lips(5), 0.4).first == 12
    assert shift_lips(lips(5), -0.4).first == -8
    assert shift_lips(lips(5), 0.05).first == 3


def test_levels_and_company() -> None:
    items = [item("a", 0), item("b", 10), item("c", 20)]
    for point in (-10.0, 0.0, 10.0):
        for n, changed in enumerate(worsened("snr", items, point)):
            (person,) = changed.wanted
            assert person == n % 2
            target = changed.references[person]
            rest = changed.mixture - target
            ratio = 10 * np.log10(np.mean(target**2) / np.mean(rest**2))
            assert ratio == pytest.approx(point, abs=0.01)
    for people in (2, 3, 4):
        found = list(worsened("speakers", items, people))
        assert len(found) == 6
        for changed in found:
            assert len(changed.references) == len(changed.lips) == people
            assert changed.asked == (0,)
            np.testing.assert_allclose(
                changed.mixture, np.sum(changed.references, axis=0), atol=1e-5
            )
    assert list(worsened("speakers", items[:1], 3)) == []
    with pytest.raises(ValueError, match="size"):
        list(worsened("size", items, 90))


def test_curves(network: AVSENet) -> None:
    items = [item("a", 0, 0.5), item("b", 10, 0.5)]
    window = Settings(window_s=1)
    for name, curve in CURVES.items():
        if name in ON_VIDEO:
            continue
        points = list(trace(name, network, items, window))
        assert [point["at"] for point in points] == list(curve.points)
        for point in points:
            # Who is never seen is given silence, which has no SI-SDR.
            nobody = (name, point["at"]) == ("missing", 100)
            assert point["si-sdr"]["scored"] == (0 if nobody else 4)  # type: ignore[index]
    unchanged = score_network(network, items, window)
    (straight,) = [p for p in trace("offset", network, items, window) if p["at"] == 0]
    values = [score.value for score in unchanged["si-sdri"]]
    assert straight["si-sdri"]["mean"] == pytest.approx(np.mean(values))  # type: ignore[index,arg-type]


def test_only_those_asked_for_are_given(network: AVSENet) -> None:
    both = item("a", 0, 0.5)
    answers = separate_item(network, both)
    assert answers.shape == (2, 8000)
    (changed, *_) = worsened("snr", [both], 0)
    assert separate_item(network, changed).shape == (1, 8000)
