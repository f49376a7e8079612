"""Draw enrolment sounds on the training device.

The same as `avse.training.enrolment` on the CPU, with one difference: if a mixture uses a clip in
several places, the parts between these places count as used too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from avse.data.clips import SAMPLES_PER_FRAME
from avse.training.device_corpora import LOUD, PIECES, ClipIndex, DeviceRandom, Pieces, joined_on
from avse.training.enrolment import COMPANY, COMPANY_DB, LEAST, LONGEST, PIECE

CANDIDATES = PIECES
"""Clips of a person that are drawn to be enrolled with: as many as a voice is joined from, so that
the same compiled kernel reads both."""

MARGIN = 2 * SAMPLES_PER_FRAME
"""Samples around a piece that count as used, since its sound may have been moved."""


def unused(index: ClipIndex, clip: Tensor, used: Pieces, length: int) -> tuple[Tensor, Tensor]:
    """The longest unused stretch at either end of a clip.

    Args:
        index: of all clips.
        clip: (mixtures, voices, candidates).
        used: by all voices of a mixture: (mixtures, pieces), speed included.
        length: of a mixture in samples.

    Returns:
        First sample, and number of samples; both like `clip`.
    """
    start, size = index.begin[clip], index.length[clip]
    lasts = torch.minimum(used.lasts, (length - used.at).clamp_min(0))
    first = (used.skipped * used.speed).long() - MARGIN
    last = ((used.skipped + lasts) * used.speed).long() + MARGIN
    # (mixtures, voices, candidates, pieces)
    same = (used.begin[:, None, None] == start[..., None]) & (lasts > 0)[:, None, None]
    begin = torch.where(same, first[:, None, None], size[..., None]).amin(dim=-1)
    end = torch.where(same, last[:, None, None], 0).amax(dim=-1)
    before, after = begin.clamp_min(0), (size - end).clamp_min(0)
    taken = same.any(dim=-1)
    at = torch.where(taken & (after > before), end, 0)
    return at, torch.where(taken, torch.maximum(before, after), size)


def draw_enrolments_on_device(
    random: DeviceRandom,
    share: float,
    corpus: tuple[Tensor, ClipIndex],
    speaker: Tensor,
    used: Pieces,
    sources: Tensor,
) -> Tensor:
    """Draw enrolment sounds for the voices of a batch of mixtures.

    Args:
        random: generator for all choices.
        share: probability of enrolling a voice.
        corpus: (all,) int16 samples, and which clips a person has.
        speaker: (mixtures, voices) people.
        used: the pieces of which the voices are made, (mixtures × voices, pieces).
        sources: (mixtures, voices + 1, samples), from which interfering sound is taken.

    Returns:
        (mixtures, voices, `LONGEST`), 0 at the end of shorter ones and where a voice is unknown.
    """
    samples, index = corpus
    size, voices = speaker.shape
    length = sources.shape[-1]
    shape = (size, voices, CANDIDATES)
    clip = index.first_clip[speaker][..., None] + random.below(
        index.clips[speaker][..., None].expand(shape)
    )
    speed = used.speed.reshape(size, voices, 1)

    def together(x: Tensor) -> Tensor:
        return x.expand_as(used.at).reshape(size, -1)

    of_mixture = Pieces(*(together(getattr(used, name)) for name in Pieces.__dataclass_fields__))
    first, rest = unused(index, clip, of_mixture, length)
    new = torch.stack(
        [(clip[..., :k] != clip[..., k, None]).all(dim=-1) for k in range(CANDIDATES)], dim=-1
    )
    rest = torch.where(new, (rest / speed).long(), 0)
    more = torch.full((size, voices, 1), LONGEST - LONGEST // 3 + 1, device=samples.device)
    wanted = LONGEST // 3 + random.below(more)
    before = rest.cumsum(dim=-1) - rest
    lasts = torch.minimum(rest, (wanted - before).clamp_min(0))
    lasts = torch.where(lasts >= PIECE, lasts, 0)
    at = lasts.cumsum(dim=-1) - lasts
    skipped = (first / speed).long() + random.below(rest - lasts + 1)
    pieces = Pieces(
        *(
            x.reshape(size * voices, -1)
            for x in (
                index.begin[clip],
                index.length[clip],
                index.gain[clip],
                at,
                lasts,
                skipped,
                0 * at,
                speed,
            )
        )
    )
    sound = joined_on(samples.device)(samples, LONGEST, pieces).reshape(size, voices, LONGEST)
    total = lasts.sum(dim=-1)
    known = (total >= LEAST) & (random.uniform(size, voices) < share)
    company = _company(random, sources, voices)
    sound = sound + company * (torch.arange(LONGEST, device=sound.device) < total[..., None])
    return sound * known[..., None]


def _company(random: DeviceRandom, sources: Tensor, voices: int) -> Tensor:
    """(mixtures, voices, `LONGEST`): at random, another source of the mixture at a low level."""
    size, count, length = sources.shape
    power = sources.square().mean(dim=-1)
    others = (power > 0)[:, None] & ~torch.eye(voices, count, dtype=torch.bool, device=power.device)
    some = others.any(dim=-1) & (random.uniform(size, voices) < COMPANY)
    which = torch.where(others, random.uniform(size, voices, count), -1.0).argmax(dim=-1)
    chosen = sources.gather(1, which[..., None].expand(-1, -1, length))
    level = random.uniform(size, voices, low=COMPANY_DB[0], high=COMPANY_DB[1])
    rms = power.gather(1, which).sqrt().clamp_min(1e-6)
    gain = some * LOUD * torch.pow(10.0, level / 20) / rms
    repeated = chosen.repeat(1, 1, -(-LONGEST // length))[..., :LONGEST]
    return gain[..., None] * repeated
