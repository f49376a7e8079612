"""Degrade recordings: change of speed, clipping, lossy codecs."""

from __future__ import annotations

import io

import numpy as np
from scipy.signal import correlate, resample_poly

from avse.dsp.stft import SAMPLE_RATE
from avse.types import FloatArray

CODECS: tuple[tuple[str, str, tuple[int, int]], ...] = (
    ("mp3", "libmp3lame", (24_000, 64_000)),
    ("adts", "aac", (24_000, 64_000)),
    ("ogg", "libopus", (8_000, 32_000)),
)
"""Container, encoder, and lowest and highest bit rate in bits per second."""

_STEPS = 100
_FURTHEST = 4096
"""Largest delay of a codec, in samples."""


def change_speed(x: FloatArray, factor: float) -> FloatArray:
    """Change speed and pitch together: (samples,) -> (samples / factor,).

    Args:
        x: (samples,).
        factor: above 1 is faster; rounded to hundredths.
    """
    return np.asarray(resample_poly(x, _STEPS, round(_STEPS * factor)), np.float32)


def overload(x: FloatArray, share: float) -> FloatArray:
    """Clip the loudest samples, a given share of all: (samples,)."""
    limit = np.float32(np.quantile(np.abs(x), 1 - share))
    return np.clip(x, -limit, limit)


def through_codec(x: FloatArray, which: int, share: float) -> FloatArray:
    """Encode and decode, aligned with the original.

    Args:
        x: (samples,), 16 kHz.
        which: index in `CODECS`.
        share: position between the lowest (0) and the highest (1) bit rate.

    Returns:
        (samples,); the original if the codec returns no samples.
    """
    import av

    container, encoder, (low, high) = CODECS[which]
    peak = float(np.abs(x).max(initial=0))
    if not peak:
        return x
    kept = io.BytesIO()
    with av.open(kept, "w", format=container) as file:
        stream = file.add_stream(encoder, rate=SAMPLE_RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        stream.bit_rate = round(low + share * (high - low))
        frame = av.AudioFrame.from_ndarray(
            np.pad(x / peak * np.float32(0.9), (0, _FURTHEST))[None], "fltp", "mono"
        )
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(stream.format, "mono", stream.rate)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    kept.seek(0)
    with av.open(kept, "r") as coded:
        back = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
        parts = [p.to_ndarray()[0] for f in coded.decode(audio=0) for p in back.resample(f)]
        parts += [p.to_ndarray()[0] for p in back.resample(None)]
    heard = np.concatenate([np.zeros(0, np.float32), *parts])
    if len(heard) < len(x):
        heard = np.pad(heard, (0, len(x) - len(heard)))
    late = int(correlate(heard[: len(x) + _FURTHEST], x, "valid", method="fft").argmax())
    out = np.pad(heard[late:], (0, max(0, len(x) - len(heard) + late)))[: len(x)]
    return np.asarray(out * np.float32(peak / 0.9), np.float32)
