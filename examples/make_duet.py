# /// script
# requires-python = ">=3.10,<3.13"
# dependencies = [
#   "av>=14",
#   "espeakng-loader==0.2.4",
#   "matplotlib>=3.8",
#   "mediapipe==0.10.21",
#   "numpy>=1.26",
#   "scikit-image>=0.22",
#   "scipy>=1.11",
#   "soundfile>=0.12",
# ]
# ///
"""Make ``duet.mp4``, in which two people talk at the same time, and each person's voice alone.

The portraits come with scikit-image and matplotlib, the voices with espeak-ng, so that nothing is
downloaded at run time. In an environment with avse:

    pip install scikit-image matplotlib espeakng-loader==0.2.4
    python examples/make_duet.py

or, with nothing installed, ``uv run examples/make_duet.py``. The optional argument is a folder for
the files. It takes a minute or two.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import matplotlib.cbook
import numpy as np
import skimage.data
import soundfile
from duet_face import Image, Pose, TalkingPortrait
from duet_voice import Floats, Phoneme, Synthesiser, Voice, loudness, mouth_curves
from numpy.typing import NDArray
from scipy.signal import resample_poly

WIDTH, HEIGHT = 640, 360
FRAME_RATE_HZ = 25
SAMPLE_RATE_HZ = 48_000
DURATION_S = Fraction(32, 5)
VOICE_RMS = 0.09  # of each voice over the whole file: the two are mixed at 0 dB


@dataclass(frozen=True)
class Person:
    """A person of the duet: portrait, voice, lines and movements."""

    portrait: str
    crop: tuple[int, int, int, int]  # left, top, width, height in the portrait
    voice: Voice
    lines: tuple[tuple[float, str], ...]  # (start in seconds, text)
    blinks_s: tuple[float, ...]
    smile: float  # this and the next two: see TalkingPortrait
    lip_inset: float
    lids: float
    sway_seed: int


PEOPLE = (
    Person(
        portrait="astronaut",
        crop=(127, 4, 200, 225),
        voice=Voice("en-us+f2", words_per_minute=165, pitch=68, pitch_range=55),
        lines=(
            (0.25, "Point at my face, and my voice is all you hear."),
            (3.75, "Now watch my lips and listen again."),
        ),
        blinks_s=(1.3, 3.4, 5.2),
        smile=0.75,
        lip_inset=0.012,
        lids=1.0,
        sway_seed=1,
    ),
    Person(
        portrait="grace_hopper",
        crop=(106, 20, 320, 360),
        voice=Voice("en-us+f4", words_per_minute=150, pitch=32, pitch_range=45),
        lines=(
            (0.95, "Most people never notice how much a moving mouth can show."),
            (5.1, "I am over here."),
        ),
        blinks_s=(0.5, 2.6, 4.8),
        smile=0.0,
        lip_inset=0.0,
        lids=0.9,
        sway_seed=5,
    ),
)


def load_portrait(name: str) -> Image:
    """Read a public-domain portrait from an installed package, BGR."""
    if name == "astronaut":
        image = skimage.data.astronaut()
        return np.ascontiguousarray(image[..., ::-1])
    path = matplotlib.cbook.get_sample_data(f"{name}.jpg", asfileobj=False)
    return np.asarray(cv2.imread(str(path)), dtype=np.uint8)


def speak(person: Person, synthesiser: Synthesiser) -> tuple[Floats, list[Phoneme]]:
    """Synthesise a person's lines: (samples,) at SAMPLE_RATE_HZ, and the phonemes."""
    track = np.zeros(int(DURATION_S * SAMPLE_RATE_HZ))
    phonemes: list[Phoneme] = []
    for start_s, text in person.lines:
        spoken, timed = synthesiser.say(text, person.voice)
        common = np.gcd(SAMPLE_RATE_HZ, synthesiser.rate_hz)
        spoken = resample_poly(spoken, SAMPLE_RATE_HZ // common, synthesiser.rate_hz // common)
        first = round(start_s * SAMPLE_RATE_HZ)
        if first + len(spoken) > len(track):
            raise ValueError(f"{text!r} ends after the video does.")
        track[first : first + len(spoken)] += spoken
        phonemes += [Phoneme(p.symbol, p.start_s + start_s, p.end_s + start_s) for p in timed]
    return track * (VOICE_RMS / np.sqrt(np.mean(track**2))), phonemes


def act(person: Person, samples: Floats, phonemes: list[Phoneme]) -> list[Pose]:
    """Compute the pose of the face in each frame: speech, blinks, and slow motion of the head."""
    times_s = np.arange(int(DURATION_S * FRAME_RATE_HZ)) / FRAME_RATE_HZ
    opening, spread = mouth_curves(phonemes, samples, SAMPLE_RATE_HZ, times_s)
    since_s = times_s[:, None] - np.array(person.blinks_s)
    blink = np.exp(-((since_s / 0.06) ** 2)).max(axis=1)
    random = np.random.default_rng(person.sway_seed)
    rates_hz, phases = random.uniform(0.15, 0.5, (3, 2)), random.uniform(0, 2 * np.pi, (3, 2))
    sway = np.sin(2 * np.pi * rates_hz[..., None] * times_s + phases[..., None]).mean(axis=1)
    nod = np.convolve(loudness(samples, SAMPLE_RATE_HZ, times_s), np.hanning(13) / 6, mode="same")
    return [
        Pose(*(float(value) for value in values))
        for values in zip(
            opening,
            spread,
            blink,
            0.03 * sway[0],
            0.015 * sway[1] + 0.12 * nod,
            1.6 * sway[2],
            strict=True,
        )
    ]


def animate(people: tuple[Person, ...], poses: list[list[Pose]]) -> list[Image]:
    """Draw all frames, with the people side by side and a thin line between them."""
    size = (2 * WIDTH // len(people), 2 * HEIGHT)
    portraits = []
    for person in people:
        left, top, width, height = person.crop
        crop = load_portrait(person.portrait)[top : top + height, left : left + width]
        enlarged = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        portraits.append(
            TalkingPortrait(
                enlarged, smile=person.smile, lip_inset=person.lip_inset, lids=person.lids
            )
        )
    frames = []
    for moment in zip(*poses, strict=True):
        drawn = [portrait.draw(pose) for portrait, pose in zip(portraits, moment, strict=True)]
        frame = np.hstack(drawn)
        for edge in range(WIDTH // len(people), WIDTH, WIDTH // len(people)):
            frame[:, edge - 2 : edge + 2] = 235
        frames.append(frame)
    return frames


def write_video(path: Path, frames: list[Image], mixture: NDArray[np.int16]) -> None:
    """Write H.264 and AAC; both tracks start at zero."""
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as file:
        picture = file.add_stream(
            "libx264", rate=FRAME_RATE_HZ, options={"crf": "20", "preset": "slow"}
        )
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = file.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        sound.bit_rate = 128_000
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE_HZ)
            file.mux(picture.encode(frame))
        file.mux(picture.encode(None))
        block = av.AudioFrame.from_ndarray(mixture[None], format="s16", layout="mono")
        block.sample_rate, block.pts = SAMPLE_RATE_HZ, 0
        block.time_base = Fraction(1, SAMPLE_RATE_HZ)
        file.mux(sound.encode(block))
        file.mux(sound.encode(None))


def make(folder: Path) -> None:
    """Write ``duet.mp4``, ``duet.1.flac`` and ``duet.2.flac`` into ``folder``."""
    synthesiser = Synthesiser()
    voices, poses = [], []
    for number, person in enumerate(PEOPLE, start=1):
        samples, phonemes = speak(person, synthesiser)
        voices.append(np.round(samples * 32768).astype(np.int16))
        poses.append(act(person, samples, phonemes))
        soundfile.write(folder / f"duet.{number}.flac", voices[-1], SAMPLE_RATE_HZ)
    mixture = np.sum(voices, axis=0, dtype=np.int32)
    if np.abs(mixture).max() >= 32768:
        raise ValueError("The mixture clips; lower VOICE_RMS.")
    write_video(folder / "duet.mp4", animate(PEOPLE, poses), mixture.astype(np.int16))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
