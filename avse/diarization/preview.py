"""The preview: the recording with boxes, names, and bars of voice activity drawn into it.

moviepy composes and encodes the video. `avse.media` reads the pictures, and handles rotation,
variable frame rates and late starts. Pictures are drawn one at a time, in bounded memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from avse.diarization.segments import Flags, Segment, flags_of
from avse.errors import MissingExtraError, UsageError
from avse.faces.detect import Image
from avse.faces.gallery import badge
from avse.faces.lips import RATE_HZ
from avse.media import AudioReader, Frame, FrameReader, StemWriter
from avse.media.atomic_files import check_destination, place, temporary_name, writing
from avse.utils.progress import Progress

if TYPE_CHECKING:
    from avse.diarization.who import Activity, SpeakerTurns

SUFFIX = ".mp4"
MAX_SIDE = 1280
"""Longest side of a preview in pixels."""

_COLOURS = ((230, 60, 70), (40, 130, 220), (40, 160, 90), (225, 140, 20), (140, 90, 200))
_QUIET = (150, 150, 150)


def check_preview(path: Path) -> None:
    """Check that a preview can be made.

    Raises:
        UsageError: the name does not end in .mp4.
        MissingExtraError: moviepy is not installed.
    """
    if path.suffix.lower() != SUFFIX:
        raise UsageError(f"{path}: a preview is an MP4 file", f"let its name end in {SUFFIX}")
    try:
        import moviepy  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "moviepy, which composes previews, is not installed",
            'install it with: pip install "avse[preview]"',
        ) from error


class Drawing:
    """Draws who speaks into pictures.

    Args:
        activity: the result of `avse.diarization.who.listen`.
    """

    def __init__(self, activity: Activity) -> None:
        self.activity = activity
        count = len(activity.talks[0].probability) if activity.talks else 0
        shift = activity.first
        self.speaks: list[Flags] = [
            flags_of([Segment(s.start - shift, s.stop - shift) for s in talk.segments], count)
            for talk in activity.talks
        ]

    def draw(self, image: Image, playing_s: float) -> Image:
        """Copy a picture, (height, width, 3), and mark every visible person.

        Args:
            image: the picture.
            playing_s: its playing time, in seconds.
        """
        picture = Pillow.fromarray(image)
        pen = ImageDraw.Draw(picture)
        time = playing_s - self.activity.first
        for talk, speaks in zip(self.activity.talks, self.speaks, strict=True):
            box = talk.person.box_at(time)
            if box is None:
                continue
            frame = int(time * RATE_HZ)
            here = 0 <= frame < len(speaks)
            share = float(talk.probability[frame]) if here else float("nan")
            self._mark(pen, image.shape, talk, box, bool(here and speaks[frame]), share)
        return np.asarray(picture, np.uint8)

    def _mark(
        self,
        pen: ImageDraw.ImageDraw,
        shape: tuple[int, ...],
        talk: SpeakerTurns,
        box: tuple[float, float, float, float],
        speaks: bool,
        share: float,
    ) -> None:
        height, width = shape[:2]
        left, top = box[0] * width, box[1] * height
        right, bottom = left + box[2] * width, top + box[3] * height
        number = talk.person.number
        colour = _COLOURS[(number - 1) % len(_COLOURS)] if speaks else _QUIET
        thin = max(1, height // 360)
        pen.rectangle((left, top, right, bottom), outline=colour, width=(3 if speaks else 1) * thin)
        size = max(12, height // 30)
        badge(pen, f"Speaker {number}", left, max(0, top - 1.4 * size), size, colour)
        # The bar: the probability of speech, below the box, or inside it at the picture's edge.
        deep = max(6, size // 2)
        low = min(bottom + 2 * thin, height - deep - 1)
        pen.rectangle((left, low, right, low + deep), fill=(30, 30, 32))
        if not np.isnan(share):
            pen.rectangle((left, low, left + share * (right - left), low + deep), fill=colour)


class _Film:
    """The pictures of a recording by playing time, which may only increase."""

    def __init__(self, reader: FrameReader, began: Fraction, drawing: Drawing) -> None:
        self._frames: Iterator[Frame] = iter(reader)
        self._began, self._drawing = began, drawing
        self._next = next(self._frames, None)
        self._shown: Image | None = None

    def at(self, playing_s: float) -> Image:
        """Draw the picture that is shown at a playing time; before the first one, that one."""
        while self._next is not None and (
            self._shown is None or float(self._next.time - self._began) <= playing_s + 1e-6
        ):
            image = self._next.image
            self._shown = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
            self._next = next(self._frames, None)
        assert self._shown is not None
        return self._drawing.draw(self._shown, playing_s)


def write_preview(
    activity: Activity,
    path: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the preview, with the sound of the recording.

    Args:
        activity: the result of `avse.diarization.who.listen`.
        path: ends in .mp4.
        overwrite: replace a file that exists already.
        progress: called with ("preview", seconds done, seconds in all).

    Raises:
        UsageError, MissingExtraError: see `check_preview`.
        OutputExistsError, OutputError: the file cannot be written.
    """
    check_preview(path)
    check_destination(path, overwrite=overwrite)
    from moviepy import AudioFileClip, VideoClip

    scene = activity.scene
    began = scene.part.begin(scene.info.start)
    late = float(scene.origin - began)  # seconds from the first picture to the first sound
    seconds = scene.length_s or late + _seconds(activity)
    # moviepy writes the rate with two decimals, so the pictures must have exactly this rate.
    rate_hz = round(min(float(scene.video.average_rate or RATE_HZ), 60.0), 2)
    temporary = temporary_name(path)
    with (
        writing(path),
        tempfile.TemporaryDirectory(prefix=".avse-", dir=path.parent) as scratch,
        FrameReader(
            scene.info.path,
            picture=scene.picture,
            max_side=MAX_SIDE,
            start=scene.part.start,
            stop=scene.part.stop,
        ) as reader,
    ):
        film = _Film(reader, scene.info.start, Drawing(activity))

        def picture(time: float) -> Image:
            if progress is not None:
                progress("preview", time, seconds)
            return film.at(float(began - scene.info.start) + time)

        clip = VideoClip(picture, duration=seconds)
        sound = None
        if scene.audio is not None:
            sound = AudioFileClip(str(_sound(activity, Path(scratch))))
            clip = clip.with_audio(sound.with_duration(min(seconds, sound.duration)))
        try:
            clip.write_videofile(
                str(temporary),
                fps=rate_hz,
                codec="libx264",
                audio_codec="aac",
                preset="veryfast",
                temp_audiofile_path=scratch,
                logger=None,
            )
            place(temporary, path, overwrite=overwrite)
        finally:
            clip.close()
            if sound is not None:
                sound.close()
            temporary.unlink(missing_ok=True)


def _seconds(activity: Activity) -> float:
    return max((len(talk.probability) for talk in activity.talks), default=0) / RATE_HZ


def _sound(activity: Activity, folder: Path) -> Path:
    """Write the sound to a file that begins with the recording."""
    path, scene = folder / "sound.wav", activity.scene
    part = scene.part
    with AudioReader(
        scene.info.path, track=scene.track, start=part.start, stop=part.stop
    ) as reader:
        began = part.begin(scene.info.start)
        late = round(max(Fraction(0), reader.start - began) * reader.sample_rate)
        with StemWriter(
            path, sample_rate=reader.sample_rate, channels=min(2, reader.channels)
        ) as writer:
            writer.write(np.zeros((min(2, reader.channels), late), np.float32))
            for block in reader:
                writer.write(block.samples[:2])
    return path
