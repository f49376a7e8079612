"""Speaker diarization of a recording: the pipeline, and the Python API."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from avse.diarization.dubbing import Dubbing, another_voice, judgeable, summarise, without_another
from avse.diarization.segments import Hysteresis, Segment, segments
from avse.dsp.stft import VIDEO_RATE
from avse.faces.detect import FaceBackend
from avse.faces.lips import AnyLips
from avse.faces.people import Person
from avse.inference.activity_features import COUNT, NEAR
from avse.inference.engine import Engine
from avse.inference.networks import SeparationNetwork, open_network
from avse.inference.voice_activity import AUDIO_VISUAL, lips_only, speaking
from avse.models.device import pick_device
from avse.scene.scene import Examined, Scene, examine, look
from avse.settings import Settings
from avse.sync.measuring import measure
from avse.sync.result import Sync, in_step
from avse.types import FloatArray
from avse.utils.progress import Progress, no_progress

BLOCK_S = 1.0


@dataclass(frozen=True)
class SpeakerTurns:
    """The speaker turns of one person.

    Attributes:
        person: the person.
        segments: segments of speech in playing time, in order, not overlapping.
        probability: (frames,) float32, probability of speech at 25 Hz; NaN where the face is
            off-screen.
        dubbed: where the lips move to another person's voice, which is not in `segments`; None if
            that cannot be decided or was not computed.
    """

    person: Person
    segments: tuple[Segment, ...]
    probability: FloatArray = field(repr=False)
    dubbed: Dubbing | None = None

    @property
    def seconds(self) -> float:
        """Total speaking time in seconds."""
        return sum(segment.length for segment in self.segments)


@dataclass(frozen=True)
class Activity:
    """The speaker diarization of a recording.

    Attributes:
        scene: the recording and the people in it.
        talks: speaker turns of each person, in order of their numbers.
        first: playing time of the first frame of every probability, in seconds.
        heard: whether the recording has sound; without sound, moving lips count as speech.
        cues: (people, cues, frames) float32, see `avse.inference.activity_features`.
        sync: the A/V offset; None if it was not measured.
    """

    scene: Scene
    talks: tuple[SpeakerTurns, ...]
    first: float
    heard: bool
    cues: FloatArray = field(repr=False)
    sync: Sync | None = None

    @property
    def spoken(self) -> Mapping[int, tuple[Segment, ...]]:
        """The segments of each person, by their number; see `avse.diarization.texts`."""
        return {talk.person.number: talk.segments for talk in self.talks}


def who(
    path: str | os.PathLike[str],
    *,
    rule: Hysteresis | None = None,
    dubbing: bool = False,
    settings: Settings | None = None,
    network: SeparationNetwork | None = None,
    backend: FaceBackend | None = None,
    progress: Progress = no_progress,
    examined: Examined | None = None,
    **options: Any,
) -> Activity:
    """Find out who speaks when (speaker diarization).

    Memory grows by a few megabytes an hour and person.

    Args:
        path: a video, with or without sound.
        rule: thresholds of speech.
        dubbing: whether to remove speech where lips move to another person's voice.
        settings: see `Settings`.
        network: a loaded network, in place of `settings.model`.
        backend: an open face backend, in place of `settings.faces`.
        progress: called with (stage, seconds done, seconds in all or None).
        examined: the result of `avse.scene.scene.examine`, or None.
        options: fields of `Settings` to change, such as `track=1`.

    Returns:
        The segments and probabilities of each person.

    Raises:
        MediaError: the file cannot be read.
        NoAudioError: the sound track does not exist.
        NoVideoError: the file has no video stream.
        NoFaceError: no face was found.
        MissingError: weights or a face backend do not exist.

    Examples:
        >>> import avse
        >>> activity = avse.who("talk.mp4")
        >>> [(n, len(segments)) for n, segments in activity.spoken.items()]
        [(1, 2), (2, 1)]
        >>> [round(edge) for edge in (activity.spoken[2][0].start, activity.spoken[2][0].stop)]
        [1, 6]
    """
    settings = dataclasses.replace(settings or Settings(), **options)
    examined = examined or examine(path, settings, need_audio=None)
    if network is None:
        network = open_network(settings.model, device=pick_device(settings.device))
    scene = look(path, settings, progress=progress, backend=backend, examined=examined)
    return listen(scene, network, settings, rule=rule, dubbing=dubbing, progress=progress)


def listen(
    scene: Scene,
    network: SeparationNetwork,
    settings: Settings,
    *,
    rule: Hysteresis | None = None,
    dubbing: bool = False,
    progress: Progress = no_progress,
) -> Activity:
    """As `who`, for a scene.

    A certain A/V offset is corrected in the lips, as in `avse.separation.separator`.

    Raises:
        MediaError: the sound cannot be read.
    """
    heard = scene.audio is not None
    sync = None
    if heard and settings.sync:
        sync = measure(scene, network, progress=progress)
    engine = Engine(network, settings)
    lips = in_step([person.lips for person in scene.people], sync)
    cues = _cues(engine, scene, lips, progress) if heard else engine.lip_cues(lips)
    probability = speaking(cues, AUDIO_VISUAL if heard else lips_only(settings.faces))
    first = scene.playing_time(Fraction(0))
    rule = rule or Hysteresis()
    cuts = [round(cut * VIDEO_RATE) for cut in scene.people.cuts]
    talks = []
    for person, features, theirs in zip(scene.people, cues, probability, strict=True):
        dubbed = None
        if dubbing and judgeable(sync):
            another = another_voice(features[NEAR], rule.flags(theirs), cuts)
            dubbed = summarise(another, first)
            theirs = without_another(theirs, another)
        talks.append(
            SpeakerTurns(person, tuple(segments(rule.flags(theirs), first)), theirs, dubbed)
        )
    return Activity(scene, tuple(talks), first, heard, cues, sync)


def _cues(engine: Engine, scene: Scene, lips: Sequence[AnyLips], progress: Progress) -> FloatArray:
    """(people, cues, video frames) of the whole sound track."""
    total = scene.length_s
    found = [np.zeros((len(scene.people), COUNT, 0), np.float32)]
    done = 0
    progress("activity", 0.0, total)
    for block in engine.run(lips, scene.sound).cues():
        found.append(block)
        done += block.shape[-1]
        progress("activity", done / VIDEO_RATE, total)
    return np.concatenate(found, axis=-1)
