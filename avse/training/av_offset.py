"""Estimate the A/V offset of each clip with the embeddings of a run's own "lips" stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np

from avse.data.pack import PreparedPack
from avse.errors import InputError
from avse.inference.networks import as_network
from avse.media.atomic_files import appearing
from avse.models.network import AVSENet
from avse.prepare.delays import estimate
from avse.prepare.sync import delay_curve
from avse.training.data import key
from avse.training.recipe import DataSettings
from avse.utils.schema import fit, load_json

DELAYS = "delays.json"


def estimate_delays(network: AVSENet, data: DataSettings) -> dict[str, int]:
    """Delays of all clips in which the estimate is confident enough.

    Args:
        network: with trained visual and voice streams; in evaluation mode, on the CPU.
        data: the packs, and the confidence from which an estimate is applied; below it, the sound
            is not shifted.

    Returns:
        Video frames by which the sound is late; see `avse.training.data.Delays`.
    """
    names, curves, groups = [], [], []
    listener = as_network(network)
    for folder in data.clips:
        pack = PreparedPack(Path(folder))
        for clip in pack.clips:
            arrays = (pack.tensor(clip, name) for name in ("sound", "lips", "seen"))
            names.append(key(pack, clip.id))
            curves.append(delay_curve(listener, *arrays))
            recording = clip.recording
            groups.append(None if recording is None else f"{pack.folder.name}/{recording}")
    if not names:
        return {}
    found, confidence = estimate(np.stack(curves).astype(np.float64), groups)
    return {
        name: int(late) if sure >= data.confident else 0
        for name, late, sure in zip(names, found, confidence, strict=True)
    }


def write_delays(delays: dict[str, int], folder: Path) -> None:
    """Write the delays to the folder of the stage that estimated them, atomically by rename."""
    with appearing(folder / DELAYS) as temporary:
        temporary.write_text(json.dumps(delays))


def read_delays(folder: Path) -> dict[str, int]:
    """Read the delays that `write_delays` wrote.

    Raises:
        InputError: the file is damaged.
    """
    try:
        found = load_json((folder / DELAYS).read_text())
        return cast("dict[str, int]", fit(found, dict[str, int], "the delays"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the delays in {folder} cannot be read: {error}", f"remove {folder / DELAYS}"
        ) from error
