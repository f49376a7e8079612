"""Simulate room impulse responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from avse.dsp.stft import SAMPLE_RATE
from avse.errors import MissingExtraError
from avse.types import FloatArray

KINDS = ("tail", "image")

Room = Callable[[np.random.Generator], FloatArray]
"""Draws the impulse response from a random place in the room to its microphone: (samples,), which
begins with the direct sound at amplitude 1."""

HIGHEST_ORDER = 12
"""Order of reflections; later ones are weak and slow to compute."""

NEAREST_M, FROM_WALL_M = 0.5, 0.4
_SMALLEST_M, _LARGEST_M = (3.0, 3.0, 2.4), (8.0, 7.0, 3.5)


def draw_room(rng: np.random.Generator, kind: str) -> Room:
    """Draw a room.

    Args:
        rng: generator for all choices.
        kind: "tail": exponentially decaying noise, different for every place; "image": a
            shoebox by the image-source method (Allen & Berkley 1979), by pyroomacoustics.

    Raises:
        MissingExtraError: pyroomacoustics is not installed.
    """
    return tail if kind == "tail" else shoebox(rng)


def check_rooms(kind: str) -> None:
    """Check that rooms of a kind can be drawn, before hours of work that do not need them.

    Raises:
        MissingExtraError: pyroomacoustics is not installed.
    """
    if kind != "tail":
        _acoustics()


def tail(rng: np.random.Generator) -> FloatArray:
    """A direct path and an exponentially decaying tail, T60 0.1 to 0.5 s: (samples,)."""
    t60 = rng.uniform(0.1, 0.5)
    time = np.arange(int(t60 * SAMPLE_RATE)) / SAMPLE_RATE
    noise = rng.standard_normal(len(time)) * 10 ** (-3 * time / t60)
    noise[: int(0.002 * SAMPLE_RATE)] = 0
    energy = float(np.sqrt(np.sum(noise**2)))
    direct_to_tail = 10 ** (rng.uniform(0, 12) / 20)
    room = noise / energy / direct_to_tail
    room[0] = 1
    return room.astype(np.float32)


def shoebox(rng: np.random.Generator) -> Room:
    """A room of 3 to 8 m, T60 0.15 to 0.5 s, with a microphone somewhere in it.

    Raises:
        MissingExtraError: pyroomacoustics is not installed.
    """
    acoustics = _acoustics()
    size = rng.uniform(_SMALLEST_M, _LARGEST_M)
    absorption, order = 0.9, 3
    for t60 in (rng.uniform(0.15, 0.5), 0.5):
        try:
            absorption, order = acoustics.inverse_sabine(t60, size)
            break
        except ValueError:  # such a large room can't be that dry
            continue
    microphone = rng.uniform(FROM_WALL_M, size - FROM_WALL_M)

    def response(rng: np.random.Generator) -> FloatArray:
        place = microphone
        while np.linalg.norm(place - microphone) < NEAREST_M:
            place = rng.uniform(FROM_WALL_M, size - FROM_WALL_M)
        room = acoustics.ShoeBox(
            size,
            fs=SAMPLE_RATE,
            materials=acoustics.Material(absorption),
            max_order=min(order, HIGHEST_ORDER),
        )
        room.add_source(place)
        room.add_microphone(microphone)
        room.compute_rir()
        heard = np.asarray(room.rir[0][0])
        # The delay to the microphone is left out, so that lips and voice stay in sync.
        late = np.linalg.norm(place - microphone) / room.c * SAMPLE_RATE
        direct = round(late) + acoustics.constants.get("frac_delay_length") // 2
        return np.asarray(heard[direct:] / heard[direct], np.float32)

    return response


def reverberate(x: FloatArray, room: FloatArray) -> FloatArray:
    """Convolve and keep the length."""
    size = 1 << (len(x) + len(room) - 1).bit_length()
    out = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(room, size), size)
    return out[: len(x)].astype(np.float32)


def _acoustics() -> Any:
    try:
        import pyroomacoustics
    except ImportError as error:
        raise MissingExtraError(
            "rooms by the image-source method need pyroomacoustics, which is not installed",
            'pip install "avse[train]", or choose rooms = "tail"',
        ) from error
    return pyroomacoustics
