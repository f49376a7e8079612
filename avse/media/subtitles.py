"""Convert text subtitles to the format that a container can hold."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

ENCODERS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_TIME_BASE = Fraction(1, 1000)


def is_text(stream: Stream) -> bool:
    """Whether a stream holds text subtitles, which can be converted; picture subtitles cannot."""
    context = stream.codec_context
    return stream.type == "subtitle" and context is not None and bool(context.codec.text_sub)


class SubtitleConverter:
    """Converts a stream of text subtitles, packet by packet.

    Args:
        source: the stream to convert.
        output: the file to write, header not written yet.
        kind: FFmpeg's name of the container to write.

    Attributes:
        stream: the stream that was added to the output.
    """

    def __init__(self, source: Stream, output: OutputContainer, kind: str) -> None:
        self._decoder = cast("Any", source.codec_context)
        self._decoder.open(strict=False)
        self.stream = cast("Stream", output.add_stream(ENCODERS[kind]))
        self._encoder = cast("Any", self.stream.codec_context)
        self._encoder.subtitle_header = self._decoder.subtitle_header  # the styles
        self._encoder.time_base = self.stream.time_base = _TIME_BASE

    def converted(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Convert the lines of a packet; a damaged packet gives none.

        The empty packets of MP4, for the time between two lines, give none, too.
        """
        from av.error import FFmpegError
        from av.subtitles.subtitle import SubtitleSet

        if packet.pts is None:
            return
        start = round(packet.pts * packet.time_base / _TIME_BASE)
        try:
            found = self._decoder.decode2(packet)
        except (FFmpegError, ValueError):
            return
        for line in found or ():
            text = getattr(line, "ass", b"")
            length = round((packet.duration or 0) * packet.time_base / _TIME_BASE)
            length = length or found.end_display_time - found.start_display_time
            made = self._encoder.encode_subtitle(SubtitleSet.create(text, 0, length))
            made.stream, made.time_base = self.stream, _TIME_BASE
            made.pts = made.dts = start
            made.duration = length
            yield made
