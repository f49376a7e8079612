"""Read the sound of a clip and measure its quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import get_window

from avse.dsp.stft import HOP, SAMPLE_RATE, WINDOW, mel_filters, stft_frames
from avse.errors import NoAudioError
from avse.media import AudioReader
from avse.types import FloatArray

FULL_SCALE = 0.99
"""A sample with at least this amplitude counts as clipped."""

BANDS = 40
"""Number of mel bands of the voice features."""

_BLOCK = SAMPLE_RATE // 50
_QUIET_DB, _BAND_DB = 40.0, 60.0
_FLOOR = 1e-10


@dataclass(frozen=True)
class MeasuredAudio:
    """The sound of a clip, and its quality.

    Attributes:
        samples: (samples,) int16, mono, 16 kHz.
        clipped: share of samples at full scale in any channel, at the recording's own rate.
        level_db: level of the loud parts (95th percentile of 20 ms blocks), dB of full scale.
        silence: share of 20 ms blocks that are 40 dB below the loud ones, or below -75 dB.
        band_hz: frequency above which the mean spectrum stays 60 dB below its peak.
        voice: (80,) mean and standard deviation of log-mel bands over non-silent frames,
            independent of level.
    """

    samples: npt.NDArray[np.int16]
    clipped: float
    level_db: float
    silence: float
    band_hz: float
    voice: FloatArray


def read_audio(path: Path, *, track: int | None = None) -> MeasuredAudio:
    """Read a sound track and measure its quality.

    Raises:
        MediaError: the file cannot be read.
        NoAudioError: the track is missing or empty.
    """
    with AudioReader(path, track=track, rate_hz=SAMPLE_RATE, mono=True) as reader:
        blocks = [block.samples[0] for block in reader]
    sound = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not len(sound):
        raise NoAudioError(f"{path.name}: the sound track is empty", "leave the clip out")
    level, silence = loudness(sound)
    return MeasuredAudio(
        np.asarray(np.clip(np.rint(sound * 32767), -32768, 32767), np.int16),
        _clipped(path, track),
        level,
        silence,
        bandwidth(sound),
        describe_voice(sound),
    )


def _clipped(path: Path, track: int | None) -> float:
    high = count = 0
    with AudioReader(path, track=track) as reader:
        for block in reader:
            high += int((np.abs(block.samples).max(axis=0, initial=0) >= FULL_SCALE).sum())
            count += block.samples.shape[-1]
    return high / max(1, count)


def loudness(sound: FloatArray) -> tuple[float, float]:
    """Measure the level of the loud parts in dB of full scale, and the share of silence.

    See `MeasuredAudio`.
    """
    whole = sound[: max(1, len(sound) // _BLOCK) * _BLOCK]
    blocks = whole.reshape(-1, min(_BLOCK, len(whole)))
    levels = 10 * np.log10(np.mean(np.square(blocks, dtype=np.float64), axis=1) + _FLOOR)
    loud = float(np.percentile(levels, 95))
    return loud, float(np.mean((levels < loud - _QUIET_DB) | (levels < -75)))


def bandwidth(sound: FloatArray) -> float:
    """Find the frequency in Hz above which the mean spectrum stays 60 dB below its peak."""
    size = 512
    padded = np.pad(sound, (0, max(0, size - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    power = np.zeros(size // 2 + 1)
    window = get_window("hann", size)
    for part in np.array_split(frames, max(1, len(frames) // 4096)):
        power += np.square(np.abs(np.fft.rfft(part * window, axis=1))).sum(axis=0)
    above = np.flatnonzero(power > power.max(initial=_FLOOR) * 10 ** (-_BAND_DB / 10))
    return float(above[-1] * SAMPLE_RATE / size) if len(above) else 0.0


def describe_voice(sound: FloatArray) -> FloatArray:
    """Compute long-term spectral features of a voice, (80,); see `MeasuredAudio.voice`."""
    padded = np.pad(sound[: 60 * SAMPLE_RATE], WINDOW // 2)[None]
    power = np.square(np.abs(stft_frames(padded, WINDOW, HOP)[0]))
    bands = np.log(mel_filters(BANDS) @ power + _FLOOR)
    total = bands.mean(axis=0)
    loud = bands[:, total > np.percentile(total, 40)]
    if not loud.shape[1]:
        loud = bands
    mean = loud.mean(axis=1)
    return np.asarray(np.concatenate([mean - mean.mean(), loud.std(axis=1)]), np.float32)
