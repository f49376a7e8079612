"""Robustness curves on the video, through the whole pipeline: picture size, frame rate, late
sound."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from avse.errors import AvseError, MissingError
from avse.evaluation.robustness import CURVE_METRICS, CURVES, score_voice, summarise_point
from avse.evaluation.running import NO_FACE, separate_video
from avse.evaluation.sounds import read_sound
from avse.evaluation.testset import TestSet
from avse.media import read_frames
from avse.media.moving import move_sound
from avse.media.opening import open_input
from avse.metrics import Score, not_defined
from avse.mixtures.items import Item
from avse.separation.separator import Separator


def trace_videos(
    curve: str, separator: Separator, test_set: TestSet, items: Sequence[Item]
) -> Iterator[dict[str, object]]:
    """All points of the curves "size", "rate" and "sync"; videos are never enlarged or sped up.

    Args:
        curve: which.
        separator: the separator to evaluate.
        test_set: with videos.
        items: of it.
    """
    for point in CURVES[curve].points:
        scores: dict[str, list[Score]] = {name: [] for name in CURVE_METRICS}
        groups: list[str] = []
        with tempfile.TemporaryDirectory() as folder:
            for item in items:
                assert item.picture is not None
                video = test_set.video(item)
                worse = Path(folder) / f"{item.id}.mkv"
                if curve == "sync":
                    # Matroska keeps every packet of the sound, however early it comes.
                    move_sound(video, worse, Fraction(-point) / 1000)
                elif point > (item.picture.height if curve == "size" else item.picture.fps):
                    continue
                else:
                    write_worse(
                        video,
                        worse,
                        height=int(point) if curve == "size" else None,
                        fps=Fraction(point) if curve == "rate" else None,
                    )
                for name, found in _score(worse, item, test_set, separator).items():
                    scores[name] += found
                groups += [item.id] * len(item.sources)
                worse.unlink()
        if groups:
            yield summarise_point(point, scores, groups)


def write_worse(source: Path, target: Path, *, height: int | None, fps: Fraction | None) -> None:
    """Encode a video's picture again (H.264), smaller or slower; its sound is copied.

    Args:
        source: a video.
        target: of the new one.
        height: of the picture in pixels; the width follows.
        fps: pictures a second: at each instant the last one that was shown.
    """
    import av

    frames = list(read_frames(source))
    times = np.array([float(frame.time) for frame in frames])
    step = fps or Fraction(round(1000 / float(np.median(np.diff(times)))), 1000)
    count = int((times[-1] - times[0]) * float(step) + 1e-3) + 1
    instants = times[0] + np.arange(count) / float(step)
    shown = np.maximum(0, np.searchsorted(times, instants + 1e-4, side="right") - 1)
    tall, wide = frames[0].image.shape[:2]
    high = height or tall
    size = (2 * round(wide * high / tall / 2), 2 * round(high / 2))
    with open_input(source) as old, av.open(str(target), "w") as new:
        video = new.add_stream("libx264", rate=step, options={"crf": "20"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        heard = old.streams.audio[0]
        copy = new.add_stream_from_template(heard)
        for packet in old.demux(heard):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)
        for index, time in zip(shown, instants, strict=True):
            picture = av.VideoFrame.from_ndarray(frames[index].image, format="rgb24")
            picture = picture.reformat(width=size[0], height=size[1], format="yuv420p")
            picture.pts, picture.time_base = round(time * 90_000), Fraction(1, 90_000)
            new.mux(video.encode(picture))
        new.mux(video.encode(None))


def _score(
    video: Path, item: Item, test_set: TestSet, separator: Separator
) -> dict[str, list[Score]]:
    mixture, _ = read_sound(test_set.mixture(item))
    references = [read_sound(path)[0] for path in test_set.references(item)]
    try:
        voices, failure = separate_video(separator, video, item), NO_FACE
    except MissingError:
        raise
    except AvseError as error:
        voices, failure = [None] * len(references), error.message
    found: dict[str, list[Score]] = {name: [] for name in CURVE_METRICS}
    for number, voice in enumerate(voices):
        scores = (
            dict.fromkeys(CURVE_METRICS, not_defined(failure))
            if voice is None
            else score_voice(voice, mixture, references, number)
        )
        for name, score in scores.items():
            found[name].append(score)
    return found
