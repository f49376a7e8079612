"""Media input and output: probe files, read frames and sound, write stems, remux videos.

Everything streams: memory does not grow with the length of a recording. Time is a rational number
of seconds (`fractions.Fraction`) on the container's own clock, as stored: a file whose first time
stamp is 0.5 s keeps that number. PyAV, soxr and soundfile are imported by the functions that need
them.
"""

from __future__ import annotations

from avse.media.audio import AudioBlock, AudioReader
from avse.media.beginning import copy_beginning
from avse.media.frames import Frame, FrameReader, read_frames
from avse.media.moving import MoveResult, move_sound
from avse.media.probe import AudioStream, MediaInfo, OtherStream, VideoStream, probe
from avse.media.remux import NewTrack, RemuxResult, check_remux, remux
from avse.media.resample import Resampler, resample
from avse.media.splices import find_splices
from avse.media.stems import SOUND_SUFFIXES, StemWriter, check_stem, quantise

__all__ = [
    "SOUND_SUFFIXES",
    "AudioBlock",
    "AudioReader",
    "AudioStream",
    "Frame",
    "FrameReader",
    "MediaInfo",
    "MoveResult",
    "NewTrack",
    "OtherStream",
    "RemuxResult",
    "Resampler",
    "StemWriter",
    "VideoStream",
    "check_remux",
    "check_stem",
    "copy_beginning",
    "find_splices",
    "move_sound",
    "probe",
    "quantise",
    "read_frames",
    "remux",
    "resample",
]
