"""Recordings made on the spot."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

RATE_HZ = 16000


def record(path: Path, *, picture: bool = True, sound: bool = True) -> None:
    """Write a second of noise: nobody is in it."""
    noise = np.random.default_rng(0)
    packets = []
    with av.open(str(path), "w") as file:
        if picture:
            stream = file.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        if sound:
            codec = "pcm_s16le" if path.suffix == ".wav" else "aac"
            track = file.add_stream(codec, rate=RATE_HZ, layout="mono")
        if picture:
            for _ in range(25):
                pixels = noise.integers(0, 256, (64, 96, 3), np.uint8)
                packets += stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24"))
            packets += stream.encode(None)
        if sound:
            samples = noise.normal(0, 3000, (1, RATE_HZ)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate = RATE_HZ
            packets += track.encode(frame)
            packets += track.encode(None)
        file.mux(packets)
