"""A long recording: the example over and over, its packets copied."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

ROUND_S = Fraction(656, 100)
"""From one time to the next: 164 pictures."""


def loop(source: Path, path: Path, times: int) -> Path:
    """Write the recording so many times, one after the other; the ending chooses the container."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = (old.streams.video[0], old.streams.audio[0])
        copies = {stream.index: new.add_stream_from_template(stream) for stream in streams}
        packets = [packet for packet in old.demux(*streams) if packet.size]
        for number in range(times):
            for packet in packets:
                again = av.Packet(bytes(packet))
                later = round(number * ROUND_S / packet.time_base)
                again.time_base, again.duration = packet.time_base, packet.duration
                again.pts, again.dts = packet.pts + later, packet.dts + later
                again.is_keyframe = packet.is_keyframe
                again.stream = copies[packet.stream_index]
                new.mux(again)
    return path
