"""Copy streams of one container into another without decoding them."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

from avse.errors import OutputError

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

_DEFAULT, _ATTACHED_PICTURE = 0x1, 0x400  # AV_DISPOSITION_*
_QUICKTIME = ("mp4", "mov")
# Tags that describe how the source was packed, and would be untrue of the copy.
_PACKING_TAGS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
)
_MIME_TYPES = {"mjpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png")}


class Copier:
    """Copies streams, tags and chapters.

    Args:
        source: the file to copy from.
        output: the file to copy to, header not written yet.
        kind: FFmpeg's name of the output's container.
        drop_unsupported: leave out what the container cannot take instead of raising.

    Attributes:
        streams: the streams that are copied packet by packet.
        dropped: what was left out, in words.
    """

    def __init__(
        self,
        source: InputContainer,
        output: OutputContainer,
        kind: str,
        *,
        drop_unsupported: bool,
    ) -> None:
        self.streams: list[Stream] = []
        self.dropped: list[str] = []
        self._source = source
        self._output = output
        self._kind = kind
        self._drop = drop_unsupported
        self._from_quicktime = "mov" in source.format.name.split(",")
        self._copies: dict[int, Stream] = {}
        self._last: dict[int, int] = {}

    def add(self, stream: Stream) -> None:
        """Copy one stream, if the container takes it.

        Raises:
            OutputError: it does not, and it matters, and `drop_unsupported` is false.
        """
        if int(stream.disposition) & _ATTACHED_PICTURE:
            self._add_cover(stream)
            return
        if stream.type in ("data", "attachment", "unknown"):
            if stream.type == "data" and self._from_quicktime and self._source.chapters():
                return  # the text track behind QuickTime chapters, which are copied as chapters
            if not self._fits(stream, None):
                self._leave_out(stream)
                return
        tag = next((t for t in self._tags(stream) if self._fits(stream, t)), "?")
        if tag == "?":
            self._refuse(stream)
            return
        copy = _add(self._output, stream, tag)
        copy.metadata.update(_worth_copying(stream.metadata))
        flags = int(stream.disposition)
        copy.disposition = flags & ~_DEFAULT if stream.type == "audio" else flags  # type: ignore[assignment]
        self._copies[stream.index] = copy
        if stream.type != "attachment":
            self.streams.append(stream)

    def copy_tags(self) -> None:
        """Copy the tags and chapters of the container."""
        self._output.metadata.update(_worth_copying(self._source.metadata))
        chapters = self._source.chapters()
        if chapters:
            self._output.set_chapters(chapters)

    def copies(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """The packet, bound for the output; none if it has no time or repeats one."""
        copy = self._copies.get(packet.stream_index)
        if copy is None or packet.size == 0:
            return
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.dts is None:
            return
        last = self._last.get(packet.stream_index)
        if last is not None and packet.dts <= last and copy.type in ("video", "audio"):
            packet.dts = last + 1  # muxers refuse time that stands still
            if packet.pts is not None and packet.pts < packet.dts:
                packet.pts = packet.dts
        self._last[packet.stream_index] = packet.dts
        packet.stream = copy
        yield packet

    def _tags(self, stream: Stream) -> list[str | None]:
        """Four-letter codec tags to try, best first; None lets the muxer choose."""
        if stream.type != "video" or self._kind not in _QUICKTIME:
            return [None]
        if stream.codec_context.name == "hevc":
            return ["hvc1", None]  # Apple's players know no other
        if self._from_quicktime:
            tag = stream.codec_context.codec_tag
            return [tag, None] if tag.isprintable() else [None]
        return [None]

    def _fits(self, stream: Stream, tag: str | None) -> bool:
        """Whether the muxer takes a stream: try a header with nothing else in it."""
        import av
        from av.error import FFmpegError

        try:
            with av.open(BytesIO(), "w", format=self._kind) as trial:
                _add(trial, stream, tag)
                trial.start_encoding()
        except (FFmpegError, ValueError, OSError):
            return False
        return True

    def _add_cover(self, stream: Stream) -> None:
        """Copy a cover picture: an attachment in Matroska, a tag of its own in MP4."""
        name = stream.codec_context.name if stream.codec_context is not None else "?"
        if self._kind == "matroska" and name in _MIME_TYPES:
            mime, ending = _MIME_TYPES[name]
            picture = _first_packet(self._source.name, stream.index)
            if picture:
                self._output.add_attachment(
                    stream.metadata.get("filename", f"cover.{ending}"), mime, picture
                )
                return
        elif self._kind == "mp4" and self._fits(stream, None):
            copy = _add(self._output, stream, None)
            copy.disposition = stream.disposition
            self._copies[stream.index] = copy
            self.streams.append(stream)
            return
        self._leave_out(stream)

    def _refuse(self, stream: Stream) -> None:
        if not self._drop:
            raise OutputError(
                f"A {self._kind} file does not take the {_describe(stream)} of the source.",
                "Write an .mkv file or one like the source, or leave such streams out.",
            )
        self._leave_out(stream)

    def _leave_out(self, stream: Stream) -> None:
        self.dropped.append(_describe(stream))


def _add(output: OutputContainer, stream: Stream, tag: str | None) -> Stream:
    copy = output.add_stream_from_template(stream, opaque=True)
    if tag is not None:
        copy.codec_context.codec_tag = tag
    return copy


def _describe(stream: Stream) -> str:
    context = stream.codec_context
    name = stream.name if context is None else context.name
    return f"{stream.type} stream {stream.index} ({name or 'unknown'})"


def _worth_copying(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.lower() not in _PACKING_TAGS}


def _first_packet(name: str, index: int) -> bytes:
    """The first packet of a stream, read by the side so that the source stays where it is."""
    import av

    with av.open(name) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""
