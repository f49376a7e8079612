from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from avse.settings import Settings

from .conftest import Run

VERBS = [
    (),
    ("batch",),
    ("open",),
    ("evaluate",),
    ("separate",),
    ("sync",),
    ("enhance",),
    ("inspect",),
    ("who",),
    ("mix",),
    ("models",),
    ("models", "list"),
    ("models", "verify"),
    ("models", "export"),
    ("cache",),
    ("cache", "show"),
    ("cache", "clear"),
    ("train",),
    ("doctor",),
]
HEAVY = {"torch", "torchaudio", "numpy", "scipy", "av", "mediapipe", "cv2", "soundfile"} | {
    "starlette",
    "uvicorn",
    "anyio",
}

LIST_IMPORTS = """
import contextlib, io, json, sys
from avse.cli import main
with contextlib.redirect_stdout(io.StringIO()) as help:
    code = main(sys.argv[1:])
print(json.dumps([code, help.getvalue(), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_has_examples_and_imports_nothing_heavy(verb: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIST_IMPORTS, *verb, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    code, text, imported = json.loads(done.stdout)
    assert code == 0
    assert done.stderr == ""
    assert HEAVY.isdisjoint(imported)
    after = text.partition("Examples:\n")[2]
    command = " ".join(("avse", *verb))
    assert after.count(command) >= 1
    names = re.findall(r"--[\w-]+", text)
    assert names
    assert "_" not in "".join(names)


@pytest.mark.parametrize("arguments", [(), ("models",), ("cache",)])
def test_without_a_verb_the_help_is_shown_as_an_error(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ("Commands:" if arguments else "For recordings:") in ran.err


def test_verbs_and_options_stand_under_titles(run: Run) -> None:
    titles = re.findall(r"^(\w.*):$", run("--help").out, re.MULTILINE)
    assert titles[:4] == ["Options", "For recordings", "For researchers", "Housekeeping"]
    text = run("separate", "--help").out
    most_used, _, rest = text.partition("Most used:\n")[2].partition("\n\n")
    assert len(re.findall(r"^  -", most_used, re.MULTILINE)) == 10
    for option in dataclasses.fields(Settings):
        if option.metadata:
            name = option.metadata["names"].split("/")[0].split()[0]
            assert f"{name} " in most_used + rest
            assert option.metadata["envvar"] in "".join((most_used + rest).split())


def test_version(run: Run) -> None:
    import avse

    assert run("--version").out == f"avse {avse.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sepparate", "a.mp4"), "'sepparate'"),
        (("separate",), "INPUT"),
        (("separate", "a.mp4", "--windw", "3"), "--window"),
        (("separate", "a.mp4", "--mix", "lots"), "--mix"),
        (("separate", "a.mp4", "--clip", "hard"), "rescale"),
        (("separate", "a.mp4", "--keep_original_audio"), "--keep-original-audio"),
    ],
)
def test_usage_errors_are_two_lines_and_code_2(
    run: Run, arguments: tuple[str, ...], says: str
) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    error, hint = ran.errors
    assert error.startswith("avse: error: ")
    assert says in error
    assert hint.startswith("hint: see `avse ")


def test_completion_knows_the_verbs(program: Run) -> None:
    import os

    environment = {
        **os.environ,
        "_AVSE_COMPLETE": "complete_bash",
        "COMP_WORDS": "avse sep",
        "COMP_CWORD": "1",
    }
    assert program(env=environment).out.split() == ["separate"]
