"""Copy streams from one container to another without decoding them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avse.errors import ContainerError, OutputError
from avse.media.atomic_files import check_destination
from avse.media.encoding import CONTAINERS
from avse.media.opening import codec_name, open_input, time_base_of
from avse.media.subtitles import SubtitleConverter, is_text

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

    from avse.media.probe import MediaInfo

_DEFAULT, _ATTACHED_PICTURE = 0x1, 0x400  # AV_DISPOSITION_*
_QUICKTIME = ("mp4", "mov")
_CALLED = {"mp4": "MP4", "mov": "MOV", "matroska": "Matroska", "webm": "WebM"}
# Tags that describe the container of the source, and would be wrong in the copy.
_PACKING_TAGS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
)
_MIME_TYPES = {"mjpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png")}
# QuickTime has numbers for languages; FFmpeg looks them up by these codes.
_MAC_LANGUAGES = {
    "deu": "ger",
    "nld": "dut",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
    "sqi": "alb",
    "mkd": "mac",
    "swe": "sve",
    "fre": "fra",
    "cze": "ces",
    "rum": "ron",
    "slo": "slk",
}
_LONGEST_WAIT = 32  # packets without a decoding time at the beginning; no codec reorders more


class Copier:
    """Copies streams, tags and chapters.

    Args:
        source: the file to copy from.
        output: the file to copy to, header not written yet.
        kind: FFmpeg's name of the output's container.
        drop_unsupported: leave out streams that the container cannot hold, instead of raising.
        needed: indices of the streams that are never left out, such as the picture.
        keep_default: whether copied sound tracks keep the mark of the default track.

    Attributes:
        streams: the streams of the source that are copied packet by packet.
        dropped: descriptions of the streams that were left out.
    """

    def __init__(
        self,
        source: InputContainer,
        output: OutputContainer,
        kind: str,
        *,
        drop_unsupported: bool,
        needed: Collection[int],
        keep_default: bool = False,
    ) -> None:
        self.streams: list[Stream] = []
        self.dropped: list[str] = []
        self._source = source
        self._output = output
        self._kind = kind
        self._drop = drop_unsupported
        self._needed = needed
        self._gives_way = 0 if keep_default else _DEFAULT
        self._from_quicktime = "mov" in source.format.name.split(",")
        self._copies: dict[int, Stream] = {}
        self._converters: dict[int, SubtitleConverter] = {}
        self._last: dict[int, int] = {}  # decoding time of the last packet, by source stream
        self._held: dict[int, list[Packet[Any]]] = {}

    def add(self, stream: Stream) -> None:
        """Add a copy of a stream to the output, if the container can hold it.

        Text subtitles are converted if the container needs another format. A time code is copied as
        a tag, from which MP4 and MOV make a track.

        Raises:
            ContainerError: the container cannot hold the stream, and the stream is needed or
                `drop_unsupported` is false.
        """
        if int(stream.disposition) & _ATTACHED_PICTURE:
            self._add_cover(stream)
            return
        if stream.type in ("data", "attachment", "unknown"):
            if "timecode" in stream.metadata:
                self._keep_time_code(stream.metadata["timecode"])
                return
            text = self._from_quicktime and codec_name(stream) == "bin_data"
            if text and self._source.chapters():
                return  # the text track of QuickTime chapters, which are copied as chapters
            if not self._fits(stream, self._kind, None):
                self.leave_out(stream)
                return
        tag = self._fitting_tag(stream, self._kind)
        if tag == "?" and is_text(stream):
            converter = SubtitleConverter(stream, self._output, self._kind)
            self._converters[stream.index] = converter
            copy = converter.stream
        elif tag == "?":
            self._refuse(stream)
            return
        else:
            copy = _add(self._output, stream, tag)
        copy.metadata.update(_worth_copying(stream.metadata))
        name_language(copy, self._kind)
        if "name" in copy.metadata:  # FFmpeg reads the title of an MP4 track under this name
            copy.metadata.setdefault("title", copy.metadata.pop("name"))
        flags = int(stream.disposition)
        copy.disposition = flags & ~self._gives_way if stream.type == "audio" else flags  # type: ignore[assignment]
        self._copies[stream.index] = copy
        if stream.type != "attachment":
            self.streams.append(stream)

    def name(self, stream: Stream, title: str) -> None:
        """Give the copy of a stream a title, unless it has one."""
        tags = self._copies[stream.index].metadata
        tags.setdefault("title", title)
        if self._kind in _QUICKTIME and tags["title"] == title:
            tags["handler_name"] = title

    def copy_tags(self, chapters_later: Fraction = Fraction(0)) -> None:
        """Copy the tags and chapters of the container.

        Args:
            chapters_later: seconds by which the chapters come later.
        """
        self._output.metadata.update(_worth_copying(self._source.metadata))
        chapters = self._source.chapters()
        for chapter in chapters if chapters_later else ():
            ticks = round(chapters_later / (chapter["time_base"] or 1))
            chapter["start"] += ticks
            chapter["end"] += ticks
        if chapters:
            self._output.set_chapters(chapters)

    def copies(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Yield the packets to write after a packet was read.

        Packets without a decoding time at the beginning of a stream are held back, and come with a
        later packet.
        """
        index = packet.stream_index
        if index not in self._copies or packet.size == 0:
            return
        if index in self._converters:
            yield from self._converters[index].converted(packet)
            return
        if packet.dts is None and index not in self._last:
            # Matroska stores no decoding times, and FFmpeg cannot compute the first few. Wait for
            # the first packet that has one, and count back from it.
            held = self._held.setdefault(index, [])
            held.append(packet)
            if len(held) >= _LONGEST_WAIT:
                yield from self._released(index, None)
            return
        yield from self._released(index, packet.dts)
        yield from self._bound(packet)

    def rest(self) -> Iterator[Packet[Any]]:
        """Yield the packets that are still held back at the end of the source."""
        for index in list(self._held):
            yield from self._released(index, None)

    def _released(self, index: int, known: int | None) -> Iterator[Packet[Any]]:
        held = self._held.pop(index, [])
        shown = [packet.pts for packet in held if packet.pts is not None]
        if len(shown) != len(held) or not shown:
            return
        step = self._step(index)
        end = min(shown) + step if known is None else known
        for number, packet in enumerate(held):
            packet.dts = end - (len(held) - number) * step
        lowest = min(pts - (packet.dts or 0) for pts, packet in zip(shown, held, strict=True))
        for packet in held:  # decoding times must not be later than presentation times
            packet.dts = (packet.dts or 0) + min(0, lowest)
            yield from self._bound(packet)

    def _bound(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Yield a packet for the output, with a decoding time above the last, as muxers require."""
        index = packet.stream_index
        copy = self._copies[index]
        last = self._last.get(index)
        if packet.dts is None and last is not None:
            packet.dts = last + 1 if packet.pts is None else min(packet.pts, last + 1)
        if packet.dts is None:
            return
        if last is not None and packet.dts <= last and copy.type in ("video", "audio"):
            packet.dts = last + 1
        if packet.pts is not None and packet.pts < packet.dts:
            packet.pts = packet.dts  # the source is damaged; the muxer would refuse the packet
        self._last[index] = packet.dts
        packet.stream = copy
        yield packet

    def _step(self, index: int) -> int:
        """Approximate number of ticks from one packet of a stream to the next."""
        stream = self._source.streams[index]
        rate = getattr(stream, "average_rate", None) or 25
        return max(1, int(1 / (rate * time_base_of(stream))))

    def _keep_time_code(self, begin: str) -> None:
        """Copy a time code to a tag of the container, unless a picture has it as its own tag."""
        if not any("timecode" in stream.metadata for stream in self._source.streams.video):
            self._output.metadata["timecode"] = begin

    def _fitting_tag(self, stream: Stream, kind: str) -> str | None:
        """The codec tag with which a container takes a stream.

        Returns:
            Four letters; None to let the muxer choose; "?" if the container cannot hold the stream.
        """
        return next((tag for tag in self._tags(stream, kind) if self._fits(stream, kind, tag)), "?")

    def _tags(self, stream: Stream, kind: str) -> list[str | None]:
        """Four-letter codec tags to try, best first; None lets the muxer choose."""
        if stream.type != "video" or kind not in _QUICKTIME or stream.codec_context is None:
            return [None]
        if stream.codec_context.name == "hevc":
            return ["hvc1", None]  # Apple's players need this tag
        if self._from_quicktime:
            tag = stream.codec_context.codec_tag
            return [tag, None] if tag.isprintable() else [None]
        return [None]

    def _fits(self, stream: Stream, kind: str, tag: str | None) -> bool:
        """Whether the muxer takes a stream; tried by writing a header with this stream alone."""
        import av
        from av.error import FFmpegError

        try:
            with av.open(BytesIO(), "w", format=kind) as trial:
                copy = _add(trial, stream, tag)
                trial.start_encoding()
                if stream.type == "data":  # MP4 refuses some data only when a packet comes
                    packet = av.Packet(bytes(8))
                    packet.stream, packet.time_base = copy, time_base_of(stream)
                    packet.pts = packet.dts = 0
                    trial.mux(packet)
        except (FFmpegError, ValueError, OSError):
            return False
        return True

    def _add_cover(self, stream: Stream) -> None:
        """Copy a cover picture: as an attachment in Matroska, as a tag in MP4."""
        name = stream.codec_context.name if stream.codec_context is not None else "?"
        if self._kind == "matroska" and name in _MIME_TYPES:
            mime, ending = _MIME_TYPES[name]
            picture = _first_packet(self._source.name, stream.index)
            if picture:
                self._output.add_attachment(
                    stream.metadata.get("filename", f"cover.{ending}"), mime, picture
                )
                return
        elif self._kind == "mp4" and self._fits(stream, "mp4", None):
            copy = _add(self._output, stream, None)
            copy.disposition = stream.disposition
            self._copies[stream.index] = copy
            self.streams.append(stream)
            return
        self.leave_out(stream)

    def _refuse(self, stream: Stream) -> None:
        if stream.index in self._needed:
            what = {"video": "picture", "audio": "sound"}.get(stream.type, stream.type)
            takers = [
                suffix
                for suffix, (kind, _) in CONTAINERS.items()
                if self._fitting_tag(stream, kind) != "?"
            ]
            raise ContainerError(
                f"{Path(self._source.name).name}: {_CALLED[self._kind]} cannot hold its {what} "
                f"({codec_name(stream)}), which is copied without encoding it again",
                f"choose {', '.join(takers)}" if takers else "write sound alone: .wav or .flac",
            )
        if not self._drop:
            raise ContainerError(
                f"{_CALLED[self._kind]} cannot hold the {_describe(stream)} of the source",
                "write an .mkv file, write the same format as the source, or leave this stream out",
            )
        self.leave_out(stream)

    def leave_out(self, stream: Stream, reason: str | None = None) -> None:
        """Record in `dropped` that a stream is not copied.

        Args:
            stream: of the source.
            reason: in words; None for a reason that follows from the codec.
        """
        if reason is None:
            known = stream.type == "attachment" or codec_name(stream) is not None
            reason = f"{_CALLED[self._kind]} cannot hold it" if known else "its codec is unknown"
        self.dropped.append(f"{_describe(stream)}: {reason}")


def check_copy(source: Path, target: Path, *, overwrite: bool) -> str:
    """Check that a copy of a video can be written to a path.

    Returns:
        FFmpeg's name of the container.

    Raises:
        OutputExistsError: the file exists and `overwrite` is false.
        OutputError: the container is not supported, the path is the source itself, or the folder is
            missing or read-only.
    """
    suffix = target.suffix.lower()
    if suffix not in CONTAINERS:
        raise OutputError(
            f"{target.name}: cannot write a {suffix or 'nameless'} video",
            f"choose one of {' '.join(CONTAINERS)}",
        )
    check_destination(target, overwrite=overwrite)
    if target.exists() and target.samefile(source):
        raise OutputError(f"{target} is the source itself", "choose another name")
    return CONTAINERS[suffix][0]


def copy_all(source: InputContainer, output: OutputContainer, kind: str, info: MediaInfo) -> Copier:
    """Add a copy of every stream that the container can hold to the output.

    Args:
        source: the file to copy from.
        output: the file to copy to, header not written yet.
        kind: FFmpeg's name of the output's container.
        info: the source.

    Raises:
        ContainerError: the container cannot hold one of the pictures or sound tracks.
    """
    needed = {s.index for s in info.videos} | {s.index for s in info.audio}
    copier = Copier(source, output, kind, drop_unsupported=True, needed=needed, keep_default=True)
    for stream in source.streams:
        copier.add(stream)
    return copier


def check_streams(info: MediaInfo, target: Path) -> None:
    """Check that the container of `target` can hold every picture and sound track of a file.

    Raises:
        ContainerError: it cannot.
    """
    import av

    kind = CONTAINERS[target.suffix.lower()][0]
    with open_input(info.path) as source, av.open(BytesIO(), "w", format=kind) as output:
        copy_all(source, output, kind, info)


def name_language(stream: Stream, kind: str) -> None:
    """Change the language tag of a stream to the code that the container's muxer knows."""
    language = stream.metadata.get("language", "")
    if kind == "mov" and language in _MAC_LANGUAGES:
        stream.metadata["language"] = _MAC_LANGUAGES[language]


def _add(output: OutputContainer, stream: Stream, tag: str | None) -> Stream:
    if stream.codec_context is None and stream.type not in ("data", "attachment"):
        return _add_undecoded(output, stream)
    copy = output.add_stream_from_template(stream, opaque=True)
    if tag is not None:
        copy.codec_context.codec_tag = tag
    return copy


def _add_undecoded(output: OutputContainer, stream: Stream) -> Stream:
    """Add a stream whose codec FFmpeg knows but cannot decode, such as TTML subtitles.

    Raises:
        ValueError: FFmpeg does not know the codec. It then has not read the codec's header, without
            which a copy cannot be played.
    """
    from av.bitstream import BitStreamFilterContext

    if codec_name(stream) is None:
        raise ValueError("unknown codec")
    copy = output.add_data_stream()  # the next line changes its type to that of `stream`
    BitStreamFilterContext("null", stream, copy)
    copy.time_base = stream.time_base
    return copy


def _describe(stream: Stream) -> str:
    name = stream.metadata.get("filename") if stream.type == "attachment" else codec_name(stream)
    return f"{stream.type} stream {stream.index}" + (f" ({name})" if name else "")


def _worth_copying(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.lower() not in _PACKING_TAGS}


def _first_packet(name: str, index: int) -> bytes:
    """Read the first packet of a stream from a file that is opened once more for this."""
    with open_input(name.removeprefix("file:")) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""
