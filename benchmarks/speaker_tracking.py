"""Measure speaker tracking by voice while a face is lost.

Two people, A and B, are visible for six seconds and talk by turns. Then A's face is lost for six
seconds, in which A talks; A and B talk at once; an off-screen stranger talks, alone or with B; or B
talks alone. Measures in these six seconds how much of A's voice is in A's stem (signal-to-noise
ratio), and the level of other voices in it, with three settings: with enrolment and tracking (the
default), with tracking only (`--no-enrol`), and with neither (`--no-enrol --no-carry`).

    python benchmarks/speaker_tracking.py lrw --splits test --count 60
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scenes import Cast, face, silenced, told

from avse.data.clips import SAMPLES_PER_FRAME
from avse.dsp.stft import SAMPLE_RATE, VIDEO_RATE
from avse.inference.engine import Engine
from avse.inference.networks import SeparationNetwork, open_network
from avse.inference.offscreen import OffscreenNetworks
from avse.inference.offscreen_weights import load_offscreen
from avse.inference.sound import ArraySound
from avse.models.presence import REACH
from avse.settings import Settings
from avse.types import FloatArray

SEEN_S, LOST_S = 6, 6
CASES = ("A", "A and B", "stranger", "stranger and B", "B")


@dataclass
class Scene:
    """A scene with A and B.

    Attributes:
        mixture: (samples,) all sound.
        own, other: (samples,) the voices of A and B.
        faces: lips (frames, points, 3) of A and B, and in which frames they are visible.
    """

    mixture: FloatArray
    own: FloatArray
    other: FloatArray
    faces: list[tuple[FloatArray, npt.NDArray[np.bool_]]]


def scene(rng: np.random.Generator, cast: Cast, case: str) -> Scene:
    """Draw a scene."""
    seen, frames = SEEN_S * VIDEO_RATE, (SEEN_S + LOST_S) * VIDEO_RATE
    names = cast.draw(rng, 3)
    talks = [cast.talk(rng, name, frames) for name in names]
    still = [cast.still(rng, name, frames) for name in names[:2]]
    turn = np.arange(frames) // (seen // 2)
    lost = np.arange(frames) >= seen
    speaks_a = (turn == 0) | (lost & (case in ("A", "A and B")))
    speaks_b = (turn == 1) | (lost & case.endswith("B"))
    own = silenced(talks[0][0], speaks_a)
    other = silenced(talks[1][0], speaks_b) * np.float32(10 ** (rng.uniform(-3, 3) / 20))
    # A cast of two people has no stranger; `main` leaves these cases out.
    stranger = np.zeros_like(own)
    if case.startswith("stranger") and len(names) > 2:
        stranger = silenced(talks[2][0], lost)
    lips = [
        np.where(speaks[:, None, None], talk[1], quiet)
        for speaks, talk, quiet in zip((speaks_a, speaks_b), talks, still, strict=False)
    ]
    noise = rng.normal(0, 1e-3, own.shape).astype(np.float32)
    mixture = own + other + stranger + noise
    return Scene(mixture, own, other, [(lips[0], ~lost), (lips[1], np.ones(frames, bool))])


WAYS = {
    "enrolled": Settings(),
    "carried": Settings(enrol=False),
    "not carried": Settings(enrol=False, carry=False),
}


def answers(
    network: SeparationNetwork, offscreen: OffscreenNetworks, made: Scene
) -> dict[str, FloatArray]:
    """Setting -> the stems of A and B, (2, samples)."""
    faces = [face(lips, seen) for lips, seen in made.faces]
    sound = ArraySound(made.mixture[None], SAMPLE_RATE)
    out = {}
    for way, settings in WAYS.items():
        engine = Engine(network, settings, offscreen)
        run = engine.run(faces, sound, enrolment=engine.enrol(faces, sound))
        out[way] = np.concatenate([block.stems for block in run.blocks([0, 1])], axis=-1)[:, 0]
    return out


def level_db(x: FloatArray, reference: FloatArray) -> float:
    return float(10 * np.log10((np.mean(x**2) + 1e-12) / (np.mean(reference**2) + 1e-12)))


def figures(case: str, made: Scene, voices: FloatArray) -> dict[str, float]:
    """Measure the stems of A and B while A's face is lost, in dB."""
    lost = slice((SEEN_S * VIDEO_RATE + REACH) * SAMPLES_PER_FRAME, None)
    heard, own, other, a, b = (x[lost] for x in (made.mixture, made.own, made.other, *voices))
    found = {}
    if "A" in case:
        found = {"SNR of A": -level_db(a - own, own), "level of A": level_db(a, own)}
    else:
        found = {"level of A re all": level_db(a, heard)}
    if "B" in case:
        found["SNR of B"] = -level_db(b - other, other)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--splits", nargs="*", default=[])
    parser.add_argument("--count", type=int, default=40, help="scenes of each kind and pack")
    parser.add_argument("--model", default=Settings.model)
    parser.add_argument("--offscreen-model", default=Settings.offscreen_model)
    given = parser.parse_args()
    network, offscreen = open_network(given.model), load_offscreen(given.offscreen_model)
    for pack in given.packs:
        cast = Cast(pack, tuple(given.splits))
        print(f"\n{pack.name}: {len(cast.people)} people")
        if len(cast.people) < 2:
            parser.error(f"{pack} has clips of fewer than two people in those splits")
        for number, case in enumerate(CASES):
            if case.startswith("stranger") and len(cast.people) < 3:
                continue
            found: dict[str, list[float]] = {}
            for n in range(given.count):
                made = scene(np.random.default_rng([n, number]), cast, case)
                for way, voices in answers(network, offscreen, made).items():
                    for name, value in figures(case, made, voices).items():
                        found.setdefault(f"{name}, {way}", []).append(value)
            for name in sorted(found):
                median = float(np.median(found[name]))
                print(f"  {case:14} {name:40} {told(found[name])} dB, median {median:.1f}")


if __name__ == "__main__":
    main()
