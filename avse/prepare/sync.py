"""How far are sound and lips of a clip apart? What the network's embeddings say.

The visual stream and the voice stream were trained to agree where lips and voice belong together
(see `avse.training.contrastive`). Moved against each other frame by frame, they agree best where
the clip is in step. A clip of a second says little; clips of one recording are asked together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from avse.faces.lips import network_motion
from avse.sync.agreement import slide
from avse.types import FloatArray
from avse.utils.fingerprint import sha256

if TYPE_CHECKING:
    from avse.models.network import AVSENet

REACH = 6
"""Video frames by which sound may be found late or early."""

VERSION = 1


@lru_cache(maxsize=1)
def listener(model: str) -> AVSENet:
    """The network, loaded once a process.

    Raises:
        MissingWeightsError, CorruptWeightsError: see `avse.models.weights.load`.
    """
    from avse.models.weights import load

    return load(model)


def model_digest(model: str) -> str:
    """Digest of the weights and of the way they are asked.

    Raises:
        MissingWeightsError: there are none.
    """
    from avse.utils.shipped import find

    path, known = find(model)
    return f"{VERSION}-{REACH}-{(known or sha256(path))[:16]}"


def delay_curve(
    network: AVSENet,
    sound: npt.NDArray[np.int16],
    lips: npt.NDArray[np.float16],
    seen: npt.NDArray[np.uint8],
) -> FloatArray:
    """How well lips and sound agree when the sound is taken to be late by -REACH..REACH frames.

    Every delay is judged on the same frames of the lips as far as there is sound, and only on
    frames in which they are seen.

    Args:
        network: in evaluation mode.
        sound: (samples,) 16 kHz.
        lips: (frames, 43, 3).
        seen: (frames,).

    Returns:
        (2 · REACH + 1,) evidence in nats: the mean over frames, times their number.
    """
    import torch

    from avse.models.embeddings import lip_embedding, voice_embedding

    here = seen > 0
    moved = network_motion(lips.astype(np.float32), here)
    with torch.inference_mode():
        voice = voice_embedding(network, torch.from_numpy(sound.astype(np.float32) / 32768)[None])
        mouth = lip_embedding(
            network, torch.from_numpy(moved)[None], torch.from_numpy(here.astype(np.float32))[None]
        )
        gain = float(network.voice.gain.exp())
        a, b = mouth[0].numpy(), voice[0].numpy()
    frames = min(a.shape[1], b.shape[1])
    # Every delay is judged on frames that it has sound for, whatever their number.
    totals, counts = slide(a[:, :frames], b[:, :frames], here[:frames], range(-REACH, REACH + 1))
    curve = gain * totals / np.maximum(counts, 1) * here[:frames].sum()
    return np.asarray(curve, np.float32)
