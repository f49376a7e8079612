"""Replace the sound of a file; all other packets are copied without encoding them again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avse.media.atomic_files import explain, place, temporary_name
from avse.media.audio import AudioReader
from avse.media.copying import Copier, check_copy, name_language
from avse.media.cutting import Cut, cut_chapters, cut_packets, find_cut
from avse.media.encoding import CONTAINERS, Bits, Codec, SpeechEncoder, choose_encoding
from avse.media.opening import Damage, StrPath, open_input, read_packets
from avse.media.probe import AudioStream, MediaInfo, probe
from avse.media.splices import Splices, find_splices

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer


@dataclass(frozen=True)
class NewTrack:
    """A sound track to put into a file.

    Attributes:
        audio: a sound file, or (channels, n) float32 blocks, full scale 1.0.
        sample_rate: samples per second; required for blocks, ignored for a file.
        channels: number of channels; required for blocks, ignored for a file.
        layout: FFmpeg's name of the channel layout; None for that of the replaced track, if it has
            as many channels, else the usual layout.
        start: time of sample 0 in seconds on the source's clock; None for that of the replaced
            track.
        title: shown by players and editing programs in the list of tracks.
        language: ISO 639-2 code; None for that of the replaced track.
    """

    audio: StrPath | Iterable[NDArray[np.float32]]
    sample_rate: int | None = None
    channels: int | None = None
    layout: str | None = None
    start: Fraction | None = None
    title: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class RemuxResult:
    """The result of `remux`.

    Attributes:
        path: the file that was written.
        codecs: codec of each new track.
        samples: samples per channel of each new track, at its own rate.
        clipped: number of values in the new tracks that were clipped (integer codecs only).
        dropped: descriptions of the streams that were left out, because the container cannot hold
            them.
        skipped: number of times that reading the source failed.
    """

    path: Path
    codecs: tuple[str, ...]
    samples: tuple[int, ...]
    clipped: int
    dropped: tuple[str, ...]
    skipped: int


def remux(
    source: StrPath,
    stems: NewTrack | Sequence[NewTrack],
    destination: StrPath,
    *,
    track: int | None = None,
    keep_original_audio: bool = False,
    original_title: str | None = None,
    codec: Codec = "auto",
    bit_rate: int | None = None,
    bits: Bits | None = None,
    drop_unsupported: bool = False,
    overwrite: bool = False,
    start: Fraction | None = None,
    stop: Fraction | None = None,
) -> RemuxResult:
    """Write a copy of a file, or of a part of it, in which new tracks replace a sound track.

    The new tracks start where the replaced track starts; the first one plays by default. Picture,
    subtitles, other sound tracks, attachments, chapters, tags and the orientation of the picture
    are copied. Packets are not encoded again. They keep their time stamps, at the resolution of the
    container (Matroska: 1 ms), except after a splice, where the clock jumps although no stream
    holds anything in between: there the parts are joined; see `avse.media.splices`.

    Args:
        source: the file to copy.
        stems: the new tracks.
        destination: path of the copy: .mp4, .m4v, .mov, .mkv or .webm.
        track: number of the sound track to replace, as in `probe(source).audio`; None for the one
            that plays by default.
        keep_original_audio: keep that track, too, after the new ones; it is not the default track.
        original_title: title of that track if it has none.
        codec: of the new tracks; see `choose_encoding` for "auto".
        bit_rate: bits per second of lossy codecs; None for 128 kbit/s per channel.
        bits: depth of the new tracks, 32 is floating point; None for that of the replaced track.
        drop_unsupported: leave out streams that the container cannot hold, such as picture
            subtitles, instead of raising; see `RemuxResult.dropped`. The picture is never left out.
        overwrite: replace a file that exists already.
        start, stop: the part to copy, in seconds on the source's clock; None for the beginning and
            the end. `avse.media.cutting` decides which packets it consists of.

    Raises:
        MediaError: the source, or the sound file of a new track, cannot be read.
        OutputExistsError: the destination exists and `overwrite` is false.
        OutputError: the container is not supported, the disk is full, or the folder is missing or
            read-only.
        ContainerError: the container cannot hold one of the streams.
        ValueError: there are no new tracks, or one has blocks without a rate or a number of
            channels.
    """
    target = Path(destination)
    tracks = [stems] if isinstance(stems, NewTrack) else list(stems)
    if not tracks:
        raise ValueError("at least one track is needed")
    splices = find_splices(source)
    info = splices.apply(probe(source))
    check_copy(info.path, target, overwrite=overwrite)
    suffix = target.suffix.lower()
    temporary = temporary_name(target)
    cut = find_cut(
        info.path,
        splices,
        None if info.video is None else info.video.index,
        start,
        stop,
        CONTAINERS[suffix][0],
    )
    new = _New(codec, bit_rate, bits, original_title)
    job = _Remux(info, splices, track, suffix, keep_original_audio, drop_unsupported, cut, new)
    try:
        result = job.run(tracks, temporary, target)
        place(temporary, target, overwrite=overwrite)
    finally:
        temporary.unlink(missing_ok=True)
    return result


def check_remux(
    source: StrPath,
    suffix: str,
    *,
    track: int | None = None,
    keep_original_audio: bool = False,
    codec: Codec = "auto",
    bits: Bits | None = None,
) -> tuple[str, ...]:
    """Check whether `remux` can write a copy of a file, without writing it.

    Args:
        source: the file to copy.
        suffix: of the copy, see `remux`.
        track: number of the sound track to replace.
        keep_original_audio: whether that track is kept, too.
        codec, bits: of the new tracks, see `remux`.

    Returns:
        Descriptions of the streams that would be left out.

    Raises:
        MediaError: the source cannot be read.
        ContainerError: the container cannot hold the picture, sound of this codec or depth, or a
            track that is kept.
    """
    info, splices = probe(source), find_splices(source)
    whole, new = Cut(None, None), _New(codec, None, bits, None)
    job = _Remux(info, splices, track, suffix.lower(), keep_original_audio, True, whole, new)
    return job.rehearse()


@dataclass(frozen=True)
class _New:
    """Encoding of the new tracks, and the title of the original one; see `remux`."""

    codec: Codec
    bit_rate: int | None
    bits: Bits | None
    original_title: str | None


class _Remux:
    """One run of `remux`."""

    def __init__(
        self,
        info: MediaInfo,
        splices: Splices,
        track: int | None,
        suffix: str,
        keep: bool,
        drop_unsupported: bool,
        cut: Cut,
        new: _New,
    ) -> None:
        self._info = info
        self._splices = splices
        self._cut = cut
        self._new = new
        self._suffix = suffix
        self._keep = keep
        self._drop = drop_unsupported
        self._damage = Damage()
        self._readers: list[AudioReader] = []
        self._replaced: AudioStream | None = None
        if info.audio:
            track = info.default_track if track is None else track
            if not 0 <= track < len(info.audio):
                raise ValueError(f"no sound track {track}: {info.path} has {len(info.audio)}")
            self._replaced = info.audio[track]

    def run(self, tracks: list[NewTrack], temporary: Path, target: Path) -> RemuxResult:
        """Write the file under its temporary name."""
        try:
            voices = [self._voice(track) for track in tracks]
            with open_input(self._info.path) as source:
                copier = self._write(source, f"file:{temporary.absolute()}", target, voices)
        finally:
            for reader in self._readers:
                reader.close()
        return RemuxResult(
            path=target,
            codecs=tuple(voice.encoding.codec for voice in voices),
            samples=tuple(voice.samples for voice in voices),
            clipped=sum(voice.clipped for voice in voices),
            dropped=tuple(copier.dropped),
            skipped=self._damage.skipped,
        )

    def rehearse(self) -> tuple[str, ...]:
        """Write a header to memory, and return descriptions of the streams that are left out."""
        rate, channels = 48_000, 1
        if self._replaced is not None:
            rate, channels = self._replaced.sample_rate, self._replaced.channels
        voice = self._voice(NewTrack((), rate, channels))
        with open_input(self._info.path) as source:
            return tuple(self._write(source, BytesIO(), self._info.path, [voice]).dropped)

    def _voice(self, track: NewTrack) -> SpeechEncoder:
        like, new = self._replaced, self._new
        if isinstance(track.audio, (str, PathLike)):
            reader = AudioReader(track.audio)
            self._readers.append(reader)
            rate, channels = reader.sample_rate, reader.channels
            blocks: Iterable[NDArray[np.float32]] = (block.samples for block in reader)
        else:
            if track.sample_rate is None or track.channels is None:
                raise ValueError("blocks need a sample_rate and a number of channels")
            rate, channels, blocks = track.sample_rate, track.channels, track.audio
        layout = track.layout
        if layout is None and like is not None and like.channels == channels:
            layout = like.layout
        start = track.start
        if start is None:
            start = Fraction(0) if like is None else like.start
            start = start if self._cut.start is None else max(start, self._cut.start)
        tags = {"title": track.title, "language": track.language or (like and like.language)}
        if CONTAINERS[self._suffix][0] in ("mp4", "mov"):  # most programs show this as the name
            tags["handler_name"] = track.title
        return SpeechEncoder(
            choose_encoding(self._suffix, new.codec, rate, channels, like, new.bit_rate, new.bits),
            blocks,
            sample_rate=rate,
            channels=channels,
            layout=layout,
            start=start - self._cut.zero,
            tags={key: value for key, value in tags.items() if value},
        )

    def _write(
        self, source: InputContainer, file: str | BytesIO, target: Path, voices: list[SpeechEncoder]
    ) -> Copier:
        """Write the file; if `file` is a buffer in memory, write its header only."""
        import av
        from av.error import FFmpegError

        kind = CONTAINERS[self._suffix][0]
        # Encoder delay gives negative times; by default, FFmpeg would then shift all time stamps.
        options = {"avoid_negative_ts": "disabled"}
        if kind in ("matroska", "webm"):  # without it, each file gets random identifiers
            options["fflags"] = "+bitexact"
        if kind in ("mp4", "mov"):  # the unit of a late start; 1 ms by default
            options["movie_timescale"] = str(voices[0].encoding.sample_rate)
        try:
            with av.open(file, "w", format=kind, container_options=options) as output:
                needed = [picture.index for picture in self._info.videos]
                if self._keep and self._replaced is not None:
                    needed.append(self._replaced.index)
                copier = Copier(source, output, kind, drop_unsupported=self._drop, needed=needed)
                self._lay_out(source, output, copier, voices)
                copier.copy_tags()
                if self._cut.is_cut:
                    output.set_chapters(cut_chapters(source.chapters(), self._cut))
                    for tags in (output.metadata, *(one.metadata for one in output.streams)):
                        tags.pop("timecode", None)  # it holds for the beginning of the whole file
                output.start_encoding()
                if isinstance(file, str):
                    self._copy(source, output, copier, voices)
        except (FFmpegError, OSError) as error:
            raise explain(target, error) from error
        return copier

    def _lay_out(
        self,
        source: InputContainer,
        output: OutputContainer,
        copier: Copier,
        voices: list[SpeechEncoder],
    ) -> None:
        """Add every stream: the new tracks at the place of the replaced one, or last."""
        replaced = -1 if self._replaced is None else self._replaced.index
        for stream in source.streams:
            if stream.index == replaced:
                for voice in voices:
                    voice.join(output)
                if not self._keep:
                    continue
            if self._cut.is_cut and stream.type == "data":
                copier.leave_out(stream, "it belongs to the whole recording")
                continue
            copier.add(stream)
            if stream.index == replaced and self._new.original_title is not None:
                copier.name(stream, self._new.original_title)
        if replaced < 0:
            for voice in voices:
                voice.join(output)
        for number, voice in enumerate(voices):
            name_language(voice.stream, CONTAINERS[self._suffix][0])
            voice.stream.disposition = 1 if number == 0 else 0  # type: ignore[assignment]

    def _copy(
        self,
        source: InputContainer,
        output: OutputContainer,
        copier: Copier,
        voices: list[SpeechEncoder],
    ) -> None:
        """Write copied and new packets in the order of their decoding times."""
        if self._cut.is_cut:
            read = cut_packets(source, self._splices, copier.streams, self._damage, self._cut)
        else:
            read = self._splices.moved(read_packets(source, copier.streams, self._damage))
        for packet in read:
            if packet.dts is None and packet.pts is None:
                continue  # the flushing packet at the end
            time = (packet.pts if packet.dts is None else packet.dts) or 0
            for voice in voices:
                for made in voice.packets_until(time * packet.time_base):
                    output.mux(made)
            for copied in copier.copies(packet):
                output.mux(copied)
        for copied in copier.rest():
            output.mux(copied)
        for voice in voices:
            for made in voice.packets_until(None):
                output.mux(made)
