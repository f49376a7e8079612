"""The documentation: examples run, links lead somewhere, command lines parse."""

from __future__ import annotations

import doctest
import functools
import importlib
import inspect
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from avse.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        ROOT / "examples/README.md",
        ROOT / "pretrained/MODEL_CARD.md",
    ]
)
RUN = ["podcast", "deposition", "evaluation", "corpus"]
"""Pages whose blocks run from top to bottom; what is not to be run is in `bash` blocks."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, *languages: str) -> Iterator[tuple[str, str]]:
    """Language and lines of code blocks."""
    for language, code in re.findall(r"^```(\w+)[^\n]*\n(.*?)^```$", text, re.M | re.S):
        if not languages or language in languages:
            yield language, code


def prose(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


# Links.


def anchors(page: Path) -> set[str]:
    """What headings are called in addresses, as MkDocs and GitHub do it."""
    titles = re.findall(r"^#+ (.+)$", prose(page.read_text()), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)|`", r"\1", title).lower() for title in titles)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip()) for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_anchors(page: Path) -> None:
    text = prose(page.read_text())
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(
        r'(?:src|srcset|href)="([^"]+)"', text
    )
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page if not path else page.parent / path
        assert file.exists(), target
        if anchor and not anchor.startswith("avse."):  # those are of the API
            assert anchor in anchors(file), target


# Command lines.


def commands(page: Path) -> Iterator[list[str]]:
    """Arguments of `avse` in code blocks and in running text."""
    text = page.read_text()
    for _, code in blocks(text, "sh", "bash"):
        for line in code.replace("\\\n", " ").splitlines():
            yield from in_line(line)
    for code in re.findall(r"`([^`]+)`", prose(text)):
        yield from in_line(code.replace("\n", " "))


def in_line(line: str) -> Iterator[list[str]]:
    """Arguments of `avse` in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.wordchars += "{}@:,$"
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # not shell
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if not set(word) <= set(";&|()<>"):
            command.append(word)
            continue
        if "avse" in command:
            place = command.index("avse")
            if place == 0 or command[place - 1] == "-m" or command[0] in ("ssh", "do"):
                yield command[place + 1 :]
        command = []


@functools.cache
def complaint(*arguments: str) -> str:
    """What is wrong with verb or options; nothing is run, as help is shown first."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        code = main([*arguments, *([] if len(arguments) < 2 else ["1"]), "--help"])
    return said.getvalue() if code else ""


def without_values(arguments: list[str]) -> list[str]:
    """The same verb and options, whatever their values are."""
    verb = 2 if arguments[0] in ("models", "cache") else 1
    return arguments[:verb] + [one if one[0] == "-" else "1" for one in arguments[verb:] if one]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_parse(page: Path) -> None:
    for arguments in commands(page):
        if arguments and not arguments[0].isupper():  # as in `avse VERB --help`
            assert complaint(*without_values(arguments)) == "", arguments


def test_a_wrong_command_line_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Use `avse sepparate`.\n\n```sh\nls | avse separate a --windw 3  # no\n```\n")
    option, verb = commands(page)
    assert option == ["separate", "a", "--windw", "3"]
    assert "--windw" in complaint(*without_values(option))
    assert "sepparate" in complaint(*verb)


# Examples.


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a clone of the repository, with an `avse` and a `python` that are these."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in {"avse": "-m avse ", "python": ""}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {line}"$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SHELL", "/bin/bash")
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("AVSE_RUN_PAGES"), reason="takes minutes: set AVSE_RUN_PAGES=1"
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="the commands are for a shell")
@pytest.mark.parametrize("page", RUN)
def test_pages_run_from_top_to_bottom(page: str, clone: Path) -> None:
    text = (ROOT / f"docs/{page}.md").read_text()
    script = ["set -eu"]
    for language, code in blocks(text, "sh", "python"):
        script.append(code if language == "sh" else f"python - <<'END'\n{code}END")
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def documented() -> list[str]:
    """The names on the page of the API, without those of `avse.errors`, which is a module."""
    return re.findall(r"^::: (\S+)", (ROOT / "docs/api.md").read_text(), re.M)


def find(name: str) -> object:
    module, attribute = name, ""
    while True:
        try:
            found: object = importlib.import_module(module)
            break
        except ImportError:
            module, _, last = module.rpartition(".")
            attribute = f"{last}.{attribute}".strip(".")
    for part in filter(None, attribute.split(".")):
        found = getattr(found, part)
    return found


def test_every_public_name_is_documented() -> None:
    import avse

    public = {f"avse.{name}" for name in avse.__all__} - {"avse.AvseError", "avse.__version__"}
    assert public <= set(documented())
    for name in documented():
        assert inspect.getdoc(find(name)), name


@pytest.mark.slow
def test_examples_of_docstrings_run(
    duet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(duet, tmp_path / "talk.mp4")
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    ran: dict[str, str] = {}
    for name in documented():
        thing = find(name)
        # All modules' docstrings but this one's are on no page.
        tests = finder.find(thing, name) if not inspect.ismodule(thing) else []
        if inspect.ismodule(thing):
            parser = doctest.DocTestParser()
            tests = [parser.get_doctest(thing.__doc__ or "", {}, name, None, 0)]
        for test in (one for one in tests if one.examples and one.name not in ran):
            said: list[str] = []
            runner.run(test, out=said.append)
            ran[test.name] = "".join(said)
    assert {name: said for name, said in ran.items() if said} == {}
    wanted = {"separate", "Separator", "Separation", "Scene", "Settings", "who", "errors"}
    assert {f"avse.{name}" for name in wanted} | {"avse.inference.engine.Engine"} <= ran.keys()
    assert len(ran) >= 10
    assert {path.name for path in tmp_path.glob("*.wav")} >= {"anna.wav", "voice.wav", "left.wav"}
