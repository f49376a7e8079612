"""Export a run to a weights file for `avse separate --model`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from avse.errors import InputError, UsageError
from avse.inference.offscreen_weights import save_offscreen
from avse.models.network import AVSENet
from avse.models.offscreen import OffscreenNet
from avse.models.spec import AVSESpec, OffscreenSpec, VoiceprintSpec
from avse.models.voiceprint import VoiceprintNet
from avse.models.weights import save
from avse.training.loop import CHECKPOINT, take_over
from avse.training.recipe import SEPARATION_KINDS
from avse.training.run_folder import BEGUN_WITH, averaged, progress
from avse.utils.schema import load_json

OFFSCREEN_KINDS = ("offscreen", "voiceprint")
"""Kinds of stages whose weights go into one file."""


@dataclass(frozen=True)
class Exported:
    """What was exported: the stage, its steps done and to do, and the network's parameters."""

    stage: str
    steps: int
    all_steps: int
    parameters: int


def export_weights(run: Path, file: Path, *, bias: float = 0.0, half: bool = True) -> Exported:
    """Write the averaged weights of a stage.

    Args:
        run: folder of a stage, or of a run, whose most recent stage is exported.
        file: path of the output; replaced by rename.
        bias: added to the mask logits of real masks.
        half: store 16-bit floats.

    Raises:
        InputError: there is no stage, or its files are damaged.
        UsageError: it is a stage whose weights cannot separate, or have no mask logits.
    """
    stage = find_stage(run)
    kind, begun = _begun_with(stage)
    if kind in OFFSCREEN_KINDS:
        if bias:
            raise UsageError(
                "off-screen networks have no mask logits for a bias", "leave --bias out"
            )
        return _export_offscreen(stage.parent, file, half=half)
    spec = AVSESpec.from_json(json.dumps(begun["network"]))
    if kind not in SEPARATION_KINDS:
        raise UsageError(
            f"stage {stage.name!r} did not train lip-based separation",
            'export a stage of kind "joint", "phase" or "wave"',
        )
    if bias and spec.mask != "magnitude":
        raise UsageError("complex masks have no mask logits for a bias", "leave --bias out")
    state = averaged(stage / CHECKPOINT)
    with torch.device("meta"):  # a file may describe a network too large for any machine
        needed = {name: value.shape for name, value in AVSENet(spec).state_dict().items()}
    if needed != {name: value.shape for name, value in state.items()}:
        raise InputError(
            f"the checkpoint of {stage} is not of the network that {BEGUN_WITH} describes",
            "run the stage again in another folder",
        )
    network = AVSENet(spec)
    network.load_state_dict(state)
    if bias:
        with torch.no_grad():
            logits = network.fusion.mask.bias
            assert logits is not None
            logits.add_(bias)
    save(network.eval(), file, half=half)
    steps, all_steps = progress(stage)
    return Exported(stage.name, steps, all_steps, sum(p.numel() for p in network.parameters()))


def _begun_with(stage: Path) -> tuple[str, dict[str, Any]]:
    """The kind of a stage, and all settings with which it began.

    Raises:
        InputError: that cannot be read.
    """
    try:
        begun: dict[str, Any] = load_json((stage / BEGUN_WITH).read_text())
        if not isinstance(begun["network"], dict):
            raise TypeError("network")
        return str(begun["stage"]["kind"]), begun
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{stage / BEGUN_WITH} is damaged: {error}", "run the stage again in another folder"
        ) from error


def _export_offscreen(run: Path, file: Path, *, half: bool) -> Exported:
    """Write one file from the two stages of a run that train off-screen separation.

    Raises:
        UsageError: there are not both.
        InputError: their files are damaged.
    """
    stages = {_begun_with(path.parent)[0]: path.parent for path in run.glob(f"*/{CHECKPOINT}")}
    missing = [kind for kind in OFFSCREEN_KINDS if kind not in stages]
    if missing:
        raise UsageError(
            f"{run} has no stage of kind {missing[0]!r}",
            f"both are needed: {', '.join(OFFSCREEN_KINDS)}",
        )
    network, voiceprint = OffscreenNet(OffscreenSpec()), VoiceprintNet(VoiceprintSpec())
    steps = all_steps = parameters = 0
    for kind, part in zip(OFFSCREEN_KINDS, (network, voiceprint), strict=True):
        take_over(part, averaged(stages[kind] / CHECKPOINT), stages[kind] / CHECKPOINT)
        done = progress(stages[kind])
        steps, all_steps = steps + done[0], all_steps + done[1]
        parameters += sum(p.numel() for p in part.parameters())
    save_offscreen(network.eval(), voiceprint.eval(), file, half=half)
    return Exported(" and ".join(OFFSCREEN_KINDS), steps, all_steps, parameters)


def find_stage(run: Path) -> Path:
    """The stage that a folder is, or the one in it that was worked on last.

    Raises:
        InputError: there is none.
    """
    if (run / CHECKPOINT).exists():
        return run
    stages = [path.parent for path in run.glob(f"*/{CHECKPOINT}")] if run.is_dir() else []
    if not stages:
        raise InputError(f"{run} is not a run of avse train", "give the folder that -o named")
    return max(stages, key=lambda stage: (stage / CHECKPOINT).stat().st_mtime_ns)
