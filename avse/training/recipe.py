"""The recipe: all data and settings that determine a training run, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field

from avse.errors import UsageError
from avse.models.spec import AVSESpec
from avse.training.mixing import MixSettings
from avse.training.talking_mixtures import FaceSettings
from avse.utils.paths import is_below

SEPARATION_KINDS = ("joint", "phase", "wave")
"""Kinds that train the weights that `avse separate` uses."""

OLD_KINDS = {"ears": "audio-only"}
"""Kinds by the names that older recipes use."""

OLD_TABLES = {"ask": "query"}
"""Tables of a stage by the names that older recipes use."""

PACKS = ("clips", "speech", "noise", "crowds")
"""Kinds of packs in a recipe."""

OPTIMISERS = ("adamw", "muon")
PRECISIONS = ("float32", "tf32", "bf16")
WORKERS, DEVICE = "workers", "device"
PREVIOUS, NEW = "previous", "new"

TRAINED_PARTS = {
    "lips": ("visual", "voice"),
    "joint": ("audio", "fusion"),
    "phase": ("phase",),
    "wave": ("visual", "audio", "fusion", "phase"),
    "audio-only": ("audio", "fusion"),
    "offscreen": (),
    "voiceprint": (),
}
"""Kinds of stages, and the parts of the network that each trains by default."""

STAGE_KINDS = tuple(TRAINED_PARTS)

PARTS = ("visual", "voice", "audio", "fusion", "phase")


@dataclass(frozen=True)
class DataSettings:
    """Packs, as `avse prepare` makes them.

    Attributes:
        clips: folders of packs of talking faces.
        speech: folders of packs of audio-only speech; packs of talking faces are allowed too.
        noise: folders of packs of noise.
        crowds: folders of packs of crowds, recordings of many voices at once.
        train: split for training; "all" for every speaker.
        valid: split for validation.
        confident: confidence from which a pack's estimate of a clip's A/V offset is applied.
    """

    clips: tuple[str, ...] = ()
    speech: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    crowds: tuple[str, ...] = ()
    train: str = "train"
    valid: str = "valid"
    confident: float = 0.9


@dataclass(frozen=True)
class LipVariation:
    """Augmentation of lips before the visual stream.

    Attributes:
        noise: white noise on whitened components.
        distortion: spread of a random linear map of each talker's points, I + distortion · N(0, 1)
            in x, y and z, for turned heads, lenses and different mesh models.
        drift: slow errors of the components, relative to those of
            `avse.training.lip_augmentation.drift`.
        amplitude: standard deviation of the log gain of each component, per talker.
    """

    noise: float = 0.1
    distortion: float = 0.0
    drift: float = 1.0
    amplitude: float = 0.0


@dataclass(frozen=True)
class QuerySettings:
    """How the targets of the separating stages are drawn.

    Attributes:
        alone: probability that a face competes with no other face, as when the others are
            off-screen.
        lost: probability that a stretch of a made cue is unseen.
        lost_share: longest such stretch, as a share of the mixture.
        late: probability of a shift in time between lips, or a made cue, and their voice.
        most_late: largest such shift in either direction, in video frames.
        still: probability of adding a silent face with still lips.
        absent: probability that a voice's cue is also used for a mixture without that voice.
        enrolled: probability that a voice has a voiceprint from other speech of the person, if
            there is any ("joint", "phase" and "wave"); needs `enrolment` in [network], and `mixing
            = "workers"`.
    """

    alone: float = 0.2
    lost: float = 0.2
    lost_share: float = 0.5
    late: float = 0.3
    most_late: int = 4
    still: float = 0.1
    absent: float = 0.0
    enrolled: float = 0.0


@dataclass(frozen=True)
class OffscreenSettings:
    """Off-screen sources of the mixtures in stage "offscreen".

    Attributes:
        hidden: probability that a speaker is off-screen.
        crowd: probability of a crowd.
        recorded: probability that the crowd is a recording, if there are any; otherwise it is
            synthetic.
        crowd_db: lowest and highest level of the crowd relative to a voice, in dB.
        tilt_db: spread of the crowd's frequency response, in dB.
    """

    hidden: float = 0.4
    crowd: float = 0.3
    recorded: float = 0.3
    crowd_db: tuple[float, float] = (-20.0, 5.0)
    tilt_db: float = 5.0


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """Duration and optimiser of a stage: the settings of `avse.training.loop.Trainer`.

    Attributes:
        steps: maximum number of steps.
        minutes: maximum training time; 0 for no limit. The learning rate follows the limit, steps
            or minutes, of which the larger share is used. A stage that ends by time is not
            reproducible bit for bit.
        optimiser: "adamw" or "muon".
        learning_rate: peak learning rate.
        warmup: number of steps over which the learning rate rises.
        decay_share: last share of the steps, over which the learning rate falls to a hundredth.
        weight_decay: weight decay of the optimiser.
        clip: norm to which gradients are clipped.
        average: decay of the running average of the weights, which is validated and exported.
        seed: seed of all random choices in the stage.
        log_every, validate_every, save_every: intervals in steps.

    Raises:
        UsageError: a setting is out of range.
    """

    steps: int = 1000
    minutes: float = 0.0
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    warmup: int = 100
    decay_share: float = 0.25
    weight_decay: float = 1e-2
    clip: float = 5.0
    average: float = 0.995
    seed: int = 0
    log_every: int = 20
    validate_every: int = 200
    save_every: int = 100

    def __post_init__(self) -> None:
        _one_of("optimiser", self.optimiser, OPTIMISERS)
        for name in ("steps", "warmup"):
            _at_least(name, getattr(self, name), 0)
        for name in ("log_every", "validate_every", "save_every"):
            _at_least(name, getattr(self, name), 1)
        if self.learning_rate <= 0:
            raise UsageError(f"a learning_rate of {self.learning_rate:g} is too small", "try 1e-3")
        if self.minutes < 0:
            raise UsageError(f"minutes cannot be {self.minutes:g}", "choose 0 for no limit")
        if not 0 <= self.average < 1:
            raise UsageError(
                f"an average of {self.average:g} is out of range", "choose 0 to 0.9999"
            )


@dataclass(frozen=True)
class StageSettings(LoopSettings):
    """One stage.

    Attributes, beside those of `LoopSettings`:
        kind: kind of stage: one of `STAGE_KINDS`.
        name: name of the stage and its folder; the kind if left out.
        start: source of the initial weights: the averaged weights of the "previous" stage or of an
            earlier stage by name, "new", or the name or file of weights as in `avse separate
            --model`.
        talkers: number of talkers in a batch (lips, voiceprint).
        faces: mixtures of talking faces in a batch, of each process.
        speech: mixtures of speech in a batch, whose targets have cues made from sound; 0: none.
        voices: number of masks in the audio-only stage: the largest number of voices in a mixture.
        train: parts of the network that are trained; the rest is frozen. Empty: the parts in
            `TRAINED_PARTS`.
        delays: source of the A/V offsets by which sound is shifted: "pack", "none", or the name of
            an earlier "lips" stage, whose weights then estimate the offset of each clip.
        validate_mixtures: number of held-out mixtures of each pack.
        mix: distribution of the mixtures.
        face: augmentation of the faces.
        lips: augmentation of the lips.
        query: distribution of the targets.
        offscreen: off-screen sources (offscreen).
    """

    kind: str
    name: str = ""
    start: str = PREVIOUS
    talkers: int = 24
    faces: int = 3
    speech: int = 6
    voices: int = 3
    train: tuple[str, ...] = ()
    delays: str = "pack"
    validate_mixtures: int = 24
    mix: MixSettings = field(default_factory=MixSettings)
    face: FaceSettings = field(default_factory=FaceSettings)
    lips: LipVariation = field(default_factory=LipVariation)
    query: QuerySettings = field(default_factory=QuerySettings)
    offscreen: OffscreenSettings = field(default_factory=OffscreenSettings)

    @property
    def trained(self) -> tuple[str, ...]:
        """Parts of the network that are trained."""
        return self.train or TRAINED_PARTS[self.kind]

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, STAGE_KINDS)
        if not self.name:
            object.__setattr__(self, "name", self.kind)
        taken = (PREVIOUS, NEW, "pack", "none")
        if not is_below(self.name) or "/" in self.name or self.name in taken:
            raise UsageError(f"{self.name!r} cannot name a stage", "use letters and digits")
        super().__post_init__()
        for part in self.train:
            _one_of("train", part, PARTS)
        for name in ("talkers", "faces", "speech", "validate_mixtures"):
            _at_least(name, getattr(self, name), 0)
        _at_least(
            "voices", self.voices, max(2, len(self.mix.voices) if self.kind == "audio-only" else 2)
        )
        if self.kind in ("joint", "phase", "wave", "offscreen") and self.faces + self.speech == 0:
            raise UsageError(f"stage {self.name!r} has empty batches", "set faces or speech")
        if self.kind in ("lips", "voiceprint") and self.talkers < 2:
            raise UsageError(
                "a batch of one talker has no others to compare with", "set talkers to 24"
            )


@dataclass(frozen=True)
class Recipe:
    """A whole recipe.

    Attributes:
        data: packs for training and validation.
        network: specification of the network.
        stages: stages in their order.
        precision: "float32"; "tf32", faster matrix products on recent GPUs; or "bf16", in which the
            network's convolutions run in 16 bits.
        workers: processes that draw mixtures, for each process that trains; 0: the training
            process draws them between steps. The number affects only the speed.
        mixing: where the separating stages draw mixtures: in "workers" on the CPU, or on the
            "device" that trains, in whose memory all corpora then stay (see
            `avse.training.device_mixing`).
    """

    data: DataSettings
    network: AVSESpec
    stages: tuple[StageSettings, ...]
    precision: str = "float32"
    workers: int = 2
    mixing: str = WORKERS

    def __post_init__(self) -> None:
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("mixing", self.mixing, (WORKERS, DEVICE))
        _at_least("workers", self.workers, 0)
        if not self.stages:
            raise UsageError("the recipe has no stage", 'begin one with [[stage]], kind = "lips"')
        names: list[str] = []
        for stage in self.stages:
            if stage.name in names:
                raise UsageError(
                    f"two stages are called {stage.name!r}", "give one of them another name"
                )
            if stage.delays not in ("pack", "none", *names):
                raise UsageError(
                    f"stage {stage.name!r} has delays = {stage.delays!r}, which is not an earlier "
                    f"stage",
                    f"choose from: {', '.join(('pack', 'none', *names))}",
                )
            names.append(stage.name)
            turns = stage.kind == "phase" or "phase" in stage.train
            if turns and self.network.mask == "complex":
                raise UsageError(
                    f"stage {stage.name!r} trains a phase head that complex masks do not have",
                    'leave the stage out, or choose mask = "magnitude"',
                )
            if stage.query.enrolled and not self.network.enrolment:
                raise UsageError(
                    f"stage {stage.name!r} enrols voices, but the network has no input for them",
                    "set enrolment = 128 in [network], or query.enrolled = 0",
                )

    def stage(self, name: str) -> StageSettings:
        """A stage by its name.

        Raises:
            UsageError: there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = ", ".join(stage.name for stage in self.stages)
        raise UsageError(f"the recipe has no stage {name!r}", f"choose from: {names}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} cannot be {value!r}", f"choose from: {', '.join(choices)}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} cannot be {value}", f"choose {least} or more")
