"""Read sound files for the metrics: one channel, at the file's own rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avse.errors import InputError, OutputError
from avse.types import FloatArray

PLAIN = (".wav", ".flac", ".ogg")
"""Suffixes of the files that libsndfile reads; PyAV reads the others."""


def read_sound(path: Path) -> tuple[FloatArray, int]:
    """(samples,), several channels averaged, and the rate in Hz.

    Raises:
        InputError: the file cannot be read.
    """
    if path.suffix.lower() not in PLAIN:
        from avse.media import AudioReader

        with AudioReader(path, mono=True) as reader:
            blocks = [block.samples for block in reader]
            sound = np.concatenate([np.zeros((1, 0), np.float32), *blocks], axis=1)
            return sound[0], reader.sample_rate
    import soundfile

    try:
        with path.open("rb") as handle:  # libsndfile takes no name that is not valid text
            samples, rate = soundfile.read(handle, dtype="float32", always_2d=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise InputError(f"{path} cannot be read: {reason}", "check the file") from error
    return samples.mean(axis=1, dtype=np.float64).astype(np.float32), int(rate)


def write_sound(path: Path, samples: FloatArray, rate_hz: int) -> None:
    """Write (samples,) as 32-bit float WAV.

    Raises:
        OutputError: it cannot be written.
    """
    import soundfile

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as handle:
            soundfile.write(handle, samples, rate_hz, subtype="FLOAT", format="WAV")
    except (OSError, soundfile.LibsndfileError) as error:
        raise OutputError(f"{path} cannot be written: {error}", "check the disk") from error
