"""Write stems to files: all in one pass, block by block, atomically."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from avse.errors import OutputError, UsageError
from avse.media import SOUND_SUFFIXES, AudioStream, NewTrack, StemWriter, find_splices, remux
from avse.media.atomic_files import check_space
from avse.media.encoding import CONTAINERS, Bits, Codec, choose_encoding
from avse.media.probe import plausible_s
from avse.media.stems import is_limited, stored_rate
from avse.scene.naming import Stem, StemKey

if TYPE_CHECKING:
    from avse.scene.scene import Scene
    from avse.separation.separator import Block


_TITLES = {
    Stem.TOGETHER: "Everybody in sight",
    Stem.RESIDUAL: "Everything else",
    Stem.NARRATOR: "Off-screen speech",
    Stem.CROWD: "Off-screen crowd",
}

Target = str | os.PathLike[str]
Targets = Mapping[int, Target] | Mapping[StemKey, Target]
"""A path for each stem."""


class Voices(Protocol):
    """Interface of what can be written: a `Separation`, or a `Mix` of one."""

    @property
    def scene(self) -> Scene:
        """The recording."""

    @property
    def audio(self) -> AudioStream:
        """The sound track of the recording."""

    @property
    def numbers(self) -> list[StemKey]:
        """The key of each stem: the number of a person, or a `Stem`."""

    @property
    def notes(self) -> list[str]:
        """Messages to the user, complete after the voices were computed."""

    @property
    def progress(self) -> Callable[[str, float, float | None], None]:
        """See `avse.scene.scene.Progress`."""

    def blocks(self) -> Iterator[Block]:
        """The stems, block by block, from the first sample to the last."""


@dataclass
class Written:
    """The result of `Separation.save`.

    Attributes:
        stems: number of a stem -> path; see `Separation.numbers`.
        residual: path of the residual, or None.
        warnings: messages to the user.
        tracks: path of the file with a track for each stem, or None.
    """

    stems: dict[StemKey, Path]
    residual: Path | None = None
    warnings: list[str] = field(default_factory=list)
    tracks: Path | None = None


def title(stem: StemKey, name: str | None = None) -> str:
    """Title of a stem in a list of tracks: "Anna", "Person 2", "Everything else".

    Args:
        stem: the number of the person, or a `Stem`.
        name: name of the person, or None.
    """
    return name or (_TITLES[stem] if isinstance(stem, Stem) else f"Person {stem}")


def track_encoding(
    suffix: str, source: AudioStream | None, bits: Bits | None
) -> tuple[Codec, Bits | None]:
    """Codec and bit depth of the sound of a file with a track for each stem.

    Editing programs need PCM in .mov, with 24 bits if the source is lossy; for other containers
    `choose_encoding` decides.
    """
    if suffix.lower() != ".mov":
        return "auto", bits
    lossless = source is not None and source.bits_per_sample is not None
    return "pcm", bits if bits is not None or lossless else 24


@dataclass(frozen=True)
class _File:
    """A file to write: the stems of these numbers, with a codec and a bit depth."""

    path: Path
    numbers: tuple[StemKey, ...]
    codec: Codec
    bits: Bits | None

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()

    @property
    def is_sound(self) -> bool:
        return self.suffix in SOUND_SUFFIXES

    def is_limited(self, audio: AudioStream) -> bool:
        """Whether the format is limited to full scale."""
        if self.is_sound:
            return is_limited(self.suffix, audio, self.bits)
        if self.suffix not in CONTAINERS:
            return False
        rate, channels = audio.sample_rate, audio.channels
        encoding = choose_encoding(self.suffix, self.codec, rate, channels, audio, bits=self.bits)
        return encoding.bits is not None


def save_stems(
    separation: Voices,
    path: Target | Targets | None,
    *,
    residual: Target | None = None,
    tracks: Target | None = None,
    bits: Bits | None = None,
    clip: Any = "rescale",
    keep_original_audio: bool = False,
    overwrite: bool = False,
) -> Written:
    """Write a file for each stem, or one file with a track for each, or both.

    Args:
        separation: the stems.
        path: see `Separation.save`; None to write no file of a single stem.
        tracks: path of a .mkv, .mov or .mp4 with the unchanged picture, a track for each stem, of
            which the first plays by default, and a track for the residual.
        bits: 16, 24, or 32 for floating point; None for the bit depth of the recording.
        keep_original_audio: whether to keep the original sound as a further track of videos.
        residual, clip, overwrite: see `Separation.save`.

    Raises:
        UsageError: the paths do not match the stems, or there is no file to write.
        OutputExistsError, OutputError: see `Separation.save`.
    """
    paths = {} if path is None else settle_paths(path, separation.numbers)
    written = Written(paths)
    files = [_File(target, (number,), "auto", bits) for number, target in paths.items()]
    if residual is not None:
        written.residual = Path(residual)
        files.append(_File(written.residual, (Stem.RESIDUAL,), "auto", bits))
    if tracks is not None:
        written.tracks = Path(tracks)
        how = track_encoding(written.tracks.suffix, separation.audio, bits)
        files.append(_File(written.tracks, (*separation.numbers, Stem.RESIDUAL), *how))
    if not files:
        raise UsageError("there is nothing to write", "give a path, or tracks")
    for file in files:
        if file.path.parent and not file.path.parent.is_dir():
            raise OutputError(f"there is no folder {file.path.parent}", "create it first")
    check_space(files[0].path.parent, _bytes_needed(separation, files))
    limited = [file for file in files if file.is_limited(separation.audio)]
    # One gain for all files, or they would not add up: it is known when all peaks are.
    hold = clip == "rescale" and bool(limited)
    with ExitStack() as stack:
        scratch = _scratch(stack, [file for file in files if not file.is_sound])
        stems: list[tuple[StemKey, Path, AudioStream | None, Bits | None]] = [
            *((f.numbers[0], f.path, separation.audio, bits) for f in files if f.is_sound),
            *((number, place, None, None) for number, place in scratch.items()),
        ]
        writers = [
            (
                number,
                stack.enter_context(
                    StemWriter(
                        place,
                        sample_rate=separation.audio.sample_rate,
                        channels=separation.audio.channels,
                        source=source,
                        bits=depth,
                        clip=clip,
                        hold=hold,
                        overwrite=overwrite,
                    )
                ),
            )
            for number, place, source, depth in stems
        ]
        for block in separation.blocks():
            sounds = dict(zip(separation.numbers, block.stems, strict=True))
            sounds[Stem.RESIDUAL] = block.residual
            for number, writer in writers:
                writer.write(sounds[number])
        peaks = {number: writer.peak for number, writer in writers}
        loudest = {f.path: max(peaks[n] for n in f.numbers) for f in limited if hold}
        written.warnings += _closed([w for _, w in writers], loudest, several=len(files) > 1)
        cut = {writer.path: writer.clipped for _, writer in writers}
        for file in files:
            if not file.is_sound:
                dropped, cut[file.path] = _put_back(
                    separation, file, scratch, keep_original_audio, overwrite
                )
                written.warnings += [f"{file.path.name}: left out {what}" for what in dropped]
    if clip == "clamp":
        written.warnings += [
            f"{f.path.name}: {cut[f.path]} values beyond full scale were cut off (see --clip)"
            for f in limited
            if cut[f.path]
        ]
    written.warnings += _resampled(files, separation.audio.sample_rate)
    written.warnings += separation.notes
    return written


def _scratch(stack: ExitStack, videos: Sequence[_File]) -> dict[StemKey, Path]:
    """Temporary file for each stem of a video, in floating point."""
    if not videos:
        return {}
    folder = tempfile.TemporaryDirectory(prefix=".avse-", dir=videos[0].path.parent)
    place = Path(stack.enter_context(folder))
    return {n: place / f"{n}.wav" for video in videos for n in video.numbers}


def _put_back(
    separation: Voices,
    file: _File,
    scratch: Mapping[StemKey, Path],
    keep_original_audio: bool,
    overwrite: bool,
) -> tuple[tuple[str, ...], int]:
    """Write a video; returns warnings about streams that were left out, and the number of clipped
    samples."""
    separation.progress("video", 0.0, None)
    scene = separation.scene
    several = len(file.numbers) > 1
    names: dict[StemKey, str | None] = {one.number: one.name for one in scene.people}
    result = remux(
        scene.info.path,
        [
            NewTrack(
                scratch[n], start=scene.origin, title=title(n, names.get(n)) if several else None
            )
            for n in file.numbers
        ],
        file.path,
        track=scene.track,
        keep_original_audio=keep_original_audio,
        original_title="Original" if several else None,
        codec=file.codec,
        bits=file.bits,
        drop_unsupported=True,
        overwrite=overwrite,
        start=scene.part.start,
        stop=scene.part.stop,
    )
    return result.dropped, result.clipped


def _bytes_needed(separation: Voices, files: Sequence[_File]) -> float:
    """Estimate the bytes needed while files are written: temporary sound has 32-bit floats."""
    path, audio = separation.scene.info.path, separation.audio
    size, end = path.stat().st_size, find_splices(path).end
    length_s = 0.0 if end is None else plausible_s(max(0.0, float(end - audio.start)), size)
    sound = 4 * audio.channels * audio.sample_rate * length_s
    videos = [file for file in files if not file.is_sound]
    waiting = len(files) - len(videos) + len({n for video in videos for n in video.numbers})
    inside = sum(len(video.numbers) - 1 for video in videos)  # one is in the size of the source
    return (waiting + inside) * sound + len(videos) * size


def _closed(
    writers: Sequence[StemWriter], loudest: Mapping[Path, float], *, several: bool
) -> Iterator[str]:
    """Close all files; returns a warning if they were attenuated, all by the same gain.

    Args:
        writers: writers of the files.
        loudest: peak of each file that is limited to full scale.
        several: whether there is more than one file.
    """
    over = {path: peak for path, peak in loudest.items() if peak > 1.0}
    gain = 1.0 / max(over.values(), default=1.0)
    for writer in writers:
        writer.close(gain)
    if over:
        names = ", ".join(path.name for path in over)
        softer = f"softer by {-20 * np.log10(gain):.1f} dB (see --clip)"
        if several:
            yield f"{names} would have clipped: all files were made {softer}, and still add up"
        else:
            yield f"{names} would have clipped and was made {softer}"


def _resampled(files: Sequence[_File], rate: int) -> Iterator[str]:
    """Warnings about sound files with another sample rate than the recording."""
    for suffix in dict.fromkeys(file.suffix for file in files if file.is_sound):
        if stored_rate(suffix, rate) != rate:
            yield (
                f"{suffix} files are at {stored_rate(suffix, rate)} Hz: "
                f"they cannot hold the {rate} Hz of the recording"
            )


@dataclass(frozen=True)
class Mix:
    """A mix of stems, each with its own gain, as one stem for `save_stems`.

    Attributes:
        of: the stems to mix.
        gains: number of a stem, or `Stem.RESIDUAL` -> factor; other stems keep their level.
    """

    of: Voices
    gains: Mapping[StemKey, float]

    @property
    def scene(self) -> Scene:
        """The recording."""
        return self.of.scene

    @property
    def audio(self) -> AudioStream:
        """The sound track of the recording."""
        return self.of.audio

    @property
    def numbers(self) -> list[StemKey]:
        """The key of the mix: `Stem.TOGETHER`."""
        return [Stem.TOGETHER]

    @property
    def notes(self) -> list[str]:
        """See `Voices`."""
        return self.of.notes

    @property
    def progress(self) -> Callable[[str, float, float | None], None]:
        """See `Voices`."""
        return self.of.progress

    def blocks(self) -> Iterator[Block]:
        """The mix as the only stem; the residual is the original minus the mix."""
        return mixed(self.of.blocks(), self.of.numbers, self.gains)


def mixed(
    blocks: Iterable[Block], numbers: Sequence[StemKey], gains: Mapping[StemKey, float]
) -> Iterator[Block]:
    """Mix stems with a gain for each.

    Args:
        blocks: see `Block`.
        numbers: the number of each stem, see `Separation.numbers`.
        gains: number of a stem, or `Stem.RESIDUAL` -> factor; other stems keep their level.

    Returns:
        Blocks of one stem, (1, channels, n) float32, with the original minus the stem as residual.
        Without gains, the stem equals the original to within rounding.

    Raises:
        UsageError: a stem does not exist, or a gain is not a number.
    """
    unknown = [n for n in gains if n not in (*numbers, Stem.RESIDUAL)]
    if unknown:
        raise UsageError(
            f"there is no stem {unknown[0]}",
            f"choose from: {', '.join(map(str, (*numbers, Stem.RESIDUAL)))}",
        )
    if not all(np.isfinite(gain) for gain in gains.values()):
        raise UsageError("a gain is not a number", "give factors, such as 0, 0.5 and 1")
    factors = np.array([gains.get(number, 1.0) for number in numbers], np.float32)
    rest = np.float32(gains.get(Stem.RESIDUAL, 1.0))

    def each() -> Iterator[Block]:
        for block in blocks:
            mix = np.tensordot(factors, block.stems, 1) + rest * block.residual
            original = block.stems.sum(axis=0) + block.residual
            yield dataclasses.replace(block, stems=mix[None], residual=original - mix)

    return each()


def settle_paths(path: Target | Targets, numbers: Sequence[StemKey]) -> dict[StemKey, Path]:
    """Match paths to stems: number of each stem -> its path.

    Raises:
        UsageError: the paths do not match the stems.
    """
    if isinstance(path, Mapping):
        paths = {number: Path(target) for number, target in path.items()}
    elif len(numbers) == 1:
        paths = {numbers[0]: Path(path)}
    else:
        raise UsageError(
            f"{len(numbers)} voices do not fit into one file",
            "give a path for each, such as {1: 'left.wav', 2: 'right.wav'}",
        )
    if set(paths) != set(numbers):
        raise UsageError("each stem needs a path", "one entry for each number")
    return paths
