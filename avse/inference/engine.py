"""The engine: lips and sound in, stems out.

Every verb, the page and the evaluator use this path: mask estimation, the gate, tracking of
off-screen speakers, and applying the masks to the original sound. An engine is loaded once and used
for many recordings. A run can begin and stop anywhere in a recording; its blocks equal those of a
run over the whole.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME, VIDEO_RATE
from avse.errors import UsageError
from avse.faces.lips import AnyLips
from avse.inference.activity_features import COUNT, MOTION, SEEN, motion
from avse.inference.enrolment import Enrolment, enrolled
from avse.inference.gate import USUAL, gated
from avse.inference.mask_applier import MaskApplier
from avse.inference.mask_estimator import MaskBlock, MaskEstimator, audio_begin
from avse.inference.networks import SeparationNetwork, as_network, open_network
from avse.inference.offscreen import OffscreenNetworks
from avse.inference.offscreen_weights import load_offscreen
from avse.inference.sound import ArraySound, Sound
from avse.inference.speaker_tracking import Absence, SpeakerTracker
from avse.models.device import pick_device
from avse.settings import Settings
from avse.types import FloatArray

if TYPE_CHECKING:
    from avse.models.network import AVSENet


def _nobody(frames: int) -> None:
    """The default for `progress`: does nothing."""


@dataclass(frozen=True)
class Block:
    """A block of the result, aligned with the original.

    Attributes:
        start: index of the first sample in the recording.
        stems: (stems, channels, n) float32.
        original: (channels, n) float32, the original sound.
    """

    start: int
    stems: FloatArray
    original: FloatArray


@dataclass(frozen=True)
class MixtureBlend:
    """How much of the mixture goes into stems, because the lips are unreliable.

    Attributes:
        share: 0 (the estimated masks) to 1 (equal shares of the mixture).
        speakers: (people,) bool, the people whose masks are changed.
    """

    share: float
    speakers: npt.NDArray[np.bool_]


class Engine:
    """The networks and the settings.

    Args:
        network: from `avse.load_network`; or a PyTorch module, in evaluation mode and on its
            device.
        settings: window, overlap, gate, carry, enrol and the off-screen model are used.
        offscreen: networks for off-screen speech; loaded on first use if not given.

    Examples:
        >>> import avse
        >>> from avse.inference.engine import Engine
        >>> scene = avse.look("talk.mp4", avse.Settings())
        >>> engine = Engine.load()
        >>> run = engine.run([person.lips for person in scene.people], scene.sound, begin=50)
        >>> block = next(run.blocks([0, 1]))  # the first two people, from 2 s on
        >>> block.start, block.stems.shape[:2]  # a sample; people, channels
        (96000, (2, 1))
    """

    def __init__(
        self,
        network: SeparationNetwork | AVSENet,
        settings: Settings | None = None,
        offscreen: OffscreenNetworks | None = None,
    ) -> None:
        self.network, self.settings = as_network(network), settings or Settings()
        self._offscreen = offscreen

    @classmethod
    def load(cls, settings: Settings | None = None) -> Engine:
        """Load the weights that the settings name.

        Raises:
            MissingError: the weights do not exist.
            UsageError: the device cannot be used.
        """
        settings = settings or Settings()
        return cls(open_network(settings.model, device=pick_device(settings.device)), settings)

    @property
    def offscreen(self) -> OffscreenNetworks:
        """The networks for off-screen speech.

        Raises:
            MissingWeightsError: the weights do not exist.
        """
        if self._offscreen is None:
            device = self.network.device
            self._offscreen = load_offscreen(self.settings.offscreen_model, device=device)
        return self._offscreen

    def enrol(
        self,
        lips: Sequence[AnyLips],
        sound: Sound,
        *,
        progress: Callable[[int], None] = _nobody,
    ) -> Enrolment | None:
        """Learn the voices of people where they talk alone, in a pass over the recording.

        Args:
            lips: lips of all people in the picture, see `run`.
            sound: the recording.
            progress: called with the number of video frames done.

        Returns:
            None if nobody talks alone, if `Settings.enrol` is false, or if the network has no input
            for voiceprints.

        Raises:
            MissingWeightsError: the weights of the voiceprint network do not exist.
            UsageError: the voiceprints and the network differ in size.
        """
        if not (self.settings.enrol and self.network.spec.enrolment and lips):
            return None
        settings, size = self.settings, self.offscreen.voiceprint_size
        if size != self.network.spec.enrolment:
            raise UsageError(
                f"voiceprints of {settings.offscreen_model} have size {size}, and the model takes "
                f"{self.network.spec.enrolment}",
                "choose weights that belong together with --model and --offscreen-model, or use "
                "--no-enrol",
            )
        estimator = MaskEstimator(
            self.network,
            lips,
            window_s=settings.window_s,
            overlap=0.0,  # seams do no harm to an average over the recording
            offscreen=self.offscreen,
        )

        def followed() -> Iterator[MaskBlock]:
            for block in estimator.masks(sound.downmix(0)):
                yield block
                progress(block.first // HOPS_PER_VIDEO_FRAME + block.cues.shape[-1])

        return enrolled(followed(), len(lips))

    def run(
        self,
        lips: Sequence[AnyLips],
        sound: Sound,
        *,
        begin: int = 0,
        offscreen: bool = False,
        blend: MixtureBlend | None = None,
        known: npt.NDArray[np.float64] | None = None,
        enrolment: Enrolment | None = None,
        exact: bool = True,
        watch: Callable[[MaskBlock], None] | None = None,
    ) -> Run:
        """Prepare a run; the computation begins when its blocks are iterated.

        Args:
            lips: lips of all people in the picture, on a grid of 25 Hz whose frame 0 is the first
                sample of the sound, with the A/V offset corrected.
            sound: the recording.
            begin: video frame at which blocks begin.
            offscreen: whether to separate off-screen speech and crowds too.
            blend: see `MixtureBlend`; None for none.
            known: voiceprints of all people from an earlier run over this recording, see
                `SpeakerTracker.known`.
            enrolment: the result of `enrol`, or None.
            exact: whether a run from `begin` equals a run over the whole, which takes two windows
                more; else the first window begins at `begin`.
            watch: called with each block of masks before they are applied.

        Returns:
            The run; iterate over `Run.blocks`.
        """
        if known is None and enrolment is not None:
            known = enrolment.sums
        run = Run(self, lips, sound, begin, offscreen, blend, known)
        run.exact, run.watch = exact, watch
        run.estimator.voices = None if enrolment is None else enrolment.voices()
        return run

    def lip_cues(self, lips: Sequence[AnyLips]) -> FloatArray:
        """Voice activity features of lips alone, for recordings without sound.

        Args:
            lips: lips of all people in the picture, see `run`.

        Returns:
            (people, cues, video frames): motion and visibility of the lips; the other features
            are 0.
        """
        frames = max((one.stop for one in lips), default=0)
        out = np.zeros((len(lips), COUNT, max(1, frames)), np.float32)
        estimator = MaskEstimator(self.network, lips, window_s=1.0, overlap=0.0)
        components, out[:, SEEN] = estimator.lips(0, out.shape[-1])
        out[:, MOTION] = motion(components)
        return out

    def separate(self, samples: FloatArray, rate_hz: int, lips: Sequence[AnyLips]) -> FloatArray:
        """Separate sound that is in memory.

        Args:
            samples: (channels, n) or (n,) float32.
            rate_hz: sample rate.
            lips: lips of all people in the picture, see `run`.

        Returns:
            (people, channels, n) float32.

        Raises:
            MissingWeightsError: the weights for off-screen speech are needed and do not exist.
        """
        sound = ArraySound(np.atleast_2d(samples), rate_hz)
        run = self.run(lips, sound, enrolment=self.enrol(lips, sound))
        empty = np.zeros((len(lips), sound.channels, 0), np.float32)
        parts = [block.stems for block in run.blocks(range(len(lips)))]
        return np.concatenate([empty, *parts], axis=-1)


class Run:
    """One pass over a recording. Made by `Engine.run`.

    Attributes:
        estimator: the mask estimator; `MaskEstimator.set_lips` replaces lips during the run.
        tracker: assigns off-screen speech to people.
    """

    def __init__(
        self,
        engine: Engine,
        lips: Sequence[AnyLips],
        sound: Sound,
        begin: int,
        offscreen: bool,
        blend: MixtureBlend | None,
        known: npt.NDArray[np.float64] | None,
    ) -> None:
        settings = engine.settings
        self.sound, self.begin, self.blend = sound, begin, blend
        self.exact = True
        self.watch: Callable[[MaskBlock], None] | None = None
        self.gate = settings.gate
        self.estimator = MaskEstimator(
            engine.network, lips, window_s=settings.window_s, overlap=settings.overlap
        )
        self.estimator.follows = settings.carry
        self._engine, self._offscreen = engine, offscreen
        self._tracked = settings.carry and self.estimator.loses_sight(sound.frames)
        presence = self.estimator.presence if self._tracked else None
        self.tracker = SpeakerTracker(presence, known=known)

    @property
    def absences(self) -> list[Absence]:
        """When people are off-screen, and the speech assigned to them; complete after the run."""
        return self.tracker.absences

    @property
    def _warm_up(self) -> int:
        """The video frame from which windows are computed: from there on, all that blocks from
        `begin` on depend on (both windows of a crossfade, the gate) is as in a run from 0."""
        if not self.exact:
            return self.begin
        plan = self.estimator.plan
        behind = plan.length - plan.step + math.ceil(USUAL.hang_s * VIDEO_RATE) + 1
        steps = -(-behind // plan.step)
        return max(0, (self.begin // plan.step - steps) * plan.step)

    def masks(self) -> Iterator[MaskBlock]:
        """Masks of all people, and of narrators and crowds if those are computed.

        Blocks are contiguous and begin somewhat before `begin`.
        """
        first = self._warm_up
        if self._tracked or self._offscreen:
            self.estimator.offscreen = self._engine.offscreen
        masks = self.estimator.masks(self.sound.downmix(audio_begin(first)), first)
        if self.gate:
            masks = gated(masks)
        if self.blend is not None and self.blend.share:
            masks = map(self._blended, masks)
        yield from masks if self.estimator.offscreen is None else self.tracker.assigned(masks)

    def cues(self) -> Iterator[FloatArray]:
        """Voice activity features: (people, cues, video frames), from `begin` to the end.

        See `avse.inference.activity_features`. Cheaper than `masks`: without the gate and without
        off-screen speech.
        """
        first = self._warm_up
        for block in self.estimator.masks(self.sound.downmix(audio_begin(first)), first):
            video = block.first // HOPS_PER_VIDEO_FRAME
            cues = block.cues[..., max(0, self.begin - video) :]
            if cues.shape[-1]:
                yield cues

    def blocks(self, rows: Sequence[int]) -> Iterator[Block]:
        """Apply masks to the original sound.

        Args:
            rows: the masks that become stems: indices of people; the index after the last person is
                off-screen speech, and the next one crowds.

        Yields:
            Contiguous blocks from `begin` to the end of the sound. The computation stops when the
            iteration does.
        """
        rate, channels, rows = self.sound.rate_hz, self.sound.channels, list(rows)
        first = self._warm_up
        applier = MaskApplier(rate, channels, len(rows))
        place = round(first * rate / VIDEO_RATE)
        skip = round(self.begin * rate / VIDEO_RATE) - place
        original = self.sound.original(first)
        waiting: FloatArray = np.zeros((channels, 0), np.float32)

        def push(samples: FloatArray) -> None:
            nonlocal waiting
            applier.push_audio(samples)
            waiting = np.concatenate([waiting, samples], axis=-1)

        def emit(stems: FloatArray) -> Iterator[Block]:
            nonlocal waiting, place, skip
            count = stems.shape[-1]
            here, waiting = waiting[:, :count], waiting[:, count:]
            drop = min(skip, count)
            if count > drop:
                yield Block(place + drop, stems[..., drop:], here[:, drop:])
            place, skip = place + count, skip - drop

        for block in self.masks():
            if self.watch is not None:
                self.watch(block)
            applier.push_masks(block.masks[rows])
            while applier.wants_audio() and (samples := next(original, None)) is not None:
                push(samples)
            yield from emit(applier.apply())
        for samples in original:
            push(samples)
        yield from emit(applier.finish())

    def _blended(self, block: MaskBlock) -> MaskBlock:
        """Move masks towards equal shares of the mixture."""
        assert self.blend is not None
        share, speakers = np.float32(self.blend.share), self.blend.speakers.astype(np.float32)
        equal = share * speakers / max(1.0, float(speakers.sum()))
        masks = (1 - share) * block.masks + equal[:, None, None]
        return dataclasses.replace(block, masks=np.asarray(masks, np.complex64))
