"""Describe the streams of a media file; only its beginning is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from avse.errors import MediaError
from avse.media.bit_depth import source_depth
from avse.media.opening import (
    Damage,
    StrPath,
    codec_name,
    decode_packet,
    default_track,
    is_default,
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

_ENOUGH_PICTURES = 300  # packets of a picture, which show whether the frame rate is variable
_ENOUGH_PACKETS = 6000  # packets of all streams that are read at most
_PATIENCE = 100  # packets of a stream to decode before its header's start time is taken
_LEAST_RATE = 1000  # the lowest plausible rate of picture and sound, bytes per second
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_*
_PROTECTED_TAGS = frozenset({"drmi", "drms", "drmt", "encv", "enca"})  # FairPlay, Common Encryption
_STILL_CODECS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpeg2000", "apng"})


@dataclass(frozen=True)
class VideoStream:
    """A moving picture.

    Attributes:
        index: number of the stream in the container.
        codec: common name of the codec, such as "h264" or "av1".
        width: width as displayed, in pixels: after rotation and pixel aspect ratio.
        height: height as displayed, in pixels.
        rotation: clockwise rotation from the stored to the displayed picture: 0, 90, 180 or 270.
        mirrored: whether the displayed picture is also a mirror image of the stored one.
        average_rate: frames per second, None if the file does not state it.
        variable_frame_rate: whether the first few hundred frames are unevenly spaced.
        start: time of the first frame, in seconds.
        duration: seconds, None if the file does not state it.
        language: ISO 639 code, None if unknown.
        default: whether the file marks it as the picture to show.
        title: its title, None if it has none.
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
    language: str | None = None
    default: bool = False
    title: str | None = None


@dataclass(frozen=True)
class AudioStream:
    """A sound track.

    Attributes:
        index: number of the stream in the container.
        codec: common name of the codec, such as "aac".
        sample_rate: samples per second and channel.
        channels: number of channels.
        layout: FFmpeg's name of the channel layout, such as "stereo" or "5.1(side)".
        channel_names: name of each channel in order, such as ("FL", "FR").
        sample_format: sample format of decoded frames, such as "fltp" or "s16".
        bits_per_sample: depth of a lossless source (8, 16, 24, 32, 64), None for lossy codecs.
        is_float: whether a lossless source stores floating point.
        start: time of sample 0 in seconds, without the encoder delay; equals `AudioReader.start`.
        duration: seconds, None if the file does not state it.
        language: ISO 639 code, None if unknown.
        default: whether the file marks it as the track to play.
        title: its title, None if it has none.
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
    title: str | None = None


@dataclass(frozen=True)
class OtherStream:
    """A stream that avse does not decode: subtitles, or sound in an unknown codec, for example.

    Attributes:
        index: number of the stream in the container.
        kind: "picture", "cover", "sound", "subtitle", "data", "attachment" or "unknown".
        codec: common name of the codec, "tmcd" for QuickTime's time codes, None if unknown.
        language: ISO 639 code, None if unknown.
        default: whether the file marks it as the one to show.
        title: its title, None if it has none; of a time code, its first value.
    """

    index: int
    kind: str
    codec: str | None
    language: str | None
    default: bool
    title: str | None


@dataclass(frozen=True)
class MediaInfo:
    """The streams of a file.

    Attributes:
        path: the file.
        format: FFmpeg's name of the container, such as "mov,mp4,m4a,3gp,3g2,mj2".
        duration: seconds, None if the file does not state it.
        start: the smallest time stamp in the container, in seconds. Other times do not count from
            it.
        video: the first moving picture, without cover art; None if there is none.
        audio: every sound track that can be decoded; `AudioReader(track=n)` reads `audio[n]`.
        videos: every moving picture; `FrameReader(picture=n)` reads `videos[n]`.
        others: all other streams.
    """

    path: Path
    format: str
    duration: Fraction | None
    start: Fraction
    video: VideoStream | None
    audio: tuple[AudioStream, ...]
    videos: tuple[VideoStream, ...] = ()
    others: tuple[OtherStream, ...] = ()

    @property
    def default_track(self) -> int:
        """Number of the sound track that plays by default: the first marked so, else the first."""
        return default_track(sound.default for sound in self.audio)


def probe(path: StrPath) -> MediaInfo:
    """Read the beginning of a media file, and describe its streams.

    Raises:
        MediaError: the file is missing, a folder, empty, corrupt, not a media file, encrypted, or
            has neither sound nor a moving picture that can be decoded.
    """
    with open_input(path) as container:
        head = _Head(container)
        head.read()
        if head.encrypted:
            raise MediaError(
                f"{path}: is encrypted (DRM)",
                "only recordings without copy protection can be read: export or record one",
            )
        videos, audio = head.videos(), tuple(head.audio(s) for s in head.audio_streams)
        used = {s.index for s in videos} | {s.index for s in audio}
        info = MediaInfo(
            path=Path(path),
            format=container.format.name,
            duration=None if container.duration is None else Fraction(container.duration, 10**6),
            start=Fraction(container.start_time or 0, 10**6),
            video=videos[0] if videos else None,
            audio=audio,
            videos=videos,
            others=tuple(_other(s) for s in container.streams if s.index not in used),
        )
    if not videos and not audio:
        raise MediaError(
            f"{path}: holds neither sound nor a moving picture that can be decoded"
            + (undecodable(info) and f" ({undecodable(info)})"),
            "give a video or a sound file",
        )
    return info


def plausible_s(claimed_s: float, size: int) -> float:
    """Limit the duration in a header by the size of the file; damaged headers state months.

    Args:
        claimed_s: the duration in the header, in seconds.
        size: of the file, in bytes.
    """
    return min(claimed_s, size / _LEAST_RATE)


def undecodable(info: MediaInfo, kinds: Sequence[str] = ("picture", "sound")) -> str:
    """Describe the pictures and sounds of a file that cannot be decoded; "" if there are none."""
    return ", ".join(
        f"the codec of its {one.kind} is {one.codec or 'unknown'}"
        for one in info.others
        if one.kind in kinds
    )


class _Head:
    """The beginning of a file: packet times of pictures, and the first frame of each stream."""

    def __init__(self, container: InputContainer) -> None:
        self.container = container
        self.audio_streams = usable_audio(container)
        self.video_streams = usable_video(container)
        self.times: dict[int, list[int]] = {s.index: [] for s in self.video_streams}
        self.tried: dict[int, int] = {}
        self.first_sound: dict[int, av.audio.frame.AudioFrame] = {}
        self.first_picture: dict[int, av.video.frame.VideoFrame] = {}
        self.whole = False
        self.encrypted = any(
            "enc_key_id" in s.metadata  # Matroska
            or (s.codec_context is not None and s.codec_context.codec_tag in _PROTECTED_TAGS)
            for s in container.streams
        )

    def read(self) -> None:
        streams: list[Stream] = [*self.audio_streams, *self.video_streams]
        if not streams:
            return
        damage = Damage()
        for count, packet in enumerate(read_packets(self.container, streams, damage)):
            index = packet.stream_index
            self.encrypted = self.encrypted or packet.has_sidedata("encryption_info")
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
        return all(len(times) >= _ENOUGH_PICTURES for times in self.times.values()) and all(
            s.index in self.first_sound or self.tried.get(s.index, 0) > _PATIENCE
            for s in self.audio_streams
        )

    def videos(self) -> tuple[VideoStream, ...]:
        found = []
        for stream in self.video_streams:
            times = self.times[stream.index]
            still = len(times) <= 1 and stream.codec_context.name in _STILL_CODECS
            if not still and (times or not self.whole):
                found.append(self._describe_video(stream, times))
        return tuple(found)

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
            codec=context.codec.canonical_name,
            width=width,
            height=height,
            rotation=turn.rotation,
            mirrored=turn.mirrored,
            average_rate=stream.average_rate or stream.guessed_rate or None,
            variable_frame_rate=_uneven(times, time_base_of(stream), self.whole),
            start=start * time_base_of(stream),
            duration=_duration(stream),
            language=_language(stream),
            default=is_default(stream),
            title=_title(stream),
        )

    def audio(self, stream: av.audio.stream.AudioStream) -> AudioStream:
        context = stream.codec_context
        frame = self.first_sound.get(stream.index)
        # The format is None if the header is invalid; then no frame can be decoded, either.
        form = "" if context.format is None else context.format.name
        bits, is_float = source_depth(context.name, form, context.extradata)
        described = AudioStream(
            index=stream.index,
            codec=context.codec.canonical_name,
            sample_rate=context.sample_rate,
            channels=context.layout.nb_channels,
            layout=context.layout.name,
            channel_names=tuple(c.name for c in context.layout.channels),
            sample_format=form,
            bits_per_sample=bits,
            is_float=is_float,
            start=seconds(stream.start_time, stream) or Fraction(0),
            duration=_duration(stream),
            language=_language(stream),
            default=is_default(stream),
            title=_title(stream),
        )
        if frame is None:
            return described
        return replace(  # headers of HE-AAC, for example, state half the rate and half the channels
            described,
            sample_rate=frame.sample_rate,
            channels=frame.layout.nb_channels,
            layout=frame.layout.name,
            channel_names=tuple(c.name for c in frame.layout.channels),
            sample_format=frame.format.name,
            start=described.start if frame.pts is None else frame.pts * time_base_of(stream),
        )


def _other(stream: Stream) -> OtherStream:
    kinds = {"video": "picture", "audio": "sound"}
    cover = stream.type == "video" and (
        int(stream.disposition) & _ATTACHED_PICTURE
        or (stream.codec_context is not None and stream.codec_context.name in _STILL_CODECS)
    )
    return OtherStream(
        index=stream.index,
        kind="cover" if cover else kinds.get(stream.type, stream.type),
        codec=codec_name(stream) or ("tmcd" if _has_time_code(stream) else None),
        language=_language(stream),
        default=is_default(stream),
        title=_title(stream),
    )


def _has_time_code(stream: Stream) -> bool:
    return stream.type == "data" and "timecode" in stream.metadata


def _language(stream: Stream) -> str | None:
    return None if stream.language in (None, "und") else stream.language


def _title(stream: Stream) -> str | None:
    """The title of a stream, which MP4 stores as "name"; else its file name or first time code.

    The tag "handler_name" is not used: FFmpeg and phones write the kind of stream there.
    """
    keys = ["title", "name", "filename", *(["timecode"] if _has_time_code(stream) else [])]
    return next((stream.metadata[key] for key in keys if stream.metadata.get(key)), None)


def displayed_size(
    width: int, height: int, pixel_aspect: Fraction | None, turn: Orientation
) -> tuple[int, int]:
    """Compute the displayed (width, height) of a stored picture, in pixels.

    Args:
        width, height: of the stored picture.
        pixel_aspect: width of a pixel divided by its height; the width is scaled by it.
        turn: the orientation.
    """
    if pixel_aspect and pixel_aspect > 0:
        width = max(1, round(width * pixel_aspect))
    return (height, width) if turn.transposed else (width, height)


def _uneven(times: list[int], time_base: Fraction, whole: bool) -> bool:
    """Whether frame times are unevenly spaced by more than rounding to ticks explains."""
    ordered = sorted(set(times))
    if not whole:
        ordered = ordered[:-16]  # frames are stored out of order: some of the last may be missing
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
        told = int(hours) * 3600 + int(minutes) * 60 + Fraction(rest)
    except (ValueError, ZeroDivisionError):
        return None
    # FFmpeg writes the time at which the track ends; MKVToolNix, with other statistics, the length.
    start = seconds(stream.start_time, stream) or Fraction(0)
    return told if "_STATISTICS_TAGS" in stream.metadata else max(Fraction(0), told - start)
