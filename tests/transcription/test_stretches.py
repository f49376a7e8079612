from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from avse.transcription.stretches import Cutting, Loudness, loudness

RATE = 16000
ONE = Cutting(longest_s=30.0, longest_pause_s=0.0)
MANY = Cutting(longest_s=10.0, longest_pause_s=3.0)


def voice(*parts: tuple[float, float]) -> Loudness:
    """Noise of (seconds, level), one part after the other."""
    rng = np.random.default_rng(0)
    sound = np.concatenate([level * rng.uniform(-1, 1, round(s * RATE)) for s, level in parts])
    blocks = np.split(sound.astype(np.float32)[None], range(RATE, len(sound), RATE), axis=1)
    return loudness(blocks, RATE)


def pieces(measured: Loudness, cutting: Cutting) -> list[tuple[float, float]]:
    found, stop = [], 0
    while piece := measured.next_piece(stop, cutting):
        found.append((piece[0] / 25, piece[1] / 25))
        stop = piece[1]
    return found


def test_short_pauses_are_part_of_a_stretch() -> None:
    measured = voice((1, 0), (2, 0.1), (0.6, 0), (1, 0.1), (0.8, 0), (1, 0.1), (0.5, 0))
    assert pieces(measured, ONE) == [(1.0, 4.6), (5.4, 6.4)]


def test_pieces_over_pauses_hold_whole_stretches() -> None:
    measured = voice((4, 0.1), (2, 0), (3, 0.1), (1, 0), (2, 0.1), (4, 0), (1, 0.1))
    # The third would end after ten seconds; the pause before the last is too long.
    assert pieces(measured, MANY) == [(0.0, 9.0), (10.0, 12.0), (16.0, 17.0)]


@pytest.mark.parametrize("length", [10.04, 12.0, 27.0])
def test_what_is_too_long_is_cut_where_it_is_softest(length: float) -> None:
    measured = voice((8, 0.1), (0.2, 0.05), (length - 8.2, 0.1))
    found = pieces(measured, MANY)
    assert found[0][0] == 0
    assert 8 <= found[0][1] <= 8.24
    assert found[-1][1] == pytest.approx(length, abs=0.04)
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert all(1 <= b - a <= 10 for a, b in found)


def test_soft_words_are_heard_but_not_what_is_left_behind_a_gate() -> None:
    measured = voice((1, 0.5), (1, 0), (1, 0.005), (1, 0), (1, 0.0005))
    assert pieces(measured, ONE) == [(0.0, 1.0), (2.0, 3.0)]
    assert measured.is_heard(0.9, 1.5)
    assert not measured.is_heard(1.0, 2.0)
    assert measured.peak == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_in_silence_nothing_is_heard(level: float) -> None:
    assert pieces(voice((3, level)), ONE) == []
    assert pieces(loudness([], RATE), ONE) == []
