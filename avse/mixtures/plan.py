"""Plan a whole test set before anything is written: probe each file, compute each gain."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import log10
from pathlib import Path

import numpy as np

from avse.data.splits import ALL, TEST
from avse.errors import AvseError, InputError, UsageError
from avse.mixtures.clips import (
    ClipAudio,
    check_picture,
    cut,
    file_sha256,
    loop,
    put,
    read_voice,
)
from avse.mixtures.corpus import Corpus, corpus_of_pack, find_clips, find_corpus
from avse.mixtures.manifest import Item, ItemSource, Manifest, Noise, Outputs, Picture
from avse.mixtures.outcome import Failure, MixturePlan
from avse.mixtures.protocols import ANY, LIST
from avse.mixtures.replay import is_manifest, plan_again
from avse.mixtures.sampling import Draft, Sampler, draw_items, draw_list
from avse.mixtures.settings import FPS, SetSettings
from avse.types import FloatArray
from avse.utils.progress import Progress

PEAK = 0.9
"""Largest value of every mixture: integer copies of it do not clip."""

_NOISE_TRIES = 20
_NOISE_STEP_S = 0.01


@dataclass(frozen=True)
class Noises:
    """A folder of noises.

    Attributes:
        root: the folder of noises.
        paths: the files, relative to the folder, in order.
    """

    root: Path
    paths: tuple[str, ...]


def plan_set(
    clips: Path,
    settings: SetSettings | None = None,
    *,
    noise: Path | None = None,
    list_file: Path | None = None,
    pack: Path | None = None,
    progress: Progress | None = None,
) -> MixturePlan:
    """Plan a set: find and draw the clips, read the sound of those drawn, compute the gains.

    Args:
        clips: the folder of clips.
        settings: see `SetSettings`; None for the defaults.
        noise: a folder of noises, or None.
        list_file: the list, for the protocol "list"; or the manifest of a set, to reproduce that
            set bit by bit.
        pack: a pack of `avse prepare` of the same clips, which has the speaker and split of each,
            for the protocol "any"; or None.
        progress: called after each item with ("Reading clips", items done, items in all).

    Raises:
        UsageError: a folder or list does not exist, or the protocol does not fit its layout.
        InputError: there are no clips or too few speakers, or no item can be made.
    """
    settings = SetSettings() if settings is None else settings
    noises = None if noise is None else find_noises(noise)
    if (settings.protocol == LIST) != (list_file is not None):
        raise UsageError(
            "the protocol 'list' and a list go together", "give both --protocol list and --list"
        )
    if pack is not None and settings.protocol != ANY:
        raise UsageError(
            f"the protocol {settings.protocol!r} says itself who is in which split",
            "leave --pack or --protocol out",
        )
    if list_file is not None and is_manifest(list_file):
        return plan_again(clips, list_file, settings, noise=noise)
    if list_file is not None:
        drafts, split = draw_list(clips, list_file, settings)
        return _completed(clips, drafts, split, settings, noises, (), progress)
    anywhere = settings.protocol == ANY and pack is None
    split = settings.split or (ALL if anywhere else TEST)
    if pack is None:
        corpus = find_corpus(clips, settings.protocol, split, pictures=settings.video)
    else:
        corpus = corpus_of_pack(clips, pack, split, pictures=settings.video)
    return plan_corpus(corpus, settings, split=split, noises=noises, progress=progress)


def plan_corpus(
    corpus: Corpus,
    settings: SetSettings,
    *,
    split: str = ALL,
    noises: Noises | None = None,
    progress: Progress | None = None,
) -> MixturePlan:
    """Plan a set from known clips; see `plan_set`.

    Raises:
        InputError: there are too few speakers, or no item can be made.
    """
    anywhere = settings.protocol == ANY
    drafts = draw_items(corpus, settings, anywhere=anywhere, split=split)
    return _completed(corpus.root, drafts, split, settings, noises, corpus.warnings, progress)


def find_noises(folder: Path) -> Noises:
    """Find the files of a folder of noises.

    Raises:
        UsageError: the folder does not exist.
        InputError: the folder has no sound files.
    """
    return Noises(folder, tuple(find_clips(folder, pictures=False)))


def _completed(
    root: Path,
    drafts: list[Draft],
    split: str,
    settings: SetSettings,
    noises: Noises | None,
    warnings: tuple[str, ...],
    progress: Progress | None,
) -> MixturePlan:
    builder = _ItemBuilder(root, noises, settings)
    items, failures = [], []
    for done, draft in enumerate(drafts):
        if progress is not None:
            progress("Reading clips", done, len(drafts))
        try:
            items.append(builder.build(draft))
        except AvseError as error:
            failures.append(Failure(draft.id, error))
    if not items:
        first = failures[0].error
        raise InputError(
            f"none of {len(drafts)} mixtures can be made; the first fails because: {first.message}",
            first.hint,
        )
    record = settings.record(noise=noises is not None)
    manifest = Manifest(settings.protocol, split, settings.seed, record, tuple(items))
    return MixturePlan(manifest, tuple(failures), warnings)


class _ItemBuilder:
    """Turns drafts into items."""

    def __init__(self, root: Path, noises: Noises | None, settings: SetSettings) -> None:
        self._root, self._noises, self._settings = root, noises, settings
        self._sha256 = lru_cache(None)(file_sha256)
        self._check_picture = lru_cache(None)(check_picture)

    def build(self, draft: Draft) -> Item:
        """Measure the levels of a draft's sources and compute their gains.

        Raises:
            AvseError: a file cannot be used.
        """
        if draft.error is not None:
            raise draft.error
        cfg = self._settings
        voices = [self._read(clip.path) for clip in draft.clips]
        frames = self._frames(draft, voices)
        step = 0 if cfg.turns is None else round(frames * (1 - cfg.turns))
        onsets = [turn * step for turn in draft.turns]
        whole = frames + max(onsets)
        samples = whole * cfg.samples_per_frame
        firsts = [
            int(share * (int(voice.length * FPS) - frames + 1))
            for share, voice in zip(draft.starts, voices, strict=True)
        ]
        parts = []
        for clip, voice, first, onset, level in zip(
            draft.clips, voices, firsts, onsets, draft.levels_db, strict=True
        ):
            begin, late, length = (n * cfg.samples_per_frame for n in (first, onset, frames))
            placed = put(cut(voice.samples, begin, length), late, samples)
            parts.append(_levelled(placed, level, f"{self._root / clip.path}"))
        sounds, gains = [p[0] for p in parts], [p[1] for p in parts]
        noise = None
        if self._noises is not None:
            noise, sound, gain = self._draw_noise(draft.dice, samples, sounds)
            sounds, gains = [*sounds, sound], [*gains, gain]
        scale = 20 * log10(PEAK / max(1e-9, float(np.abs(np.sum(sounds, axis=0)).max())))
        final = [round(gain + scale, 4) for gain in gains]
        powers = [_power(sound) for sound in sounds]
        speech = powers[: len(voices)]
        sources = tuple(
            ItemSource(
                path=clip.path,
                speaker=clip.speaker,
                start_s=first / FPS,
                gain_db=gain,
                sha256=self._sha256(self._root / clip.path),
                onset_s=onset / FPS,
            )
            for clip, first, onset, gain in zip(draft.clips, firsts, onsets, final, strict=False)
        )
        return Item(
            id=draft.id,
            sources=sources,
            noise=None if noise is None else Noise(noise[0], noise[1], final[-1], noise[2]),
            sir_db=tuple(_ratio_db(power, sum(speech) - power) for power in speech),
            snr_db=None if noise is None else _ratio_db(sum(speech), powers[-1]),
            sample_rate=cfg.sample_rate,
            samples=samples,
            seed=draft.number,
            picture=self._picture(voices, whole),
            outputs=_outputs(
                draft.id,
                len(voices),
                noise=noise is not None,
                video=cfg.video,
                activity=cfg.turns is not None,
            ),
        )

    def _read(self, path: str) -> ClipAudio:
        settings = self._settings
        voice = read_voice(self._root / path, settings.sample_rate, picture=settings.video)
        if settings.video:
            self._check_picture(self._root / path)
        return voice

    def _frames(self, draft: Draft, voices: list[ClipAudio]) -> int:
        length = min(voice.length for voice in voices)
        if draft.seconds is not None:
            length = min(length, Fraction(draft.seconds).limit_denominator(10**6))
        frames = int(length * FPS)
        if frames < 1:
            names = ", ".join(clip.path for clip in draft.clips)
            raise InputError(f"{names}: shorter than one picture together", "leave them out")
        return frames

    def _draw_noise(
        self, dice: Sampler, samples: int, voices: list[FloatArray]
    ) -> tuple[tuple[str, float, str], FloatArray, float]:
        """Draw a noise: its path, start and hash, its scaled sound, and the gain in dB."""
        assert self._noises is not None
        snr_db = dice.level(self._settings.snr_db)
        rate = self._settings.sample_rate
        wanted_db = 10 * log10(sum(map(_power, voices))) - snr_db
        for _ in range(_NOISE_TRIES):  # some noises hold stretches of silence
            name = dice.one(self._noises.paths)
            path = self._noises.root / name
            sound = read_voice(path, rate, picture=False).samples
            steps = int(dice.fraction() * len(sound) / rate / _NOISE_STEP_S)
            start_s = round(steps * _NOISE_STEP_S, 2)
            excerpt = loop(sound, round(start_s * rate), samples)
            if _power(excerpt) > 0:
                made, gain = _levelled(excerpt, wanted_db, str(path))
                return (name, start_s, self._sha256(path)), made, gain
        raise InputError(
            f"{self._noises.root}: {_NOISE_TRIES} excerpts in a row are silent",
            "leave silent files out of the noises",
        )

    def _picture(self, voices: list[ClipAudio], frames: int) -> Picture | None:
        if not self._settings.video:
            return None
        sizes = [(v.video.width, v.video.height) for v in voices if v.video is not None]
        height = self._settings.height or max(2, min(h for _, h in sizes) // 2 * 2)
        widths = tuple(max(2, 2 * round(w * height / h / 2)) for w, h in sizes)
        return Picture(FPS, frames, height, widths)


def _levelled(sound: FloatArray, level_db: float, name: str) -> tuple[FloatArray, float]:
    """Scale sound to a mean power in dB; returns the sound and the gain in dB."""
    power = _power(sound)
    if power <= 0:
        raise InputError(
            f"{name} is silent where it would be mixed: it has no level", "leave it out"
        )
    gain_db = level_db - 10 * log10(power)
    return np.asarray(sound * np.float32(10 ** (gain_db / 20)), np.float32), gain_db


def _power(sound: FloatArray) -> float:
    return float(np.mean(np.square(sound, dtype=np.float64)))


def _ratio_db(power: float, other: float) -> float:
    return round(10 * log10(power / other), 4) + 0.0  # no -0.0


def _outputs(name: str, voices: int, *, noise: bool, video: bool, activity: bool) -> Outputs:
    return Outputs(
        mixture=f"mixtures/{name}.wav",
        references=tuple(f"references/{name}.{n}.wav" for n in range(1, voices + 1)),
        noise=f"noise/{name}.wav" if noise else None,
        video=f"videos/{name}.mkv" if video else None,
        activity=f"activity/{name}.rttm" if activity else None,
    )
