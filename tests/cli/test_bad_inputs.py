"""Whatever is wrong with an input: one line that names it, a hint, the right code, no debris."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import DUET, Ran, Run

BAD = [
    "missing",
    "folder",
    "empty",
    "text",
    "truncated",
    "silent",
    "pictureless",
    "faceless",
]


def refused(ran: Ran, code: int, says: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    error, hint = ran.errors
    assert error.startswith("avse: error: ")
    assert says in error
    assert hint.startswith("hint: ")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("verb", ["separate", "enhance"])
def test_bad_inputs_fail_with_one_line(
    run: Run, recordings: dict[str, Path], model: Path, kind: str, verb: str
) -> None:
    ran = run(verb, recordings[kind], "-m", model, "-o", "out/")
    refused(ran, 1, recordings[kind].name)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("kind", BAD[:5])
def test_inspect_fails_where_there_is_no_recording(
    run: Run, recordings: dict[str, Path], kind: str
) -> None:
    refused(run("inspect", recordings[kind]), 1, recordings[kind].name)


def test_a_user_sees_no_chatter_of_libraries(
    program: Run, recordings: dict[str, Path], model: Path
) -> None:
    refused(program("separate", recordings["faceless"], "-m", model), 1, "faceless.mp4")


def test_a_recording_cut_short_gives_what_there_is_and_says_so(run: Run, model: Path) -> None:
    Path("cut.mp4").write_bytes(DUET.read_bytes()[: DUET.stat().st_size // 3])  # index in front
    ran = run("separate", "cut.mp4", "-m", model, "-s", "1")
    assert (ran.code, ran.out) == (0, "cut.1.wav\n")
    (warning,) = ran.errors
    assert warning.startswith("avse: warning: cut.mp4 is cut short: of 6.4 s of sound only ")


def test_stdin_is_not_read(run: Run) -> None:
    refused(run("separate", "-"), 1, "-")


def test_several_inputs_point_at_a_loop(run: Run, recordings: dict[str, Path]) -> None:
    folder = recordings["silent"].parent
    refused(run("separate", recordings["silent"], recordings["empty"]), 2, "one input at a time")
    refused(run("separate", folder / "*.mp4"), 2, "one input at a time")
    assert "for file in" in run("who", folder / "*.mp4").errors[1]


def test_a_pattern_that_matches_nothing(run: Run) -> None:
    refused(run("separate", "no*.mp4"), 1, "no*.mp4")


def test_a_track_that_is_not_there(run: Run, duet: Path, model: Path, short: Path) -> None:
    refused(run("separate", short, "-m", model, "--track", "3"), 1, "short.mp4")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--mix", "2"), "mix"),
        (("--overlap", "0.95"), "overlap"),
        (("--window", "0"), "window"),
        (("--track", "-1"), "track"),
        (("--device", "toaster"), "toaster"),
        (("--faces", "eyes"), "eyes"),
        (("--speaker", "1", "-o", "a.ogg"), ".ogg"),
        (("--speaker", "1", "-o", ""), "--output"),
        (("--speaker", "1", "-o", "-"), "stdout"),
        (("-o", "a.wav"), "one file"),
        (("--speaker", "1,2", "-o", "a.mp4"), "one file"),
        (("--name", "{stem}.{who}.wav"), "{who}"),
        (("--name", "{stem"), "{stem"),
        (("--name", "{stem!r}.wav"), "{stem}"),
        (("--name", "{speaker}/{stem}.wav"), "file name"),
        (("--name", "{stem}.{speaker}"), "cannot write"),
        (("--speaker", "1", "--residual", "--name", "{stem}.wav"), "two outputs"),
        (("--speaker", "1,2", "--name", "{stem}.wav"), "two outputs"),
    ],
)
def test_bad_options_are_usage_errors(
    run: Run, short: Path, model: Path, options: tuple[str, ...], says: str
) -> None:
    refused(run("separate", short, "-m", model, *options), 2, says)
    assert list(Path().iterdir()) == []


def test_a_model_that_is_not_there(run: Run, short: Path) -> None:
    refused(run("separate", short, "-m", "no-such-model"), 3, "no-such-model")


def test_a_model_that_is_none(run: Run, short: Path) -> None:
    Path("model.safetensors").write_text("hello", encoding="utf-8")
    refused(run("separate", short, "-m", "model.safetensors"), 3, "model.safetensors")


@pytest.mark.parametrize("verb", ["separate", "inspect", "batch"])
def test_a_url_is_named_as_such(run: Run, verb: str) -> None:
    more = ("-o", "out") if verb == "batch" else ()
    ran = run(verb, "https://example.org/talk.mp4?t=1", *more)
    refused(ran, 1, "https://example.org/talk.mp4?t=1: is a URL")


def test_names_give_no_orders_to_the_terminal(run: Run, recordings: dict[str, Path]) -> None:
    name = "a\x1b[31m\x9b\u202eb.mp4"
    Path(name).write_bytes(recordings["pictureless"].read_bytes())
    for ran in (run("inspect", name), run("separate", name), run("inspect", name, "-vv")):
        assert r"a\x1b[31m\x9b\u202eb.mp4" in ran.err
        assert not set(ran.err + ran.out) & set("\x1b\x9b\u202e")


def test_traceback_only_when_asked_for(run: Run, recordings: dict[str, Path]) -> None:
    ran = run("inspect", recordings["text"], "-vv")
    assert ran.code == 1
    assert "Traceback" in ran.err
    assert "Traceback" not in run("inspect", recordings["text"], "-v").err


class TestOutputs:
    def test_existing_files_are_kept(self, run: Run, duet: Path, model: Path) -> None:
        kept = Path("duet.2.wav")
        kept.write_text("mine", encoding="utf-8")
        for speaker in ("2", "all"):
            ran = run("separate", duet, "-m", model, "--speaker", speaker)
            refused(ran, 2, "duet.2.wav")
            assert "--force" in ran.errors[1]
        assert kept.read_text(encoding="utf-8") == "mine"
        assert list(Path().iterdir()) == [kept]
        assert run("separate", duet, "-m", model, "--force").code == 0
        assert kept.read_bytes().startswith(b"RIFF")

    def test_a_known_name_is_refused_before_the_model_is_opened(self, run: Run) -> None:
        Path("a.wav").touch()
        refused(run("separate", DUET, "-s", "1", "-o", "a.wav", "-m", "none"), 2, "a.wav")
        refused(run("separate", DUET, "-s", "@1s:0,0", "-o", "a.wav", "-m", "none"), 2, "a.wav")
        refused(run("enhance", DUET, "-o", "a.wav", "-m", "none"), 2, "a.wav")
        Path("duet.residual.wav").touch()
        refused(run("separate", DUET, "--residual", "-m", "none"), 2, "duet.residual.wav")

    @pytest.mark.parametrize(
        ("arguments", "code", "says"),
        [
            (("separate", DUET), 2, "duet.1.wav"),  # if there is anybody, there is a first
            (("separate", DUET, "-s", "1", "-o", "x.webm"), 2, "WebM cannot hold its picture"),
            (("enhance", DUET, "-o", "x.webm"), 2, "WebM cannot hold its picture"),
            (("sync", DUET, "--fix", "-o", "x.webm"), 2, "WebM cannot hold its picture"),
            (("separate", DUET, "-s", "1", "-o", "no/where.wav"), 1, "no"),
            (("separate", DUET, "-o", "duet.1.wav/below/"), 1, "not a folder"),
            (("separate", DUET, "-s", "1", "-o", "x.wav", "--track", "3"), 1, "no sound track 3"),
            (("enhance", DUET, "--picture", "1"), 1, "no picture 1"),
            (("who", DUET, "--picture", "1"), 1, "no picture 1"),
            (("sync", DUET, "--picture", "1"), 1, "no picture 1"),
            (("sync", "missing.mp4"), 1, "does not exist"),
        ],
    )
    def test_what_can_be_refused_is_refused_before_the_model_is_opened(
        self, run: Run, arguments: tuple[str, ...], code: int, says: str
    ) -> None:
        Path("duet.1.wav").touch()
        refused(run(*arguments, "-m", "none"), code, says)
        assert [path.name for path in Path().iterdir()] == ["duet.1.wav"]

    def test_the_input_is_never_overwritten(self, run: Run, duet: Path, model: Path) -> None:
        before = duet.read_bytes()
        Path("link.mp4").symlink_to(duet)
        for target in (duet, Path("link.mp4")):
            ran = run("separate", duet, "-m", model, "-s", "1", "-f", "-o", target)
            refused(ran, 2, "input itself")
        refused(run("enhance", duet, "-m", model, "-f", "-o", duet), 2, "input itself")
        assert duet.read_bytes() == before

    def test_a_missing_folder_of_a_named_file(self, run: Run, duet: Path, model: Path) -> None:
        ran = run("separate", duet, "-m", model, "-s", "1", "-o", "no/where.wav")
        refused(ran, 1, "no")

    def test_a_folder_that_cannot_be_made(self, run: Run, duet: Path, model: Path) -> None:
        Path("file").touch()
        refused(run("separate", duet, "-m", model, "-o", "file/below/"), 1, "file")
        refused(run("separate", duet, "-m", model, "-o", "file"), 1, "file")
