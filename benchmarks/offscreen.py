"""Measure the separation of off-screen speech from the rest.

Makes scenes of eight seconds with one face from packs of `avse prepare`: the person talks or is
silent, an off-screen speaker (the narrator) may talk, and there may be a crowd (six voices of the
speech pack) and noise. Measures the stems of the face, the narrator and the crowd: the SI-SDR
improvement where the source is present, and the level relative to the mixture where it is absent.

    python benchmarks/offscreen.py lrw --splits test --speech speech --noise noise
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scenes import Cast, face, silenced, told

from avse.data.clips import Sounds
from avse.dsp.stft import SAMPLE_RATE, VIDEO_RATE
from avse.inference.gate import gated
from avse.inference.mask_applier import MaskApplier
from avse.inference.mask_estimator import MaskEstimator
from avse.inference.networks import SeparationNetwork, open_network
from avse.inference.offscreen import OffscreenNetworks
from avse.inference.offscreen_weights import load_offscreen
from avse.inference.speaker_tracking import SpeakerTracker
from avse.metrics.si_sdr import si_sdr
from avse.settings import Settings
from avse.training.data import PackedSounds
from avse.training.mixing import set_level
from avse.training.offscreen import piece
from avse.types import FloatArray

SECONDS = 8
FRAMES = SECONDS * VIDEO_RATE
VOICES = 6
NOISE_DB = -15.0
"""Level of the noise relative to a voice, in dB, in scenes with noise."""


@dataclass(frozen=True)
class Case:
    """The sources of a scene.

    Attributes:
        name: of the case.
        seen: whether the visible person talks.
        narrator: when the off-screen speaker talks: "always", by "turns" with the visible person,
            or never ("").
        crowd_db, noise_db: levels relative to a voice, None for none.
    """

    name: str
    seen: bool
    narrator: str = ""
    crowd_db: float | None = None
    noise_db: float | None = NOISE_DB


CASES = (
    Case("voice-over, the face keeps still", False, "always"),
    Case("by turns", True, "turns"),
    Case("at once", True, "always"),
    Case("by turns, before a crowd", True, "turns", -10.0),
    Case("only the face, before a crowd", True, "", -5.0),
    Case("only the face", True),
    Case("only the face, loud noise", True, "", None, 0.0),
)


@dataclass
class Parts:
    """The sources of a drawn scene, (samples,) each."""

    seen: FloatArray
    narrator: FloatArray
    crowd: FloatArray
    noise: FloatArray

    @property
    def mixture(self) -> FloatArray:
        return self.seen + self.narrator + self.crowd + self.noise


def draw(
    rng: np.random.Generator, cast: Cast, case: Case, speech: Sounds, noises: Sounds
) -> tuple[Parts, FloatArray]:
    """Draw a scene; returns its sources, and the lips of the visible person."""
    first, second = cast.draw(rng, 2)
    mine, theirs = cast.talk(rng, first, FRAMES), cast.talk(rng, second, FRAMES)
    turn = (np.arange(FRAMES) // (2 * VIDEO_RATE)) % 2 == 0
    everywhere = np.ones(FRAMES, bool)
    speaks = everywhere & case.seen & (turn if case.narrator == "turns" else everywhere)
    narrates = everywhere & bool(case.narrator)
    narrates &= ~turn if case.narrator == "turns" else everywhere
    still = cast.still(rng, first, FRAMES)
    lips = np.where(speaks[:, None, None], mine[1], still)
    samples = len(mine[0])
    nothing = np.zeros(samples, np.float32)
    crowd = noise = nothing
    if case.crowd_db is not None:
        crowd = sum((set_level(piece(rng, speech, samples), 0.1) for _ in range(VOICES)), nothing)
        crowd = set_level(crowd, 0.1 * 10 ** (case.crowd_db / 20))
    if case.noise_db is not None:
        noise = set_level(piece(rng, noises, samples), 0.1 * 10 ** (case.noise_db / 20))
    gain = np.float32(10 ** (rng.uniform(-3, 3) / 20))
    parts = Parts(silenced(mine[0], speaks), gain * silenced(theirs[0], narrates), crowd, noise)
    return parts, lips


def separated(
    network: SeparationNetwork, offscreen: OffscreenNetworks, mixture: FloatArray, lips: FloatArray
) -> FloatArray:
    """Separate a mixture: (3, samples), the visible person, the narrator and the crowd."""
    usual = Settings()
    faces = [face(lips, np.ones(len(lips), bool))]
    estimator = MaskEstimator(
        network, faces, window_s=usual.window_s, overlap=usual.overlap, offscreen=offscreen
    )
    applier = MaskApplier(SAMPLE_RATE, 1, 3)
    for block in SpeakerTracker(estimator.presence).assigned(
        gated(estimator.masks([mixture[None]]))
    ):
        applier.push_masks(block.masks)
    applier.push_audio(mixture[None])
    return np.concatenate([applier.apply(), applier.finish()], axis=-1)[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packs", type=Path, nargs="+", help="packs of talking faces")
    parser.add_argument("--splits", nargs="*", default=[])
    parser.add_argument("--speech", type=Path, required=True, help="a pack; its split test is used")
    parser.add_argument("--noise", type=Path, required=True, help="a pack; its split test is used")
    parser.add_argument("--count", type=int, default=40, help="scenes of each kind and pack")
    parser.add_argument("--model", default=Settings.model)
    parser.add_argument("--offscreen-model", default=Settings.offscreen_model)
    given = parser.parse_args()
    network, offscreen = open_network(given.model), load_offscreen(given.offscreen_model)
    speech, noises = (PackedSounds([str(pack)], "test") for pack in (given.speech, given.noise))
    for pack in given.packs:
        cast = Cast(pack, tuple(given.splits))
        print(f"\n{pack.name}: {len(cast.people)} people")
        for number, case in enumerate(CASES):
            found: dict[str, list[float]] = {}
            for n in range(given.count):
                rng = np.random.default_rng([n, number])
                parts, lips = draw(rng, cast, case, speech, noises)
                mixture = parts.mixture
                stems = separated(network, offscreen, mixture, lips)
                for name, stem, truth in (
                    ("the face", stems[0], parts.seen),
                    ("narrator", stems[1], parts.narrator),
                    ("crowd", stems[2], parts.crowd),
                ):
                    after, before = si_sdr(stem, truth), si_sdr(mixture, truth)
                    if after is not None and before is not None:
                        found.setdefault(f"{name}: SI-SDR before", []).append(before)
                        found.setdefault(f"{name}: SI-SDR, change", []).append(after - before)
                    elif name != "the face" or not case.seen:
                        power = np.mean(stem**2) / np.mean(mixture**2)
                        level_db = 10 * np.log10(power + 1e-10)
                        found.setdefault(f"{name}: absent, level", []).append(level_db)
            print(f"  {case.name}")
            for name, values in found.items():
                print(f"    {name:28} {told(values)} dB")


if __name__ == "__main__":
    main()
