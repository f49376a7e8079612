"""From a run to a file of weights that `avse separate --model` takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from avse.errors import InputError, UsageError
from avse.models.network import AVSENet
from avse.models.spec import AVSESpec
from avse.models.weights import save
from avse.train.loop import CHECKPOINT
from avse.train.runs import BEGUN_WITH, averaged, progress


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
        run: folder of a run, whose stage begun last is taken; or of a stage.
        file: where to; replaced by rename.
        bias: added to every claim of real masks.
        half: store 16-bit floats.

    Raises:
        InputError: there is no stage, or its files are damaged.
        UsageError: it is a stage whose weights cannot separate, or have no claims to add to.
    """
    stage = find_stage(run)
    try:
        begun = json.loads((stage / BEGUN_WITH).read_text())
        kind = begun["stage"]["kind"]
        spec = AVSESpec.from_json(json.dumps(begun["network"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{stage / BEGUN_WITH} is damaged: {error}", "run the stage again in another folder"
        ) from error
    if kind in ("ears", "lips"):
        raise UsageError(
            f"stage {stage.name!r} has learnt nothing of separating by lips",
            'export a stage of kind "joint", "phase" or "wave"',
        )
    if bias and spec.mask != "magnitude":
        raise UsageError("complex masks have no claims that a bias could be added to", "leave it")
    network = AVSENet(spec)
    network.load_state_dict(averaged(stage / CHECKPOINT))
    if bias:
        with torch.no_grad():
            claims = network.fusion.mask.bias
            assert claims is not None
            claims.add_(bias)
    save(network.eval(), file, half=half)
    steps, all_steps = progress(stage)
    return Exported(stage.name, steps, all_steps, sum(p.numel() for p in network.parameters()))


def find_stage(run: Path) -> Path:
    """The stage that a folder is, or the one in it that was worked on last.

    Raises:
        InputError: there is none.
    """
    if (run / CHECKPOINT).exists():
        return run
    stages = [path.parent for path in run.glob(f"*/{CHECKPOINT}")] if run.is_dir() else []
    if not stages:
        raise InputError(f"{run} is no run of avse train", "give the folder that -o named")
    return max(stages, key=lambda stage: (stage / CHECKPOINT).stat().st_mtime_ns)
