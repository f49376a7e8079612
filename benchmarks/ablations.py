"""Ablation study of the network: train variants that differ in one choice each.

    python benchmarks/ablations.py RECIPE.toml -o RUNS
    python benchmarks/ablations.py RECIPE.toml -o RUNS --only reference once --mixtures 100

RECIPE is a recipe of `avse train` with two stages, "lips" and "joint"; see
benchmarks/ablations.toml. The reference is trained by the recipe as it is, and every variant
differs from it in one choice. All variants start from the visual stream of the reference, and train
on equally many mixtures, which are the same as far as possible. All are evaluated on the same
mixtures of two unseen people, from the test split of each pack, or from its valid split if it has
no test split; and on mixtures of two voices without a picture, with pseudo-visual embeddings made
from their sound. Runs resume; results are stored in RUNS/VARIANT/measured.json. Prints a Markdown
table: means with 95 % intervals, and paired differences from the reference.

These runs are short. They measure how fast a network learns, which may differ from how good it is
after a long training.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avse.evaluation.statistics import interval
from avse.models.network import AVSENet
from avse.models.spec import PRESETS, AVSESpec
from avse.models.weights import save
from avse.training.audio_only import AudioOnlyStage
from avse.training.compute import Compute, computing, moved
from avse.training.data import PackedSounds, open_corpora
from avse.training.loop import CHECKPOINT, read_checkpoint
from avse.training.mixing import Mixer, MixSettings
from avse.training.recipe import QuerySettings, Recipe, StageSettings
from avse.training.recipe_file import read_recipe
from avse.training.recipe_runner import run_recipe
from avse.training.run_folder import averaged
from avse.training.separation_stage import SeparationStage
from avse.training.stages import make_stage
from avse.training.validating import Validator

REFERENCE, FLOOR = "reference", "audio-only"
SPEECH = "speech, made cues"
SEED = 7
SECONDS = 2.88
"""Length of the mixtures for evaluation in seconds, that of a GRID sentence."""

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "once": ("lips joined to the sound once, not in every block", {"conditioning": "once"}),
    "complex": ("complex mask instead of magnitude mask and phase head", {"mask": "complex"}),
    "apart": ("no exchange between the faces", {"others": False}),
    **{size: (f"size: {size}", {"preset": size}) for size in PRESETS},
}
"""Variants of the network: name -> description, and fields of `AVSESpec`."""

STAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "faces": ("no pseudo-visual embeddings: real faces only, as many mixtures", {"speech": 0}),
    "lost": ("lips of half the faces lost for a while", {"lost": 0.5}),
    "seeing": ("the visual stream is trained, too", {"train": ("visual", "audio", "fusion")}),
    "absent": ("a fifth of the faces without their voice", {"absent": 0.2}),
    "turned": ("with a phase head, trained for as many further steps", {"kind": "phase"}),
    FLOOR: ("no lips: three outputs, assigned by an oracle (the floor)", {"kind": FLOOR}),
}
"""Variants of the training: name -> description, and changed fields."""


def main() -> None:
    """Read the options, train and evaluate the variants, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=[REFERENCE, *NETWORKS, *STAGES])
    parser.add_argument("--mixtures", type=int, default=100, help="mixtures for each pack")
    parser.add_argument("-d", "--device", default="auto")
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    names = args.only or [REFERENCE, *NETWORKS, *STAGES]
    with computing(args.device, recipe.precision) as compute:
        for name in names:
            path = args.output / name / "measured.json"
            if not path.exists():
                found = train(name, recipe, args.output, compute)
                scores = measure(found, args.mixtures, compute)
                path.write_text(json.dumps(scores))
    known = [
        n for n in [REFERENCE, *NETWORKS, *STAGES] if (args.output / n / "measured.json").exists()
    ]
    print(table({n: json.loads((args.output / n / "measured.json").read_text()) for n in known}))


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained variant: its recipe, the stage that is evaluated, and the checkpoint's folder."""

    recipe: Recipe
    stage: StageSettings
    folder: Path


def train(name: str, recipe: Recipe, runs: Path, compute: Compute) -> Trained:
    """Train a variant; unfinished training is resumed, finished training is not repeated."""
    whole = name in (REFERENCE, "turned")
    only = None if whole else recipe.stages[0].name
    run_recipe(recipe, runs / REFERENCE, compute, only=only)
    lips, joint = recipe.stages[0], recipe.stages[1]
    before = runs / REFERENCE / lips.name / CHECKPOINT
    spec, stage = recipe.network, joint
    if name in NETWORKS:
        spec = changed(spec, NETWORKS[name][1])
    elif name in STAGES:
        stage, before = otherwise(name, joint, runs / REFERENCE, before)
    if name != REFERENCE:
        start = runs / name / "start.safetensors"
        if not start.exists():
            start.parent.mkdir(parents=True, exist_ok=True)
            save(begun(spec, averaged(before), joint.seed), start, half=False)
        stage = dataclasses.replace(stage, start=str(start))
        recipe = dataclasses.replace(recipe, network=spec, stages=(stage,))
        run_recipe(recipe, runs / name, compute)
    return Trained(recipe, stage, runs / name / stage.name)


def changed(spec: AVSESpec, fields: dict[str, Any]) -> AVSESpec:
    """Change fields of a specification, or take that of another size."""
    rest = {k: v for k, v in fields.items() if k != "preset"}
    return dataclasses.replace(PRESETS[fields["preset"]] if "preset" in fields else spec, **rest)


def otherwise(
    name: str, joint: StageSettings, reference: Path, lips: Path
) -> tuple[StageSettings, Path]:
    """Return the stage of a variant, and the checkpoint that it starts from."""
    total = joint.faces + joint.speech
    if name == "seeing":
        return dataclasses.replace(joint, **STAGES[name][1]), lips
    if name == "turned":
        turned = dataclasses.replace(
            joint, kind="phase", name="phase", optimiser="adamw", learning_rate=1e-3
        )
        return turned, reference / joint.name / CHECKPOINT
    if name == FLOOR:
        return dataclasses.replace(joint, kind=FLOOR, name=FLOOR, speech=total), lips
    if name == "faces":
        return dataclasses.replace(joint, speech=0, faces=total), lips
    if name == "lost":
        return dataclasses.replace(joint, face=dataclasses.replace(joint.face, lost=0.5)), lips
    face = dataclasses.replace(joint.face, absent=0.2)
    query = dataclasses.replace(joint.query, absent=0.1)
    return dataclasses.replace(joint, face=face, query=query), lips


def begun(spec: AVSESpec, weights: dict[str, torch.Tensor], seed: int) -> AVSENet:
    """Build a network with trained streams of lips and voice; all weights are used if they fit."""
    torch.manual_seed(seed)
    network = AVSENet(spec)
    own = network.state_dict()
    whole = all(k in weights and weights[k].shape == v.shape for k, v in own.items())
    for key in own:
        if whole or key.startswith(("visual.", "voice.")):
            own[key] = weights[key]
    network.load_state_dict(own)
    return network


def measure(found: Trained, mixtures: int, compute: Compute) -> dict[str, Any]:
    """Evaluate a variant on every pack.

    Returns:
        The number of parameters, and a row for each voice: its mixture, its SI-SDR improvement,
        and whether the estimate is closer to another voice.
    """
    corpora = open_corpora(found.recipe.data, delays=None)
    tested = open_corpora(dataclasses.replace(found.recipe.data, valid="test"), delays=None)
    corpora = dataclasses.replace(corpora, held_out=corpora.held_out | tested.held_out)
    settings = dataclasses.replace(
        found.stage,
        speech=max(1, found.stage.speech),
        query=QuerySettings(alone=0, lost=0, late=0, still=0),
        validate_mixtures=round(mixtures / 0.75),
        mix=dataclasses.replace(found.stage.mix, seconds=SECONDS),
    )
    network = AVSENet(found.recipe.network).to(compute.device)
    stage = make_stage(network, settings, corpora, found.folder, compute)
    stage.module.load_state_dict(read_checkpoint(found.folder / CHECKPOINT)["average"])
    stage.module.eval()
    weights = sum(
        p.numel() for n, p in network.named_parameters() if not n.startswith(("voice.", "phase."))
    )
    assert isinstance(stage, AudioOnlyStage | SeparationStage)
    scores: dict[str, Any] = {"parameters": weights, "packs": {}}
    validator = Validator(
        corpora.held_out, seconds=SECONDS, count=settings.validate_mixtures, compute=compute
    )
    for name in corpora.held_out:
        if isinstance(stage, AudioOnlyStage):
            gains = stage.gains(name)
            rows = [{"mixture": n, "gain": g, "wrong": None} for n, g in enumerate(gains)]
        else:
            rows = [dataclasses.asdict(v) for v in validator.voices(network.eval(), name)]
        scores["packs"][name] = rows
    if mixer := speech(found.recipe, compute):
        scores["packs"][SPEECH] = asked(stage, mixer, mixtures)
    return scores


def speech(recipe: Recipe, compute: Compute) -> Mixer | None:
    """Make a mixer of two unseen voices; None if there are none."""
    sounds = PackedSounds(recipe.data.speech, "test")
    settings = MixSettings(
        seconds=SECONDS, voices=(0.0, 1.0), noise_probability=0, room_probability=0, tilt_db=0
    )
    return Mixer(sounds, None, settings) if sounds.clips else None


@torch.no_grad()
def asked(
    stage: AudioOnlyStage | SeparationStage, mixer: Mixer, mixtures: int
) -> list[dict[str, Any]]:
    """Measure the SI-SDR improvement of each voice, extracted by its pseudo-visual embedding."""
    rows: list[dict[str, Any]] = []
    for first in range(0, mixtures, 10):
        rng = np.random.default_rng([SEED, first])
        drawn = mixer.draw(rng, min(10, mixtures - first))
        if isinstance(stage, AudioOnlyStage):
            gains = stage.gains_of(drawn)
            owners = list(range(len(gains)))
        else:
            moved_batch = moved(drawn, stage.compute.device)
            queries = stage.query_builder.speech(moved_batch, rng)
            gains = stage.figures(queries, 0)[1]["gain"].tolist()
            owners = queries.owner.tolist()
        rows += [
            {"mixture": first + owner, "gain": gain, "wrong": None}
            for owner, gain in zip(owners, gains, strict=True)
        ]
    return rows


def table(scores: dict[str, dict[str, Any]]) -> str:
    """Format the results as a Markdown table."""
    about = {REFERENCE: "the reference"} | {k: v[0] for k, v in (NETWORKS | STAGES).items()}
    packs = list(next(iter(scores.values()))["packs"])
    head = "".join(f" {p}: SI-SDRi, dB | difference | wrong, % | silent, dB |" for p in packs)
    lines = [f"| variant | million weights |{head}", "|---|---|" + "---|---|---|---|" * len(packs)]
    for name, found in scores.items():
        cells = [f"{name}: {about[name]}", f"{found['parameters'] / 1e6:.1f}"]
        for pack in packs:
            rows = found["packs"][pack]
            gains = by_mixture(rows, "gain")
            cells.append(told(gains.values()))
            base = by_mixture(scores.get(REFERENCE, found)["packs"][pack], "gain")
            both = [gains[m] - base[m] for m in gains if m in base]
            cells.append("" if name == REFERENCE else told(both))
            wrong = by_mixture(rows, "wrong")
            cells.append(f"{100 * np.mean(list(wrong.values())):.1f}" if wrong else "")
            silent = by_mixture(rows, "silent_db")
            cells.append(f"{np.mean(list(silent.values())):.0f}" if silent else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_mixture(rows: list[dict[str, Any]], key: str) -> dict[int, float]:
    """Mixture -> mean of a score over those of its voices for which it is defined."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row.get(key) is not None:
            found.setdefault(row["mixture"], []).append(row[key])
    return {mixture: float(np.mean(values)) for mixture, values in found.items()}


def told(values: Iterable[float]) -> str:
    """Format the mean and its 95 % interval."""
    numbers = np.array(list(values))
    if not len(numbers):
        return ""
    low, high = interval(numbers, [str(n) for n in range(len(numbers))])
    return f"{numbers.mean():+.2f}" + ("" if low is None else f" ({low:+.2f} to {high:+.2f})")


if __name__ == "__main__":
    main()
