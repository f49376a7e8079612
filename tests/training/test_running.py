"""Recipes are run stage by stage, taken up where they were left, and never mixed up."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avse.errors import InputError, UsageError
from avse.inference.offscreen_weights import load_offscreen_modules
from avse.models.weights import load
from avse.training import plots as curves
from avse.training.compute import Compute
from avse.training.data import Faces, PackedSounds, open_corpora
from avse.training.exporting import export_weights
from avse.training.recipe import DataSettings, Recipe
from avse.training.recipe_file import read_recipe
from avse.training.recipe_runner import run_recipe
from avse.training.run_folder import averaged

from .conftest import write_pack

CPU = Compute(torch.device("cpu"))


def changed(recipe: Recipe, stage: int, **fields: object) -> Recipe:
    stages = list(recipe.stages)
    stages[stage] = dataclasses.replace(stages[stage], **fields)  # type: ignore[arg-type]
    return dataclasses.replace(recipe, stages=tuple(stages))


def test_a_recipe_runs_is_skipped_and_exported(recipe: Path, tmp_path: Path) -> None:
    read, run = read_recipe(recipe), tmp_path / "run"
    lips, joint = run_recipe(read, run, CPU)
    assert (lips.name, lips.steps, lips.finished, lips.skipped) == ("lips", 3, True, False)
    assert joint.figures.keys() == {"gain_clips", "worse_clips", "wrong_clips", "silent_db_clips"}
    before = (run / "joint/last.pt").read_bytes()
    assert all(done.skipped for done in run_recipe(read, run, CPU))
    assert (run / "joint/last.pt").read_bytes() == before
    # The lips are as the stage before left them; the rest has learnt.
    first, second = averaged(run / "lips/last.pt"), averaged(run / "joint/last.pt")
    assert torch.equal(first["visual.enter.weight"], second["visual.enter.weight"])
    assert not torch.equal(first["audio.enter.weight"], second["audio.enter.weight"])
    made = export_weights(run, tmp_path / "w.safetensors", bias=0.5, half=False)
    assert (made.stage, made.steps, made.all_steps) == ("joint", 4, 4)
    network = load(str(tmp_path / "w.safetensors"))
    assert network.spec == read.network
    torch.testing.assert_close(network.fusion.mask.bias, second["fusion.mask.bias"] + 0.5)
    with pytest.raises(UsageError, match="'lips'"):
        export_weights(run / "lips", tmp_path / "l.safetensors")
    with pytest.raises(InputError, match="not a run"):
        export_weights(tmp_path, tmp_path / "l.safetensors")
    # Weights that were exported can be started from, by the same network only.
    again = changed(read, 1, start=str(tmp_path / "w.safetensors"))
    run_recipe(again, tmp_path / "tuned", CPU, only="joint")
    other = dataclasses.replace(read.network, phase_channels=16)
    with pytest.raises(UsageError, match="another network") as caught:
        run_recipe(dataclasses.replace(again, network=other), tmp_path / "t", CPU, only="joint")
    assert "phase_channels was 16 and is 8" in caught.value.hint


def test_a_run_that_was_stopped_ends_like_one_that_was_not(recipe: Path, tmp_path: Path) -> None:
    read = read_recipe(recipe)
    run_recipe(read, tmp_path / "whole", CPU)
    for steps in (2, 3):
        counter = itertools.count(1)
        *_, last = run_recipe(
            read, tmp_path / "parts", CPU, stop=lambda c=counter, n=steps: next(c) >= n
        )
        assert not last.finished
    assert (last.name, last.steps) == ("joint", 2)
    run_recipe(read, tmp_path / "parts", CPU)
    for stage in ("lips", "joint"):
        one, two = (torch.load(tmp_path / run / stage / "last.pt") for run in ("whole", "parts"))
        for part in ("network", "average"):
            for name, value in one[part].items():
                assert torch.equal(value, two[part][name]), name


def test_a_recipe_that_has_changed_is_refused_with_the_difference(
    recipe: Path, tmp_path: Path
) -> None:
    read, run = read_recipe(recipe), tmp_path / "run"
    run_recipe(read, run, CPU, only="lips")
    with pytest.raises(UsageError) as caught:
        run_recipe(changed(read, 0, learning_rate=0.5, seed=3), run, CPU)
    assert "stage.learning_rate was 0.001 and is 0.5" in caught.value.message
    assert "stage.seed was 0 and is 3" in caught.value.message
    assert "--force" in caught.value.hint
    # How often something is logged is no part of what is learnt.
    run_recipe(changed(read, 0, log_every=7), run, CPU, only="lips")
    # With force it goes on from where it is.
    (done,) = run_recipe(changed(read, 0, steps=5), run, CPU, only="lips", force=True)
    assert (done.steps, done.skipped) == (5, False)
    other = dataclasses.replace(read, network=dataclasses.replace(read.network, embedding=8))
    with pytest.raises(UsageError, match=r"network\.embedding was 6 and is 8") as refused:
        run_recipe(other, run, CPU, force=True)
    assert "--force" not in refused.value.hint
    listed = recipe.parent / "noise/clips.jsonl"
    listed.write_text(listed.read_text().replace("0.95", "0.94"))
    with pytest.raises(UsageError, match="noise has changed"):
        run_recipe(changed(read, 0, steps=5), run, CPU)


def test_a_stage_knows_when_what_it_started_from_has_changed(recipe: Path, tmp_path: Path) -> None:
    read, run = read_recipe(recipe), tmp_path / "run"
    run_recipe(read, run, CPU)
    (run / "lips/last.pt").unlink()
    with pytest.raises(UsageError, match="needs stage 'lips', which is not finished"):
        run_recipe(read, run, CPU, only="joint")
    with pytest.raises(UsageError, match="weights that it started from have changed"):
        run_recipe(changed(read, 0, seed=5), run, CPU)


def test_one_stage_needs_the_one_before(recipe: Path, tmp_path: Path) -> None:
    read = read_recipe(recipe)
    with pytest.raises(UsageError, match="needs stage 'lips'") as caught:
        run_recipe(read, tmp_path / "run", CPU, only="joint")
    assert caught.value.hint == "run it first: --stage lips"
    with pytest.raises(UsageError, match="no stage 'sleep'"):
        run_recipe(read, tmp_path / "run", CPU, only="sleep")
    new = changed(read, 1, start="new")
    (done,) = run_recipe(new, tmp_path / "run", CPU, only="joint")
    assert done.finished


def test_delays_are_estimated_by_a_stage_of_lips(recipe: Path, tmp_path: Path) -> None:
    read = changed(read_recipe(recipe), 1, delays="lips")
    run = tmp_path / "run"
    run_recipe(read, run, CPU)
    delays = json.loads((run / "lips/delays.json").read_text())
    assert set(delays) == {f"clips/clips/clip{n}" for n in range(8)}
    assert all(-6 <= late <= 6 for late in delays.values())


def test_clips_are_moved_by_their_delay(tmp_path: Path) -> None:
    folder = str(write_pack(tmp_path / "a"))
    own = Faces([folder], "train")
    none = Faces([folder], "train", confident=2.0)
    given = Faces([folder], "train", delays={"a/a/clip1": -3})
    frames = [[len(set_.clip(n).seen) for n in range(2)] for set_ in (own, none, given)]
    assert frames == [[28, 30], [30, 30], [28, 27]]
    # What was heard in frame 2 belongs to the lips of frame 0.
    np.testing.assert_array_equal(own.clip(0).audio, none.clip(0).audio[2 * 640 :])
    assert {own.row(n).person for n in range(len(own))} == {"p0", "p1"}
    settings = DataSettings(clips=(folder,))
    corpora = open_corpora(settings, delays={"a/a/clip1": -3})
    assert len(corpora.faces.clip(1).seen) == 27
    assert len(open_corpora(settings, delays=None, own_delays=False).faces.clip(0).seen) == 30


def test_packs_are_joined_and_divided_by_split(tmp_path: Path) -> None:
    folders = [str(write_pack(tmp_path / name, seed=n)) for n, name in enumerate("ab")]
    sounds = PackedSounds(folders, "all")
    assert len(sounds.clips) == 16
    assert {clip.corpus for clip in sounds.clips} == {"a", "b"}
    assert all(len(sounds.audio(clip)) == clip.samples for clip in sounds.clips)
    corpora = open_corpora(DataSettings(clips=tuple(folders)), delays=None)
    assert len(corpora.faces) == 8
    assert set(corpora.held_out) == {"a", "b"}
    with pytest.raises(UsageError, match="'nobody'"):
        open_corpora(DataSettings(clips=tuple(folders), train="nobody"), delays=None)
    with pytest.raises(InputError, match="not a finished pack"):
        open_corpora(DataSettings(clips=(str(tmp_path),)), delays=None)
    write_pack(tmp_path / "sound", pictures=False)
    with pytest.raises(InputError, match="sound alone"):
        open_corpora(DataSettings(clips=(str(tmp_path / "sound"),)), delays=None)


def test_what_a_stage_lacks_is_named(recipe: Path, tmp_path: Path) -> None:
    read = read_recipe(recipe)
    mute = dataclasses.replace(read, data=dataclasses.replace(read.data, speech=()))
    run_recipe(mute, tmp_path / "run", CPU, only="lips")
    with pytest.raises(UsageError, match="'joint' needs speech"):
        run_recipe(mute, tmp_path / "run", CPU, only="joint")
    blind = dataclasses.replace(read, data=dataclasses.replace(read.data, clips=()))
    with pytest.raises(UsageError, match="'lips' needs talking faces"):
        run_recipe(blind, tmp_path / "blind", CPU)


def test_curves_are_drawn_from_the_log(tmp_path: Path) -> None:
    assert curves.draw_curves(tmp_path) is None
    rows = [{"step": n, "loss": 1 / n, "rate": 1.0} for n in range(1, 9)]
    rows.append({"step": 8, "valid_gain": 1.0})
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 9, "lo'
    (tmp_path / "log.jsonl").write_text(text)
    assert len(curves.read_log(tmp_path)) == 9
    picture = curves.draw_curves(tmp_path)
    assert picture is not None
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_tensorboard_gets_the_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with curves.Board(tmp_path) as board:
        board.write(5, {"loss": 2.0})
        board.write(5, {"valid_gain": 1.5})
    found = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(found.Tags()["scalars"]) == ["loss", "valid/gain"]
    (event,) = found.Scalars("valid/gain")
    assert (event.step, event.value) == (5, 1.5)


def test_both_networks_for_people_out_of_sight_go_into_one_file(
    recipe: Path, tmp_path: Path
) -> None:
    write_pack(recipe.parent / "crowds", pictures=False, people=1, seed=5)
    text = recipe.read_text().replace('noise = ["noise"]', 'noise = ["noise"]\ncrowds = ["crowds"]')
    tail = "steps = 2\nvalidate_every = 2\nfaces = 2\nspeech = 2\ntalkers = 2\nmix.seconds = 0.8\n"
    for kind in ("offscreen", "voiceprint"):
        text += f'\n[[stage]]\nkind = "{kind}"\nstart = "joint"\n{tail}'
    recipe.write_text(text)
    run, file = tmp_path / "run", tmp_path / "off.safetensors"
    done = run_recipe(read_recipe(recipe), run, CPU)
    assert [stage.name for stage in done] == ["lips", "joint", "offscreen", "voiceprint"]
    made = export_weights(run / "offscreen", file)
    assert (made.stage, made.steps) == ("offscreen and voiceprint", 4)
    loaded = load_offscreen_modules(str(file))[0].state_dict()["leave.bias"]
    trained = averaged(run / "offscreen/last.pt")["leave.bias"]
    torch.testing.assert_close(loaded, trained.half().float())  # exported with 16 bits
    with pytest.raises(UsageError, match="no mask logits"):
        export_weights(run / "voiceprint", file, bias=0.5)
    (run / "voiceprint" / "last.pt").unlink()
    with pytest.raises(UsageError, match="'voiceprint'"):
        export_weights(run / "offscreen", file)
