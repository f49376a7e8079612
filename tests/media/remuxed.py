"""What tests of remuxing have in common: new voices for files, and what has become of a file."""

from __future__ import annotations

import hashlib

import av
import numpy as np

from avse.media import AudioReader, NewTrack, probe

from .media_files import lag, speechlike


def packets(path, kind="video", number=0):
    """Time and digest of every packet of a stream."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][number]
        return [
            (packet.pts * stream.time_base, hashlib.md5(bytes(packet)).hexdigest())
            for packet in container.demux(stream)
            if packet.size
        ]


def read(path, track=0):
    with AudioReader(path, track=track) as reader:
        blocks = [b.samples for b in reader]
    return np.concatenate(blocks, axis=1), reader


def voice_for(path, seed=5, level=1.0):
    """A voice of the length of a file's first track, and that track."""
    track = probe(path).audio[0]
    sound, _ = read(path)
    return level * speechlike(track.channels, sound.shape[1], track.sample_rate, seed), track


def as_new(voice, track, cut=777, **more):
    return NewTrack([voice[:, :cut], voice[:, cut:]], track.sample_rate, track.channels, **more)


def instant_lag(voice, start, path, track=0):
    """Samples by which the voice comes late in a file, by the file's own clock."""
    sound, reader = read(path, track)
    assert (reader.filled, reader.trimmed, reader.skipped) == (0, 0, 0)
    return lag(voice[0], sound[0]) + round((reader.start - start) * reader.sample_rate)
