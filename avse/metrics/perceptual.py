"""PESQ and STOI, perceptual models of speech, computed by the `pesq` and `pystoi` packages.

Where those packages answer with an error code (-1 to -7, 1e-5, 0.0, NaN), the score here is
undefined, with a reason.
"""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt

from avse.errors import MissingExtraError
from avse.media import resample
from avse.metrics.extra import INSTALL, package
from avse.metrics.score import Score, Signal, as_signals, not_defined

PESQ_RATE_HZ = {"wb": 16_000, "nb": 8_000}
PESQ_SHORTEST_S = 0.25

_TOO_FEW = 1e-5  # value of pystoi for signals it cannot measure
_PESQ_CODES = {
    -1: "pesq failed",
    -2: "pesq does not take this rate",
    -3: "pesq ran out of memory",
    -4: "pesq ran out of memory",
    -5: "pesq ran out of memory",
    -6: "the signals are shorter than 1/4 s",
    -7: "pesq found no utterance",
}


def pesq_score(
    estimate: npt.ArrayLike,
    reference: npt.ArrayLike,
    rate_hz: int,
    band: Literal["wb", "nb"] = "wb",
) -> Score:
    """Perceptual evaluation of speech quality, as MOS-LQO, about 1 to 4.6, higher is better.

    "wb" is wide band (ITU-T P.862.2) at 16 kHz; "nb" narrow band (P.862 mapped by P.862.1) at
    8 kHz. Signals of a higher rate are resampled to that with `avse.media.resample`; signals of a
    lower one are refused, because their missing band cannot be scored. PESQ levels and aligns the
    two signals itself. The score is not defined where the package `pesq` is not installed: it
    needs a C compiler.

    Args:
        estimate: (samples,).
        reference: (samples,).
        rate_hz: of both.
        band: which of the two.
    """
    try:
        pesq = package("pesq")
    except MissingExtraError:
        return not_defined(f"the package 'pesq' is not installed ({INSTALL}; needs a C compiler)")
    e, r, refusal = as_signals(estimate, reference)
    if refusal is not None:
        return refusal
    rate = PESQ_RATE_HZ[band]
    if rate_hz < rate:
        return not_defined(f"{rate_hz} Hz is the wrong rate: PESQ {band} needs {rate} Hz")
    e, r = _lower(e, rate_hz, rate), _lower(r, rate_hz, rate)
    if e.size < PESQ_SHORTEST_S * rate:
        return not_defined(f"{e.size / rate:.3f} s are too short: PESQ needs {PESQ_SHORTEST_S} s")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            value = float(pesq.pesq(rate, r, e, band, on_error=pesq.PesqError.RETURN_VALUES))
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        return not_defined(f"pesq cannot measure these signals ({error})")
    if value < 0:
        return not_defined(_PESQ_CODES.get(round(value), "pesq failed") + f" ({value:.0f})")
    if not math.isfinite(value) or value == 0:
        return not_defined("pesq cannot measure these signals")
    return Score(value)


def stoi_score(
    estimate: npt.ArrayLike,
    reference: npt.ArrayLike,
    rate_hz: int,
    *,
    extended: bool = False,
) -> Score:
    """Short-time objective intelligibility (Taal et al. 2011), about 0 to 1, higher is better.

    With `extended`, ESTOI (Jensen and Taal 2016). pystoi itself brings both signals to 10 kHz and
    leaves out frames where the reference is 40 dB below its loudest one.

    Args:
        estimate: (samples,).
        reference: (samples,).
        rate_hz: of both.
        extended: ESTOI instead of STOI.

    Raises:
        MissingExtraError: pystoi is not installed.
    """
    stoi = package("pystoi").stoi
    e, r, refusal = as_signals(estimate, reference)
    if refusal is not None:
        return refusal
    if rate_hz < 10_000:
        return not_defined(f"{rate_hz} Hz is the wrong rate: STOI needs 10000 Hz")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            value = float(stoi(r, e, rate_hz, extended=extended))
        except RuntimeWarning as warning:
            if "Not enough STFT frames" in str(warning):
                return not_defined("less than 0.4 s of speech is too short for STOI")
            return not_defined(f"pystoi cannot measure these signals ({warning})")
        except (ValueError, IndexError):  # shorter than one frame
            return not_defined("less than 0.4 s of speech is too short for STOI")
    if value in (_TOO_FEW, 0.0) or not math.isfinite(value):
        return not_defined("pystoi cannot measure these signals")
    return Score(value)


def _lower(signal: Signal, from_hz: int, to_hz: int) -> Signal:
    if from_hz == to_hz:
        return signal
    lowered = resample(signal[None].astype(np.float32), from_hz, to_hz)[0]
    return np.asarray(lowered, np.float64)
