"""From file to file: what goes in comes out, whoever is asked for."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import avse
from avse.errors import OutputError, OutputExistsError, UnknownSpeakerError, UsageError
from avse.inference.engine import Block as EngineBlock
from avse.inference.engine import Engine
from avse.media import AudioReader, probe
from avse.metrics import si_sdr
from avse.models.network import AVSENet, NetworkOutput
from avse.scene.naming import Stem
from avse.scene.scene import Scene, no_progress
from avse.separation.separator import Block, Separation
from avse.utils.shipped import shipped
from tests.conftest import EXAMPLES, TINY, randomise


class Everything(AVSENet):
    """Gives every face the whole mixture."""

    def forward(
        self,
        spectrum: torch.Tensor,
        components: torch.Tensor,
        seen: torch.Tensor,
        presence: torch.Tensor | None = None,
        enrolment: torch.Tensor | None = None,
    ) -> NetworkOutput:
        people = seen.shape[1]
        mask = torch.ones(1, people, *spectrum.shape[1:])
        rotation = torch.stack([mask, 0 * mask], dim=2)
        frames = torch.zeros_like(seen)
        lips = torch.zeros(1, people, self.spec.embedding, seen.shape[-1])
        return NetworkOutput(mask, rotation, frames, lips)


def sound(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    with AudioReader(path) as reader:
        return np.concatenate([block.samples for block in reader], axis=-1)


@pytest.fixture(scope="module")
def both(duet: Path) -> Separation:
    """Both people of the example, separated by random weights: looked at once for all tests."""
    network = randomise(AVSENet(TINY))
    return avse.separate(duet, "all", network=network, window_s=1.0)


def again(both: Separation, speaker: object, network: AVSENet, **options: object) -> Separation:
    """Ask for other people of the scene that was looked at already."""
    settings = dataclasses.replace(both.settings, **options)  # type: ignore[arg-type]
    people = both.scene.choose(speaker)  # type: ignore[arg-type]
    return Separation(both.scene, people, Engine(network, settings), lambda *_: None)


def test_two_people_left_and_right(both: Separation) -> None:
    first, second = both.people
    assert [first.number, second.number] == [1, 2]
    assert first.box[0] < second.box[0]
    assert both.sample_rate == 48_000


def test_voices_and_residual_add_up_to_the_recording(both: Separation, duet: Path) -> None:
    original = sound(duet)
    at = 0
    total = np.zeros_like(original)
    for block in both.blocks():
        assert block.start == at
        at += block.residual.shape[-1]
        total[:, block.start : at] = block.stems.sum(axis=0) + block.residual
    assert at == original.shape[-1]
    np.testing.assert_allclose(total, original, atol=1e-5)


@pytest.mark.parametrize("window_s", [0.4, 1.7, 60.0])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_an_identity_network_gives_the_recording(
    both: Separation, duet: Path, window_s: float, overlap: float
) -> None:
    whole = again(both, 2, Everything(TINY).eval(), window_s=window_s, overlap=overlap)
    np.testing.assert_allclose(whole.voices()[0], sound(duet), atol=1e-6)


def lost(both: Separation, number: int, after_s: float) -> Scene:
    """The scene as if that person's face were out of sight from some instant on."""
    people = []
    for person in both.scene.people:
        lips = person.lips.window(0, 25 * 7)
        if person.number == number:
            confidence = lips.confidence.copy()
            confidence[max(0, round(after_s * 25) - lips.first) :] = 0
            lips = dataclasses.replace(lips, confidence=confidence)
        people.append(dataclasses.replace(person, lips=lips))
    everybody = dataclasses.replace(both.scene.people, persons=tuple(people))
    return dataclasses.replace(both.scene, people=everybody)


def test_narrator_crowd_and_rest_add_up_to_the_recording_too(
    both: Separation, network: AVSENet, duet: Path, tmp_path: Path
) -> None:
    people = both.scene.choose(2)
    whole = Separation(
        both.scene, people, Engine(network, both.settings), no_progress, offscreen=True
    )
    assert whole.numbers == [2, Stem.NARRATOR, Stem.CROWD]
    names = {2: "anna.wav", Stem.NARRATOR: "narrator.wav", Stem.CROWD: "crowd.wav"}
    whole.save({n: tmp_path / name for n, name in names.items()}, residual=tmp_path / "rest.wav")
    parts = [sound(path) for path in tmp_path.iterdir()]
    assert len(parts) == 4
    np.testing.assert_allclose(sum(parts), sound(duet), atol=1e-5)
    together = Separation(
        both.scene,
        people,
        Engine(network, both.settings),
        no_progress,
        together=True,
        offscreen=True,
    )
    np.testing.assert_allclose(together.voices()[0], whole.voices()[0], atol=1e-6)


def test_a_lost_face_is_told_of_and_does_not_take_from_others(
    both: Separation, network: AVSENet
) -> None:
    scene = lost(both, 1, 3.0)
    first, second = scene.people
    settings = dataclasses.replace(both.settings, sync=False, gate=False)
    carried = Separation(scene, [first, second], Engine(network, settings), no_progress)
    assert carried.out_of_sight(1) is None
    voices = carried.voices()
    absences = carried.out_of_sight(1)
    assert absences is not None
    (absence,) = absences
    assert absence.start == pytest.approx(3.6, abs=0.05)
    assert absence.stop == pytest.approx(6.4, abs=0.1)
    assert carried.out_of_sight(2) == []
    silent = dataclasses.replace(settings, carry=False)
    left_out = Separation(scene, [first, second], Engine(network, silent), no_progress)
    nothing = left_out.voices()
    assert left_out.out_of_sight(1) is None
    away = slice(round(4.0 * 48_000), None)
    assert np.abs(nothing[0][..., away]).max() < 1e-6
    np.testing.assert_allclose(voices[1], nothing[1], atol=1e-6)
    # The other one is answered as if alone.
    alone = again(both, 2, network, sync=False, gate=False)
    both_there = alone.voices()[0]
    assert np.abs(nothing[1][..., away] - both_there[..., away]).max() > 1e-4
    early = slice(0, round(2.0 * 48_000))
    np.testing.assert_allclose(nothing[1][..., early], both_there[..., early], atol=1e-4)


def test_mix_leaves_the_original_in(both: Separation, network: AVSENet, duet: Path) -> None:
    dry = again(both, 1, network).voices()
    half = again(both, 1, network, mix=0.5).voices()
    np.testing.assert_allclose(half, 0.5 * dry + 0.5 * sound(duet), atol=1e-6)
    np.testing.assert_allclose(again(both, 1, network, mix=1.0).voices()[0], sound(duet), atol=1e-6)


def test_saved_files_have_the_form_of_the_input(both: Separation, tmp_path: Path) -> None:
    paths = {1: tmp_path / "left.wav", 2: tmp_path / "right ü.flac"}
    written = both.save(paths, residual=tmp_path / "rest.wav")
    assert written.stems == paths
    original = sound(both.scene.info.path)
    parts = [sound(path) for path in (*paths.values(), tmp_path / "rest.wav")]
    for part in parts:
        assert part.shape == original.shape
    np.testing.assert_allclose(sum(parts), original, atol=1e-5)
    with pytest.raises(OutputExistsError):
        both.save(paths)
    with pytest.raises(UsageError, match="one file"):
        both.save(tmp_path / "both.wav")
    with pytest.raises(OutputError, match="no folder"):
        again(both, 1, randomise(AVSENet(TINY))).save(tmp_path / "missing" / "x.wav")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["left.wav", "rest.wav", "right ü.flac"]


def loud(both: Separation, monkeypatch: pytest.MonkeyPatch) -> Separation:
    """A separation of a 16-bit recording whose second voice and residual go beyond full scale."""
    people = both.people
    made = Separation(both.scene, people, both.engine, no_progress)
    made.audio = dataclasses.replace(made.audio, bits_per_sample=16)
    rng = np.random.default_rng(3)
    shape = (made.audio.channels, 48_000)
    stems = [level * rng.uniform(-1, 1, shape).astype(np.float32) for level in (0.5, 1.25)]
    rest = 1.6 * rng.uniform(-1, 1, shape).astype(np.float32)
    monkeypatch.setattr(made, "blocks", lambda: iter([Block(0, np.stack(stems), rest)]))
    return made


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mkv"])
def test_rescale_makes_all_files_softer_by_one_gain_and_says_so(
    both: Separation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    made = loud(both, monkeypatch)
    paths = {n: tmp_path / f"{n}{suffix}" for n in made.numbers}
    written = made.save(paths, residual=tmp_path / f"rest{suffix}")
    (block,) = made.blocks()
    parts = [sound(path) for path in (*paths.values(), tmp_path / f"rest{suffix}")]
    gain = 1 / np.abs(block.residual).max()
    np.testing.assert_allclose(
        sum(parts), gain * (block.stems.sum(axis=0) + block.residual), atol=3 / 32768
    )
    np.testing.assert_allclose(parts[0], gain * block.stems[0], atol=1 / 32768)
    (warning,) = [w for w in written.warnings if "--clip" in w]
    assert warning == (
        f"2{suffix}, rest{suffix} would have clipped: all files were made softer by 4.1 dB (see "
        "--clip), and still add up"
    )


@pytest.mark.parametrize("suffix", [".wav", ".mkv"])
def test_clamp_says_what_was_cut_and_none_does_not(
    both: Separation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    made = loud(both, monkeypatch)
    (block,) = made.blocks()
    paths = {n: tmp_path / f"{n}{suffix}" for n in made.numbers}
    written = made.save(paths, clip="clamp")
    count = int((np.abs(block.stems[1]) > 1).sum())
    assert [w for w in written.warnings if "--clip" in w] == [
        f"2{suffix}: {count} values beyond full scale were cut off (see --clip)"
    ]
    np.testing.assert_allclose(sound(paths[2]), block.stems[1].clip(-1, 1), atol=1 / 32768)
    written = made.save(paths, clip="none", overwrite=True)
    assert not [w for w in written.warnings if "--clip" in w]


def test_a_voice_beyond_full_scale_is_not_cut_before_anybody_is_asked(both: Separation) -> None:
    made = Separation(both.scene, both.people, both.engine, no_progress)
    made.audio = dataclasses.replace(made.audio, bits_per_sample=16)
    voices = np.full((2, made.audio.channels, 4), 1.5, np.float32)
    block = made._block(EngineBlock(0, voices, np.zeros(voices.shape[1:], np.float32)))
    np.testing.assert_array_equal(block.stems, voices)


def test_a_video_keeps_its_picture(both: Separation, network: AVSENet, tmp_path: Path) -> None:
    import av

    target = tmp_path / "one.mp4"
    again(both, 1, network).save(target)

    def packets(path: Path) -> list[tuple[int | None, bytes]]:
        with av.open(str(path)) as container:
            return [(p.pts, bytes(p)) for p in container.demux(video=0) if p.size]

    assert packets(target) == packets(both.scene.info.path)
    assert [p.name for p in tmp_path.iterdir()] == ["one.mp4"]


def test_people_are_found_by_number_and_by_place(both: Separation) -> None:
    scene = both.scene
    assert [p.number for p in scene.choose("all")] == [1, 2]
    assert [p.number for p in scene.choose([2, 1, 2])] == [1, 2]
    x, y, w, h = scene.people.numbered(2).box  # type: ignore[union-attr]
    at = f"@1.5s:{(x + w / 2) / 640:.3f},{(y + h / 2) / 360:.3f}"
    assert [p.number for p in scene.choose(at)] == [2]
    for nobody in (3, 0, "@1s:0.5,0.01", []):
        with pytest.raises(UnknownSpeakerError) as caught:
            scene.choose(nobody)
        assert all(number in caught.value.hint for number in "12")
    with pytest.raises(UsageError):
        scene.choose("anna")


def test_times_are_those_that_players_show(both: Separation) -> None:
    assert both.scene.playing_time(Fraction(0)) == 0.0
    assert probe(both.scene.info.path).start == 0


@pytest.mark.skipif(not shipped(), reason="no weights are shipped")
@pytest.mark.parametrize("number", [1, 2])
def test_the_example_with_the_shipped_weights(both: Separation, number: int, duet: Path) -> None:
    voice = again(both, number, avse.load_network("avse-small"), window_s=4.0).voices()[0, 0]
    own, other = (sound(EXAMPLES / f"duet.{n}.flac")[0] for n in (number, 3 - number))
    before, after = si_sdr(sound(duet)[0], own), si_sdr(voice, own)
    wrong = si_sdr(voice, other)
    assert before is not None
    assert after is not None
    assert wrong is not None
    assert after > wrong + 3  # the mixture is as near to one as to the other
    assert after > before + 0.3
