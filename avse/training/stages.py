"""Build the object that the loop trains from the settings of a stage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from avse.data.clips import ClipSet, Sounds
from avse.errors import UsageError
from avse.inference.offscreen_weights import load_offscreen_modules
from avse.media.atomic_files import appearing
from avse.models.network import AVSENet
from avse.models.offscreen import OffscreenNet
from avse.models.spec import OffscreenSpec, VoiceprintSpec
from avse.models.voiceprint import VoiceprintNet
from avse.settings import Settings
from avse.training.audio_only import AudioOnlyNet, AudioOnlyStage, VoicesSource
from avse.training.compute import Compute
from avse.training.contrastive import ContrastiveStage, fit_components
from avse.training.cues import CONTEXT, PseudoLipBank, fit_cues
from avse.training.data import Corpora, sample
from avse.training.device_corpora import ResidentSounds
from avse.training.device_mixing import ResidentMixer, ResidentTalkingMixer
from avse.training.loop import Stage, damaged, read_tensors
from avse.training.mixing import Mixer
from avse.training.offscreen import OffscreenStage, SceneSource
from avse.training.queries import Enroller, MixtureSource
from avse.training.recipe import DEVICE, SEPARATION_KINDS, WORKERS, StageSettings
from avse.training.separation_stage import SeparationStage
from avse.training.talking_mixtures import FaceSettings, TalkingMixer
from avse.training.validating import Validator
from avse.training.voiceprints import PairSource, VoiceprintStage

CUES = "cues.pt"

FITTED = 1500
"""Maximum number of clips for fitting lip components and cues."""

BRIEF_S = 1.0
"""Seconds of lips that are matched in validation: short enough to need no joined clips, whose seam
in both picture and sound would reveal the match."""

PLAIN = FaceSettings(jitter=0, absent=0, lost=0)


def make_stage(
    network: AVSENet,
    settings: StageSettings,
    corpora: Corpora,
    folder: Path,
    compute: Compute,
    mixing: str = WORKERS,
) -> Stage:
    """Build a stage.

    Args:
        network: has the initial weights and is on its device; this function freezes the parts that
            are not trained.
        settings: of the stage.
        corpora: training and validation data.
        folder: of the stage; fitted cues are kept there, so that a resumed run uses the same ones.
        compute: where.
        mixing: where the separating stages draw mixtures, see `Recipe`.

    Raises:
        UsageError: data are missing that the stage needs.
    """
    torch.manual_seed(settings.seed)
    network.requires_grad_(False)
    for name in settings.trained:
        part = getattr(network, name)
        if part is not None:  # complex masks have no phase head
            part.requires_grad_(True)
    if len(corpora.faces) and not network.visual.components.any():
        # Otherwise the initial weights include components.
        fit_components(network, sample(corpora.faces, FITTED))
    if settings.kind == "lips":
        return _lips(network, settings, corpora, compute)
    if settings.kind == "audio-only":
        return _audio_only(network, settings, corpora, compute)
    if settings.kind == "offscreen":
        return _offscreen(network, settings, corpora, folder, compute)
    if settings.kind == "voiceprint":
        return _voiceprint(settings, corpora, compute)
    if settings.kind not in SEPARATION_KINDS:
        raise NotImplementedError(f"stage kind {settings.kind!r} has no builder here")
    return _separation(network, settings, corpora, folder, compute, mixing)


def _lips(
    network: AVSENet, settings: StageSettings, corpora: Corpora, compute: Compute
) -> ContrastiveStage:
    faces = _needed(corpora.faces, settings, "clips")
    mix = settings.mix
    brief = dataclasses.replace(mix, seconds=min(mix.seconds, BRIEF_S))
    return ContrastiveStage(
        network,
        TalkingMixer(faces, None, mix, settings.face),
        {name: TalkingMixer(c, None, brief, PLAIN) for name, c in corpora.held_out.items()},
        settings.talkers,
        settings.lips,
        compute,
    )


def _separation(
    network: AVSENet,
    settings: StageSettings,
    corpora: Corpora,
    folder: Path,
    compute: Compute,
    mixing: str,
) -> SeparationStage:
    faces = _needed(corpora.faces, settings, "clips")
    bank = None
    if settings.speech:
        bank = _cues(network, faces, folder, compute)
    if mixing == DEVICE:
        source = _resident(faces, settings, corpora, compute)
    else:
        enrolled = settings.query.enrolled
        talking = TalkingMixer(faces, corpora.noise, settings.mix, settings.face, enrolled=enrolled)
        speech = None
        if settings.speech:
            voices = _speech(corpora, settings)
            speech = Mixer(voices, corpora.noise, settings.mix, enrolled=enrolled)
        source = MixtureSource(talking, speech, settings.faces, settings.speech)
    return SeparationStage(
        network,
        source,
        bank,
        kind=settings.kind,
        validator=_validator(settings, corpora, compute),
        query=settings.query,
        variation=settings.lips,
        compute=compute,
        enroller=_enroller(network, settings, compute),
    )


def _enroller(network: AVSENet, settings: StageSettings, compute: Compute) -> Enroller | None:
    if not settings.query.enrolled:
        return None
    _, voiceprint = load_offscreen_modules(Settings.offscreen_model)
    voiceprint.to(compute.device)
    if voiceprint.spec.size != network.spec.enrolment:
        raise UsageError(
            f"voiceprints are {voiceprint.spec.size} wide, not {network.spec.enrolment}",
            f"set enrolment = {voiceprint.spec.size} in [network]",
        )
    return Enroller(voiceprint, settings.mix.tilt_db)


def _resident(
    faces: ClipSet, settings: StageSettings, corpora: Corpora, compute: Compute
) -> MixtureSource:
    device = compute.device
    noise = None if corpora.noise is None else ResidentSounds(corpora.noise, device)
    speech = ResidentMixer(
        ResidentSounds(_speech(corpora, settings), device),
        noise,
        settings.mix,
        device,
        enrolled=settings.query.enrolled,
    )
    talking = ResidentTalkingMixer(faces, speech, settings.face, device)
    return MixtureSource(talking, speech, settings.faces, settings.speech)


def _audio_only(
    network: AVSENet, settings: StageSettings, corpora: Corpora, compute: Compute
) -> AudioOnlyStage:
    mixer = Mixer(_speech(corpora, settings), corpora.noise, settings.mix)
    ears = AudioOnlyNet(network, settings.voices).to(compute.device)
    return AudioOnlyStage(
        ears,
        VoicesSource(mixer, settings.speech or settings.faces),
        corpora.held_out,
        seconds=settings.mix.seconds,
        count=settings.validate_mixtures,
        compute=compute,
    )


def _offscreen(
    network: AVSENet, settings: StageSettings, corpora: Corpora, folder: Path, compute: Compute
) -> OffscreenStage:
    faces, speech = _needed(corpora.faces, settings, "clips"), _speech(corpora, settings)
    mix = settings.mix
    bank = None
    if settings.speech:
        # The network is frozen, and so are its embeddings.
        scale = network.fusion.scale.clone()
        bank = _cues(network, faces, folder, compute)
        network.fusion.scale.copy_(scale)

    def scenes(clips: ClipSet, voices: Mixer | None, count: int) -> SceneSource:
        talking = TalkingMixer(clips, corpora.noise, mix, settings.face)
        people = MixtureSource(talking, voices, count, settings.speech)
        return SceneSource(people, speech, corpora.crowds, settings.offscreen, mix.samples)

    voices = Mixer(speech, corpora.noise, mix) if settings.speech else None
    return OffscreenStage(
        network,
        OffscreenNet(OffscreenSpec()),
        scenes(faces, voices, settings.faces),
        bank,
        held_out=[
            scenes(clips, None, settings.validate_mixtures) for clips in corpora.held_out.values()
        ],
        query=settings.query,
        variation=settings.lips,
        compute=compute,
    )


def _voiceprint(settings: StageSettings, corpora: Corpora, compute: Compute) -> VoiceprintStage:
    speech, talkers = _speech(corpora, settings), settings.talkers
    held_out = corpora.held_out_speech
    return VoiceprintStage(
        VoiceprintNet(VoiceprintSpec()),
        PairSource(speech, corpora.noise, settings.mix, talkers),
        None if held_out is None else PairSource(held_out, corpora.noise, settings.mix, talkers),
        compute,
    )


def _cues(network: AVSENet, faces: ClipSet, folder: Path, compute: Compute) -> PseudoLipBank:
    """Fit cues, or read those with which the stage began; sets the scale of the fusion's
    embeddings."""
    path = folder / CUES
    if compute.first and not path.exists():
        bank, scale = fit_cues(network, sample(faces, FITTED))
        folder.mkdir(parents=True, exist_ok=True)
        with appearing(path) as temporary:
            torch.save({"map": bank.map, "residuals": bank.residuals, "scale": scale}, temporary)
    compute.wait()
    state = read_tensors(path, compute.device)
    try:
        network.fusion.scale.copy_(state["scale"])
        bank = PseudoLipBank(state["map"], state["residuals"])
        size = network.spec.embedding
        if bank.map.shape != (size, (2 * CONTEXT + 1) * size + 1):
            raise ValueError("the map is not of this network")
        if not bank.residuals or any(rest.shape[:-1] != (size,) for rest in bank.residuals):
            raise ValueError("the residuals are not of this network")
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise damaged(path, error) from error
    return bank


def _validator(settings: StageSettings, corpora: Corpora, compute: Compute) -> Validator | None:
    if not settings.validate_mixtures or not corpora.held_out:
        return None
    return Validator(
        corpora.held_out,
        seconds=settings.mix.seconds,
        count=settings.validate_mixtures,
        compute=compute,
    )


def _needed(faces: ClipSet, settings: StageSettings, key: str) -> ClipSet:
    if not len(faces):
        raise UsageError(
            f"stage {settings.name!r} needs talking faces", f"name packs in [data] {key}"
        )
    return faces


def _speech(corpora: Corpora, settings: StageSettings) -> Sounds:
    if corpora.speech is None:
        raise UsageError(
            f"stage {settings.name!r} needs speech",
            "name packs in [data] speech, those of talking faces perhaps; or set speech = 0",
        )
    return corpora.speech
