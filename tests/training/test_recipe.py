"""Recipes are read strictly; what is shipped can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from avse.errors import UsageError
from avse.models.spec import PRESETS
from avse.models.weights import load
from avse.training.exporting import OFFSCREEN_KINDS
from avse.training.recipe_file import LIPS_VARIED, read_recipe
from tests.conftest import EXAMPLES

STAGE = '[[stage]]\nkind = "joint"\n'


def read(tmp_path: Path, text: str):  # type: ignore[no-untyped-def]
    path = tmp_path / "r.toml"
    path.write_text(text)
    return read_recipe(path)


def test_kinds_go_by_their_old_names_too(tmp_path: Path) -> None:
    """A recipe of an older avse names its stages and folders as before."""
    text = (
        '[[stage]]\nkind = "ears"\nask = { alone = 0.7 }\n'
        '[[stage]]\nkind = "joint"\nstart = "ears"\n'
    )
    old, after = read(tmp_path, text).stages
    assert (old.kind, old.name, after.start) == ("audio-only", "ears", "ears")
    assert (old.query.alone, after.query.alone) == (0.7, 0.2)
    (new,) = read(tmp_path, '[[stage]]\nkind = "audio-only"\n').stages
    assert (new.kind, new.name) == ("audio-only", "audio-only")


@pytest.mark.parametrize("name", ["train-small.toml", "train-tiny.toml"])
def test_shipped_recipes_are_read(name: str) -> None:
    recipe = read_recipe(EXAMPLES / name)
    assert recipe.stages[0].kind == "lips"
    assert {stage.kind for stage in recipe.stages} & {"joint", "phase"}


def test_the_recipe_for_what_is_out_of_sight_makes_both_of_its_networks() -> None:
    recipe = read_recipe(EXAMPLES / "train-offscreen.toml")
    assert [stage.kind for stage in recipe.stages] == list(OFFSCREEN_KINDS)
    assert load("avse-small").spec == recipe.network


def test_what_is_left_out_is_the_default(tmp_path: Path) -> None:
    recipe = read(
        tmp_path,
        """
        precision = "bf16"
        data.clips = ["packs/a", "/b"]
        network = { preset = "small", conditioning = "once", fusion_dilations = [1, 2] }
        [[stage]]
        kind = "lips"
        learning_rate = 1
        lips.drift = 0.7
        [[stage]]
        kind = "joint"
        name = "again"
        start = "lips"
        train = ["fusion"]
        mix = { seconds = 2, voices = [0, 1], snr_db = [-5, 5] }
        """,
    )
    assert recipe.precision == "bf16"
    assert recipe.data.clips == (str(tmp_path / "packs/a"), "/b")
    assert recipe.network.conditioning == "once"
    assert recipe.network.fusion_dilations == (1, 2)
    assert recipe.network.fine_channels == PRESETS["small"].fine_channels
    lips, again = recipe.stages
    assert (lips.name, lips.learning_rate, lips.trained) == ("lips", 1.0, ("visual", "voice"))
    assert (lips.lips.drift, lips.lips.distortion) == (0.7, LIPS_VARIED.distortion)
    assert again.lips.distortion == 0
    assert again.trained == ("fusion",)
    assert again.mix.voices == (0.0, 1.0)
    assert again.mix.tilt_db == 5.0
    assert recipe.stage("again") is again


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        (
            STAGE + "lerning_rate = 1e-3",
            "[[stage]] 1 has an unknown key 'lerning_rate'",
            "'learning_rate'",
        ),
        (STAGE + "mix.second = 3.0", "[[stage]] 1 mix has an unknown key 'second'", "'seconds'"),
        ("[netwrok]\n" + STAGE, "the recipe has an unknown key 'netwrok'", "'network'"),
        ("[network]\nfine_chanels = 3\n" + STAGE, "'fine_chanels'", "'fine_channels'"),
        ('[network]\npreset = "huge"\n' + STAGE, "'huge'", "small, medium, base, large"),
        ('[network]\nmask = "real"\n' + STAGE, "mask is 'real'", ""),
        (STAGE + 'steps = "many"', "steps must be a whole number", "'many'"),
        (STAGE + "steps = 1.5", "steps must be a whole number", "1.5"),
        (STAGE + "mix.voices = 0.5", "must be a list", "0.5"),
        (STAGE + "mix.snr_db = [1.0]", "a list of length 2", ""),
        (STAGE + 'optimiser = "sgd"', "optimiser cannot be 'sgd'", "adamw, muon"),
        (STAGE + 'train = ["nose"]', "train cannot be 'nose'", "visual"),
        (STAGE + "faces = 0\nspeech = 0", "empty batches", ""),
        (STAGE + "voices = 1", "voices cannot be 1", ""),
        ('[[stage]]\nkind = "sleep"', "kind cannot be 'sleep'", "lips, joint"),
        ("[[stage]]\nsteps = 3", "[[stage]] 1 has no kind", ""),
        ("[stage]\nsteps = 3", "must be a list", "[[stage]]"),
        ("", "no stage", ""),
        (STAGE + STAGE, "two stages are called 'joint'", ""),
        (STAGE + 'delays = "lips"', "not an earlier stage", "pack, none"),
        ('precision = "int8"\n' + STAGE, "precision cannot be 'int8'", "bf16"),
        ('[network]\nmask = "complex"\n[[stage]]\nkind = "phase"', "phase head", ""),
        ("not toml", "is not TOML", ""),
        ("a = " + "[" * 100_000, "is not TOML", ""),
        (STAGE + "mix.seconds = 1e12", "seconds cannot be", "60"),
        (STAGE + "mix.seconds = inf", "seconds is out of range", ""),
        (STAGE + 'name = "../up"', "cannot name a stage", ""),
        (STAGE + 'name = "a\\u0000b"', "cannot name a stage", ""),
        (STAGE + "mix.voices = [0.5]", "voices cannot be [0.5]", "probability"),
        (STAGE + "mix.voices = []", "voices cannot be []", "probability"),
        (STAGE + "lips = 3", "lips must be a table", ""),
        (STAGE + "steps = " + "9" * 30, "steps is out of range", ""),
        ("[network]\nfine_channels = 40000\n" + STAGE, "fine_channels cannot be", ""),
        ("[network]\nmask_blocks = 100000000\n" + STAGE, "mask_blocks cannot be", ""),
        ("[network]\npreset = [1]\n" + STAGE, "no network preset", ""),
        ('data.clips = ["~no-such-user/x"]\n' + STAGE, "no user", ""),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(
    tmp_path: Path, text: str, says: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert says in caught.value.message
    assert "r.toml" in caught.value.message
    assert hint in caught.value.hint


def test_a_recipe_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
