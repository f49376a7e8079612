"""Voices for the duet by espeak-ng (through ctypes), and the mouth shapes for each voice.

espeak-ng reports the start of each phoneme. Phonemes are converted to mouth shapes (visemes), which
are smoothed, because neighbouring sounds blend in speech.
"""

from __future__ import annotations

import ctypes
import unicodedata
from dataclasses import dataclass
from typing import Any

import espeakng_loader
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

Floats = NDArray[np.float64]

# Constants of speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS_IN_IPA = 0x0001 | 0x0002
_EVENT_END_OF_LIST, _EVENT_PHONEME = 0, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_CHARS_UTF8, _POSITION_CHARACTER = 1, 1

# In speech, lips move 20 to 70 ms before the sound (Schwartz and Savariaux, PLoS Computational
# Biology 2014). Without this lead, the voice would seem early.
LEAD_S = 0.05

_CURVE_HZ = 1000  # sample rate of the mouth curves, from which frames are interpolated

# IPA symbol -> opening of the jaw (0 to 1), and shape of the lips (-1 rounded, +1 spread).
# Sounds with closed lips (m, b, p; nearly f, v) are in a second table, because the lips have to
# close for them whatever the neighbouring sounds are.
_SHAPES: dict[str, tuple[float, float]] = {
    **dict.fromkeys("aɑɒ", (1.0, 0.1)),
    **dict.fromkeys("æ", (0.9, 0.4)),
    **dict.fromkeys("ʌɐ", (0.8, 0.0)),
    **dict.fromkeys("ɛe", (0.65, 0.5)),
    **dict.fromkeys("əɚɜ", (0.5, 0.0)),
    **dict.fromkeys("ɪ", (0.42, 0.4)),
    **dict.fromkeys("i", (0.38, 0.9)),
    **dict.fromkeys("ɔ", (0.8, -0.5)),
    **dict.fromkeys("o", (0.65, -0.8)),
    **dict.fromkeys("ʊ", (0.42, -0.8)),
    **dict.fromkeys("uʉ", (0.35, -1.0)),
    **dict.fromkeys("w", (0.2, -1.0)),
    **dict.fromkeys("ɹr", (0.3, -0.5)),
    **dict.fromkeys("ʃʒ", (0.25, -0.7)),
    **dict.fromkeys("sz", (0.15, 0.4)),
    **dict.fromkeys("jkɡŋ", (0.25, 0.3)),
    **dict.fromkeys("tdnlɾθð", (0.22, 0.1)),
    **dict.fromkeys("h", (0.45, 0.0)),
    **dict.fromkeys("mbpfv", (0.15, 0.0)),
}
_CLOSURES = {"m": 1.0, "b": 1.0, "p": 1.0, "f": 0.75, "v": 0.75}


@dataclass(frozen=True)
class Phoneme:
    """An IPA symbol with its times; an empty symbol is a pause."""

    symbol: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Voice:
    """An espeak-ng voice with a variant, such as ``en-us+f2``, and its parameters."""

    name: str
    words_per_minute: int
    pitch: int  # 0 to 99
    pitch_range: int  # 0 to 99


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h; the last member is the union's ``char string[8]``."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("string", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Synthesiser:
    """espeak-ng, from the package espeakng-loader; at most one per process.

    The seed is fixed, so that the same sequence of calls gives the same samples in every process.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        data = str(espeakng_loader.get_data_path()).encode()
        rate_hz = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _PHONEME_EVENTS_IN_IPA
        )
        if rate_hz <= 0:
            raise RuntimeError("espeak-ng did not start; reinstall espeakng-loader.")
        self.rate_hz = int(rate_hz)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._blocks: list[NDArray[np.int16]] = []
        self._marks: list[tuple[str, float]] = []
        # The library stores a pointer only, so that Python must not free the callback.
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_END_OF_LIST:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                ipa = event.string.decode("utf-8", errors="ignore")
                self._marks.append((ipa, event.audio_position_ms / 1000))
            index += 1
        return 0

    def say(self, text: str, voice: Voice) -> tuple[Floats, list[Phoneme]]:
        """Synthesise a text: samples at ``rate_hz`` in [-1, 1), and the phonemes with their times.

        Raises:
            ValueError: espeak-ng has no such voice.
        """
        self._blocks.clear()
        self._marks.clear()
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice.name!r}.")
        settings = ((_RATE, voice.words_per_minute), (_PITCH, voice.pitch))
        for parameter, value in (*settings, (_RANGE, voice.pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data) + 1), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        samples = np.concatenate(self._blocks) / 32768.0
        ends_s = [start_s for _, start_s in self._marks[1:]] + [len(samples) / self.rate_hz]
        phonemes: list[Phoneme] = []
        for (ipa, start_s), end_s in zip(self._marks, ends_s, strict=True):
            phonemes += _split(ipa, start_s, end_s)
        return samples, phonemes


def _split(ipa: str, start_s: float, end_s: float) -> list[Phoneme]:
    """Split a phoneme such as ``aɪ`` into symbols of equal length, without stress marks."""
    symbols = [c for c in ipa if unicodedata.category(c).startswith("Ll") or c in _SHAPES] or [""]
    edges_s = np.linspace(start_s, end_s, len(symbols) + 1)
    return [
        Phoneme(symbol, float(begin), float(end))
        for symbol, begin, end in zip(symbols, edges_s[:-1], edges_s[1:], strict=True)
    ]


def loudness(samples: Floats, rate_hz: int, times_s: Floats) -> Floats:
    """RMS of the samples around each time, with a window of about 0.1 s."""
    power = gaussian_filter1d(samples**2, 0.025 * rate_hz, mode="constant")
    at = np.clip(np.round(times_s * rate_hz).astype(int), 0, len(samples) - 1)
    return np.asarray(np.sqrt(np.maximum(power[at], 0.0)))


def mouth_curves(
    phonemes: list[Phoneme], samples: Floats, rate_hz: int, times_s: Floats
) -> tuple[Floats, Floats]:
    """Compute mouth shapes: opening (0 closed, 1 open) and spread (-1 rounded, +1 spread).

    The shapes follow from the phonemes; the opening also increases with the loudness, because the
    mouth opens wider in stressed vowels. Both curves are returned at ``times_s``, `LEAD_S` ahead of
    the sound.
    """
    count = round(len(samples) / rate_hz * _CURVE_HZ) + 1
    opening, spread, closure = np.zeros(count), np.zeros(count), np.zeros(count)
    for phoneme in phonemes:
        span = slice(round(phoneme.start_s * _CURVE_HZ), round(phoneme.end_s * _CURVE_HZ))
        if phoneme.symbol:
            opening[span], spread[span] = _SHAPES.get(phoneme.symbol, (0.3, 0.0))
            closure[span] = _CLOSURES.get(phoneme.symbol, 0.0)
    opening = gaussian_filter1d(opening, 0.028 * _CURVE_HZ)
    spread = gaussian_filter1d(spread, 0.040 * _CURVE_HZ)
    # A closure lasts at least a video frame; a shorter one could fall between two frames.
    closure = gaussian_filter1d(maximum_filter1d(closure, 31), 0.008 * _CURVE_HZ)
    curve_s = np.arange(count) / _CURVE_HZ
    volume = loudness(samples, rate_hz, curve_s)
    volume = np.minimum(volume / np.percentile(volume[volume > 1e-3], 90), 1.0)
    opening *= (0.45 + 0.55 * volume) * (1.0 - closure)
    ahead_s = times_s + LEAD_S
    return np.interp(ahead_s, curve_s, opening), np.interp(ahead_s, curve_s, spread)
