"""Say what a media file holds, without reading more than its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from avse.errors import MediaError
from avse.media.depth import source_depth
from avse.media.opening import (
    Damage,
    StrPath,
    decode_packet,
    open_input,
    read_packets,
    seconds,
    time_base_of,
    usable_audio,
    usable_video,
)
from avse.media.orientation import UPRIGHT, Orientation, orientation_of

if TYPE_CHECKING:
    import av.audio.frame
    import av.audio.stream
    import av.video.frame
    import av.video.stream
    from av.container import InputContainer
    from av.stream import Stream

_ENOUGH_PICTURES = 300  # packets that settle whether the frame rate is variable
_ENOUGH_PACKETS = 6000  # of any kind, before the look at the beginning ends
_PATIENCE = 100  # packets to try before a stream is taken to start where its header says
_STILL_CODECS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpeg2000", "apng"})


@dataclass(frozen=True)
class VideoStream:
    """A moving picture.

    Attributes:
        index: number of the stream in the container.
        codec: FFmpeg's name of the codec, such as "h264".
        width: width as displayed, in pixels: after rotation and pixel aspect ratio.
        height: height as displayed, in pixels.
        rotation: clockwise turn from the stored to the displayed picture: 0, 90, 180 or 270.
        mirrored: whether the displayed picture is also a mirror image of the stored one.
        average_rate: frames per second, None where the file does not say.
        variable_frame_rate: whether the first few hundred frames are unevenly spaced.
        start: time of the first frame.
        duration: seconds, None where the file does not say.
    """

    index: int
    codec: str
    width: int
    height: int
    rotation: int
    mirrored: bool
    average_rate: Fraction | None
    variable_frame_rate: bool
    start: Fraction
    duration: Fraction | None


@dataclass(frozen=True)
class AudioStream:
    """A sound track.

    Attributes:
        index: number of the stream in the container.
        codec: FFmpeg's name of the codec, such as "aac".
        sample_rate: samples per second and channel.
        channels: number of channels.
        layout: FFmpeg's name of the channel layout, such as "stereo" or "5.1(side)".
        channel_names: name of each channel in order, such as ("FL", "FR").
        sample_format: what the decoder gives, such as "fltp" or "s16".
        bits_per_sample: depth of a lossless source (8, 16, 24, 32, 64), None for lossy codecs.
        is_float: whether a lossless source stores floating point.
        start: time of sample 0, encoder delay taken off; equals `AudioReader.start`.
        duration: seconds, None where the file does not say.
        language: ISO 639 code, None where unknown.
        default: whether the file marks it as the track to play.
    """

    index: int
    codec: str
    sample_rate: int
    channels: int
    layout: str
    channel_names: tuple[str, ...]
    sample_format: str
    bits_per_sample: int | None
    is_float: bool
    start: Fraction
    duration: Fraction | None
    language: str | None
    default: bool


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds.

    Attributes:
        path: the file.
        format: FFmpeg's name of the container, such as "mov,mp4,m4a,3gp,3g2,mj2".
        duration: seconds, None where the file does not say.
        start: the smallest time stamp in the container; not subtracted from anything.
        video: the first moving picture (cover art is none), or None.
        audio: every sound track that can be decoded; `AudioReader(track=n)` reads `audio[n]`.
    """

    path: Path
    format: str
    duration: Fraction | None
    start: Fraction
    video: VideoStream | None
    audio: tuple[AudioStream, ...]


def probe(path: StrPath) -> MediaInfo:
    """Look into a media file.

    Raises:
        MediaError: missing, a folder, empty, corrupt, not media, or neither sound nor picture.
    """
    with open_input(path) as container:
        head = _Head(container)
        head.read()
        info = MediaInfo(
            path=Path(path),
            format=container.format.name,
            duration=None if container.duration is None else Fraction(container.duration, 10**6),
            start=Fraction(container.start_time or 0, 10**6),
            video=head.video(),
            audio=tuple(head.audio(stream) for stream in head.audio_streams),
        )
    if info.video is None and not info.audio:
        raise MediaError(
            f"{path} holds neither sound nor a moving picture that can be decoded",
            "give a video or a sound file",
        )
    return info


class _Head:
    """The beginning of a file: packet times, and the first frame of each stream."""

    def __init__(self, container: InputContainer) -> None:
        self.container = container
        self.audio_streams = usable_audio(container)
        self.video_streams = usable_video(container)
        self.times: dict[int, list[int]] = {s.index: [] for s in self.video_streams}
        self.tried: dict[int, int] = {}
        self.first_sound: dict[int, av.audio.frame.AudioFrame] = {}
        self.first_picture: dict[int, av.video.frame.VideoFrame] = {}
        self.whole = False

    def read(self) -> None:
        streams: list[Stream] = [*self.audio_streams, *self.video_streams]
        if not streams:
            return
        damage = Damage()
        for count, packet in enumerate(read_packets(self.container, streams, damage)):
            index = packet.stream_index
            flushing = packet.size == 0 and packet.dts is None and packet.pts is None
            stamp = packet.dts if packet.pts is None else packet.pts
            if index in self.times and stamp is not None and not packet.is_discard:
                self.times[index].append(stamp)
            if index not in self.first_sound and index not in self.first_picture:
                self.tried[index] = self.tried.get(index, 0) + 1
                if flushing or self.tried[index] <= _PATIENCE:
                    self._keep_first(index, decode_packet(packet, damage))
            if count >= _ENOUGH_PACKETS or self._enough():
                return
        self.whole = True

    def _keep_first(self, index: int, frames: Sequence[object]) -> None:
        for frame in frames:
            if index in self.times:
                self.first_picture.setdefault(index, frame)  # type: ignore[arg-type]
            elif getattr(frame, "samples", 0):
                self.first_sound.setdefault(index, frame)  # type: ignore[arg-type]

    def _enough(self) -> bool:
        settled = all(
            len(times) >= (_ENOUGH_PICTURES if n == 0 else 2)
            for n, times in enumerate(self.times.values())
        )
        return settled and all(
            s.index in self.first_sound or self.tried.get(s.index, 0) > _PATIENCE
            for s in self.audio_streams
        )

    def video(self) -> VideoStream | None:
        for stream in self.video_streams:
            times = self.times[stream.index]
            name = stream.codec_context.name
            still = len(times) <= 1 and name in _STILL_CODECS
            if not still and (times or not self.whole):
                return self._describe_video(stream, times)
        return None

    def _describe_video(self, stream: av.video.stream.VideoStream, times: list[int]) -> VideoStream:
        context = stream.codec_context
        frame = self.first_picture.get(stream.index)
        turn = UPRIGHT if frame is None else orientation_of(frame)
        width, height = displayed_size(
            context.width, context.height, stream.sample_aspect_ratio, turn
        )
        start = min(times[:64]) if times else stream.start_time or 0
        return VideoStream(
            index=stream.index,
            codec=context.name,
            width=width,
            height=height,
            rotation=turn.rotation,
            mirrored=turn.mirrored,
            average_rate=stream.average_rate or stream.guessed_rate or None,
            variable_frame_rate=_uneven(times, time_base_of(stream), self.whole),
            start=start * time_base_of(stream),
            duration=_duration(stream),
        )

    def audio(self, stream: av.audio.stream.AudioStream) -> AudioStream:
        context = stream.codec_context
        frame = self.first_sound.get(stream.index)
        bits, is_float = source_depth(context.name, context.format.name, context.extradata)
        described = AudioStream(
            index=stream.index,
            codec=context.name,
            sample_rate=context.sample_rate,
            channels=context.layout.nb_channels,
            layout=context.layout.name,
            channel_names=tuple(c.name for c in context.layout.channels),
            sample_format=context.format.name,
            bits_per_sample=bits,
            is_float=is_float,
            start=seconds(stream.start_time, stream) or Fraction(0),
            duration=_duration(stream),
            language=None if stream.language in (None, "und") else stream.language,
            default=bool(int(stream.disposition) & 1),
        )
        if frame is None:
            return described
        return replace(  # headers of HE-AAC, for one, give half the rate and half the channels
            described,
            sample_rate=frame.sample_rate,
            channels=frame.layout.nb_channels,
            layout=frame.layout.name,
            channel_names=tuple(c.name for c in frame.layout.channels),
            sample_format=frame.format.name,
            start=described.start if frame.pts is None else frame.pts * time_base_of(stream),
        )


def displayed_size(
    width: int, height: int, pixel_aspect: Fraction | None, turn: Orientation
) -> tuple[int, int]:
    """Size in pixels of a stored picture as it is to be shown: height kept, width stretched."""
    if pixel_aspect and pixel_aspect > 0:
        width = max(1, round(width * pixel_aspect))
    return (height, width) if turn.transposed else (width, height)


def _uneven(times: list[int], time_base: Fraction, whole: bool) -> bool:
    """Whether frame times are unevenly spaced by more than their own rounding."""
    ordered = sorted(set(times))
    if not whole:
        ordered = ordered[:-16]  # frames stored out of order: the last ones may have holes
    gaps = sorted(b - a for a, b in pairwise(ordered))
    if len(gaps) < 2:
        return False
    middle = gaps[len(gaps) // 2]
    return (gaps[-1] - gaps[0]) > max(Fraction(2), Fraction(middle, 20))


def _duration(stream: Stream) -> Fraction | None:
    known = seconds(stream.duration, stream)
    if known is not None:
        return known
    text = stream.metadata.get("DURATION", "")  # Matroska writes it as a tag: 00:01:02.345000000
    try:
        hours, minutes, rest = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(rest)
    except ValueError:
        return None
