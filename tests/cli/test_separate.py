from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from avse.media import SOUND_SUFFIXES, AudioReader, probe
from avse.media.remux import CONTAINERS

from .conftest import Run


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32")[0]


def original(path: Path) -> np.ndarray:
    with AudioReader(path) as sound:
        return np.concatenate([block.samples for block in sound], axis=-1)[0]


def test_a_user_gets_every_voice_of_the_duet(program: Run, model: Path, short: Path) -> None:
    ran = program("separate", short, "-m", model)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == ["short.1.wav", "short.2.wav"]
    assert sorted(path.name for path in Path().iterdir()) == ["short.1.wav", "short.2.wav"]
    assert soundfile.info("short.1.wav").samplerate == 48000


def test_json_is_one_object_of_the_promised_shape(run: Run, duet: Path, model: Path) -> None:
    ran = run("separate", duet, "-m", model, "--residual", "--json", "-o", "voices")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert set(found.pop("sync")) == {
        "people",
        "offset_ms",
        "confidence",
        "drift",
        "verified",
        "out_of_step",
    }
    assert found == {
        "input": str(duet),
        "sample_rate": 48000,
        "stems": [
            {
                "speaker": number,
                "path": str(Path("voices", f"duet.{number}.wav")),
                "out_of_sight": [],
                "subtitles": None,
            }
            for number in (1, 2)
        ],
        "narrator": None,
        "crowd": None,
        "residual": str(Path("voices", "duet.residual.wav")),
        "tracks": None,
        "reports": [],
    }
    parts = [samples(path) for path in Path("voices").iterdir()]
    np.testing.assert_allclose(sum(parts), original(duet), atol=1e-5)


def test_json_says_null_of_what_was_not_asked_for(run: Run, duet: Path, model: Path) -> None:
    without = ("--no-sync", "--no-carry")
    ran = run("separate", duet, "-m", model, "--speaker", "2", "--json", *without, "-o", "x.flac")
    assert json.loads(ran.out) == {
        "input": str(duet),
        "sample_rate": 48000,
        "stems": [{"speaker": 2, "path": "x.flac", "out_of_sight": None, "subtitles": None}],
        "narrator": None,
        "crowd": None,
        "residual": None,
        "tracks": None,
        "reports": [],
        "sync": None,
    }


def test_what_is_out_of_sight_is_written_too(run: Run, duet: Path, model: Path) -> None:
    ran = run("separate", duet, "-m", model, "--speaker", "2", "--offscreen", "-o", "anna.wav")
    kinds = ("narrator", "crowd", "residual")
    assert ran.out.split() == ["anna.wav", *(f"anna.{kind}.wav" for kind in kinds)]
    parts = [samples(Path(name)) for name in ran.out.split()]
    np.testing.assert_allclose(sum(parts), original(duet), atol=1e-5)
    again = run("separate", duet, "-m", model, "--speaker", "2", "--offscreen", "-o", "anna.wav")
    assert again.code == 2
    ran = run("separate", duet, "-m", model, "--offscreen", "--json", "--dry-run", "-o", "voices")
    found = json.loads(ran.out)
    assert {kind: found[kind] for kind in kinds} == {
        kind: str(Path("voices", f"duet.{kind}.wav")) for kind in kinds
    }
    assert not Path("voices").exists()


def test_without_weights_for_what_is_out_of_sight(run: Run, duet: Path, model: Path) -> None:
    options = ("--offscreen", "--offscreen-model", "nowhere", "-o", "voices")
    ran = run("separate", duet, "-m", model, *options)
    assert ran.code == 3
    assert "nowhere" in ran.err
    assert not Path("voices").exists()


def test_a_video_keeps_its_picture_and_the_residual_lies_beside_it(
    run: Run, duet: Path, model: Path
) -> None:
    Path("out").mkdir()
    options = ("--residual", "--keep-original-audio", "-o", "out/anna.mp4")
    ran = run("separate", duet, "-m", model, "--speaker", "1", *options)
    assert ran.out.split() == ["out/anna.mp4", "out/anna.residual.mp4"]
    for name in ran.out.split():
        with av.open(str(duet)) as before, av.open(name) as after:
            pictures = [
                [bytes(packet) for packet in file.demux(video=0)] for file in (before, after)
            ]
            assert pictures[0] == pictures[1]
            assert len(after.streams.audio) == 2


@pytest.mark.parametrize(
    ("speaker", "names"),
    [
        ("1,2", ["duet.1.wav", "duet.2.wav"]),
        ("2", ["duet.2.wav"]),
        ("@1s:0.25,0.30", ["duet.1.wav"]),
        ("@1:0.74,0.33", ["duet.2.wav"]),
    ],
)
def test_speakers(run: Run, duet: Path, model: Path, speaker: str, names: list[str]) -> None:
    ran = run("separate", duet, "-m", model, "--speaker", speaker, "--dry-run")
    assert ran.code == 0
    assert ran.out.split() == names
    assert ran.errors == ["avse: dry run: nothing was written"]
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("speaker", "says"),
    [
        ("3", "choose from: 1, 2"),
        ("0", "choose from: 1, 2"),
        ("@1s:0.45,0.01", "in sight then: person"),
    ],
)
def test_an_unknown_speaker_lists_the_valid_ones(
    run: Run, duet: Path, model: Path, speaker: str, says: str
) -> None:
    ran = run("separate", duet, "-m", model, "--speaker", speaker, "-o", "new/")
    assert (ran.code, ran.out) == (2, "")
    error, hint = ran.errors
    assert error.startswith("avse: error: duet.mp4: ")
    assert says in hint
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("speaker", ["anna", "", "1;2", "@12", "@1s:1.5,0.2", "-1", "1.5"])
def test_no_speaker_at_all_is_told_before_any_work(run: Run, short: Path, speaker: str) -> None:
    ran = run("separate", short, "--speaker", speaker, "-m", "none.safetensors")
    assert ran.code == 2
    assert "a number" in ran.errors[-1]


def test_mix_of_one_is_the_original(run: Run, duet: Path, model: Path) -> None:
    ran = run("separate", duet, "-m", model, "--speaker", "1", "--mix", "1", "-o", "same.wav")
    assert ran.code == 0
    np.testing.assert_allclose(samples(Path("same.wav")), original(duet), atol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["two words.mp4", "наши голоса 声.mp4", "a'b\"c$(d).mp4", "12:30 [x]*.mp4", "{stem}.mp4"],
)
def test_any_file_name_will_do(run: Run, duet: Path, model: Path, name: str) -> None:
    source = duet.rename(duet.with_name(name))
    ran = run("separate", source, "-m", model, "--speaker", "1")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{source.stem}.1.wav\n"
    assert Path(f"{source.stem}.1.wav").is_file()


def test_name_template_chooses_the_kind(run: Run, duet: Path, model: Path) -> None:
    ran = run(
        "separate", duet, "-m", model, "--name", "voice {speaker} of {stem}.FLAC", "-o", "a/b"
    )
    folder = Path("a", "b")
    assert ran.out.splitlines() == [str(folder / f"voice {n} of duet.FLAC") for n in (1, 2)]
    assert soundfile.info(folder / "voice 1 of duet.FLAC").format == "FLAC"


def test_patterns_are_expanded(run: Run, duet: Path, model: Path) -> None:
    ran = run("separate", duet.parent / "d*t.mp4", "-m", model, "-n", "--speaker", "1")
    assert (ran.code, ran.out) == (0, "duet.1.wav\n")


def test_quiet_and_verbose(run: Run, duet: Path, model: Path) -> None:
    common = ("separate", duet, "-m", model, "-s", "1", "-f")
    assert run(*common, "-n", "-q").err == ""
    told = run(*common, "-v")
    assert [line.split(":")[1].strip() for line in told.errors] == [
        "Loading the model",
        "Looking for faces",
        "Measuring A/V offset",
        "Separating voices",
    ]
    assert told.out == "duet.1.wav\n"


def test_suffixes_are_of_sound_or_of_videos() -> None:
    from avse.scene import naming

    assert not set(SOUND_SUFFIXES) & set(CONTAINERS)
    assert set(naming.TRACK_SUFFIXES) <= set(CONTAINERS)


def whole(path: Path, track: int = 0) -> np.ndarray:
    with AudioReader(path, track=track) as sound:
        return np.concatenate([block.samples for block in sound], axis=-1)


def test_one_video_with_a_track_for_each_person(run: Run, duet: Path, model: Path) -> None:
    ran = run("separate", duet, "-m", model, "--tracks", "voices.mov", "--keep-original-audio")
    assert (ran.code, ran.err, ran.out) == (0, "", "voices.mov\n")
    assert [path.name for path in Path().iterdir()] == ["voices.mov"]
    tracks = probe(Path("voices.mov")).audio
    titles = ["Person 1", "Person 2", "Everything else", "Original"]
    assert [track.title for track in tracks] == titles
    assert [track.default for track in tracks] == [True, False, False, False]
    assert {track.codec for track in tracks[:3]} == {"pcm_s24le"}
    parts = [whole(Path("voices.mov"), number) for number in range(4)]
    np.testing.assert_allclose(sum(parts[:3]), parts[3], atol=1e-5)
    with av.open(str(duet)) as before, av.open("voices.mov") as after:
        pictures = [[bytes(packet) for packet in file.demux(video=0)] for file in (before, after)]
        assert pictures[0] == pictures[1]


def test_tracks_and_files_together(run: Run, duet: Path, model: Path) -> None:
    options = ("--tracks", "all.mkv", "--bits", "16", "--offscreen")
    ran = run("separate", duet, "-m", model, *options, "-o", "voices/", "--json")
    found = json.loads(ran.out)
    assert found["tracks"] == "all.mkv"
    assert len(found["stems"]) == 2
    tracks = probe(Path("all.mkv")).audio
    assert [track.title for track in tracks] == [
        "Person 1",
        "Person 2",
        "Off-screen speech",
        "Off-screen crowd",
        "Everything else",
    ]
    assert {(track.codec, track.bits_per_sample) for track in tracks} == {("flac", 16)}
    assert soundfile.info("voices/duet.1.wav").subtype == "PCM_16"
    assert np.array_equal(whole(Path("all.mkv")), whole(Path("voices/duet.1.wav")))


@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".opus"])
def test_lossy_files_of_voices_are_in_time(run: Run, duet: Path, model: Path, suffix: str) -> None:
    for name in ("a.wav", f"a{suffix}"):
        assert run("separate", duet, "-m", model, "-s", "2", "-o", name).code == 0
    exact, lossy = whole(Path("a.wav"))[0], whole(Path(f"a{suffix}"))[0]
    count = len(exact)
    assert count <= len(lossy) < count + 1024
    alike = [
        float(np.dot(exact[2000:-2000], lossy[2000 + late : count - 2000 + late]))
        for late in range(-1200, 1201)
    ]
    assert int(np.argmax(alike)) - 1200 == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-s", "1", "-o", "a.mp3", "--bits", "16"), ".wav or .flac"),
        (("-s", "1", "-o", "a.flac", "--bits", "32"), "--bits 24"),
        (("-s", "1", "-o", "a.mp4", "--bits", "24"), ".mov"),
        (("--tracks", "a.mp4", "--bits", "24"), ".mov"),
        (("--tracks", "a.webm"), "voices.mov"),
        (("--tracks", "a.wav"), "voices.mov"),
        (("--tracks", "nowhere/a.mkv"), "create it"),
        (("--tracks", "a.mkv", "--transcribe", "x"), "-o"),
        (("--tracks", "a.mkv", "-o", "a.mkv", "-s", "1"), "{speaker}"),
        (("--name", "{stem}.{speaker}.opus", "--bits", "16"), ".wav or .flac"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(
    run: Run, duet: Path, options: tuple[str, ...], says: str
) -> None:
    ran = run("separate", duet, "-m", "nowhere", *options)  # weights would be missed first
    assert ran.code in (1, 2)
    assert says in ran.errors[-1]
    assert "nowhere'" not in ran.err
    assert list(Path().iterdir()) == []


def test_options_stand_under_titles_the_needed_ones_first(run: Run) -> None:
    text = run("separate", "--help").out
    titles = ["Arguments:", "Most used:", "Output:", "People:", "Quality:", "Advanced:"]
    places = [text.index(f"\n{title}\n") for title in titles]
    assert places == sorted(places)
    most_used, output = text[places[1] : places[2]], text[places[2] : places[3]]
    assert all(name in most_used for name in ("--speaker", "--output", "--tracks", "--start"))
    assert all(name in output for name in ("--bits", "--report"))
    assert "--help" in text[places[5] :]
