"""The recipe: `python -m avse.train STAGE ...`, each stage resumable.

    pack-sound  OUT CORPUS=FOLDER ...   speech, or noise: a person a folder
    pack-clips  OUT CORPUS=FOLDER ...   talking-face clips: a person a folder
    lips        RUN --clips OUT         lips and voices learn to know each other: RUN/lips
    joint       RUN --clips OUT --speech OUT --noise OUT --from LIPS    audio and fusion streams
    phase       RUN --clips OUT --speech OUT --noise OUT --from JOINT   the phase residual
    export      RUN FILE.safetensors    the averaged weights of a run

OUT is the name of a pack without its ending; RUN, LIPS and JOINT are folders of runs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from avse.models.network import AVSENet
from avse.models.spec import AVSESpec
from avse.models.weights import save
from avse.train.clips import TalkingClip, TalkingPack
from avse.train.cues import fit_cues
from avse.train.joint import JointStage
from avse.train.loop import Loop, LoopSettings
from avse.train.matching import LipsStage, delay, fit_components
from avse.train.mixing import Mixer, MixSettings, Pack, held_out
from avse.train.packing import by_folder, pack_clips, pack_sound
from avse.train.talking import FaceSettings, TalkingMixer

VALIDATION = MixSettings(voices=(0, 1, 0), noise_probability=0, room_probability=0, tilt_db=0)
PLAIN = FaceSettings(jitter=0, absent=0, lost=0)
HELD_OUT = 0.15


def divide(clips: list[TalkingClip]) -> tuple[list[TalkingClip], list[TalkingClip]]:
    """Clips for training and for validation, divided by person."""
    inside = [c for c in clips if not held_out(f"{c.corpus}/{c.person}", HELD_OUT)]
    outside = [c for c in clips if held_out(f"{c.corpus}/{c.person}", HELD_OUT)]
    return inside, outside


def start(folder: Path | None) -> AVSENet:
    """A new network, or the averaged weights of a run."""
    network = AVSENet(AVSESpec())
    if folder is not None:
        network.load_state_dict(torch.load(folder / "last.pt", weights_only=True)["average"])
    return network


def train_lips(run: Path, options: argparse.Namespace) -> None:
    """Stage "lips", twice: the second time with the delays that the first one found."""
    for part in ("first", "lips"):
        pack = TalkingPack(options.clips)
        inside, outside = divide(pack.clips)
        torch.manual_seed(options.seed)
        network = start(None)
        fit_components(network, inside)
        for unused in (network.audio, network.fusion, network.phase):
            unused.requires_grad_(False)
        stage = LipsStage(
            network,
            TalkingMixer(inside, None, MixSettings(seconds=3.0), FaceSettings(lost=0)),
            TalkingMixer(outside, None, MixSettings(seconds=3.0), PLAIN),
        )
        settings = LoopSettings(
            steps=options.steps,
            learning_rate=2e-3,
            warmup=50,
            decay_share=0.4,
            weight_decay=0.05,
            seed=options.seed,
            average=0.98,
            validate_every=100,
        )
        loop = Loop(network, run / part, settings, stage.step, stage.validate)
        loop.run()
        network.load_state_dict(loop.average)
        if part == "first":
            index = options.clips.with_suffix(".json")
            rows = json.loads(index.read_text())
            for row, clip in zip(rows, pack.clips, strict=True):
                row["delay"] = row.get("delay", 0) + delay(network, clip)
            index.write_text(json.dumps(rows, indent=0))


def train_joint(run: Path, options: argparse.Namespace) -> None:
    """Stages "joint" and "phase"."""
    torch.manual_seed(options.seed)
    network = start(options.start)
    inside, outside = divide(TalkingPack(options.clips).clips)
    bank, scale = fit_cues(network, inside)
    network.fusion.scale.copy_(scale)
    phase = options.stage == "phase"
    network.requires_grad_(False)
    for part in [network.phase] if phase else [network.audio, network.fusion]:
        part.requires_grad_(True)
    settings = MixSettings(voices=(0.15, 0.75, 0.10), noise_probability=0.25, room_probability=0.15)
    noise = Pack(options.noise)
    stage = JointStage(
        network,
        Mixer(Pack(options.speech), noise, settings),
        TalkingMixer(inside, noise, settings, FaceSettings(absent=options.absent)),
        TalkingMixer(outside, None, VALIDATION, PLAIN),
        bank,
        (6, 3),
        phase=phase,
        absent=options.absent,
    )
    loop = LoopSettings(
        steps=options.steps,
        learning_rate=options.rate,
        warmup=30 if phase else 100,
        seed=options.seed,
        average=0.98 if phase else 0.995,
        validate_every=200,
    )
    Loop(network, run, loop, stage.step, stage.validate).run()


def main() -> None:
    """Read the arguments and run a stage."""
    parser = argparse.ArgumentParser(
        prog="python -m avse.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = parser.add_subparsers(dest="stage", required=True)
    for name in ("pack-sound", "pack-clips"):
        stage = stages.add_parser(name)
        stage.add_argument("out", type=Path)
        stage.add_argument("folders", nargs="+", metavar="CORPUS=FOLDER")
    for name, steps in (("lips", 500), ("joint", 4200), ("phase", 200)):
        stage = stages.add_parser(name)
        stage.add_argument("run", type=Path)
        stage.add_argument("--clips", type=Path, required=True)
        stage.add_argument("--steps", type=int, default=steps)
        stage.add_argument("--seed", type=int, default=3)
        if name != "lips":
            stage.add_argument("--speech", type=Path, required=True)
            stage.add_argument("--noise", type=Path, required=True)
            stage.add_argument("--from", dest="start", type=Path, required=True)
            stage.add_argument("--rate", type=float, default=1.5e-3)
            stage.add_argument(
                "--absent", type=float, default=0.0, help="share of faces that do not speak"
            )
    stage = stages.add_parser("export")
    stage.add_argument("run", type=Path)
    stage.add_argument("file", type=Path)
    stage.add_argument(
        "--bias",
        type=float,
        default=0.0,
        help="added to every claim: how far faces are favoured over nobody (calibrate on held-out)",
    )
    options = parser.parse_args()
    if options.stage in ("pack-sound", "pack-clips"):
        pack = pack_sound if options.stage == "pack-sound" else pack_clips
        recordings = []
        for entry in options.folders:
            corpus, _, folder = entry.partition("=")
            recordings += by_folder(Path(folder), corpus)
        for reason in pack(recordings, options.out):
            print("left out", reason)
    elif options.stage == "lips":
        train_lips(options.run, options)
    elif options.stage in ("joint", "phase"):
        train_joint(options.run, options)
    else:
        network = start(options.run).eval()
        with torch.no_grad():
            bias = network.fusion.mask.bias
            assert bias is not None
            bias.add_(options.bias)
        save(network, options.file, half=True)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
