from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from avse.errors import InputError, OutputExistsError
from avse.mixtures.manifest import (
    Item,
    ItemSource,
    Manifest,
    Noise,
    Outputs,
    Picture,
    parse_manifest,
    read_manifest,
    write_manifest,
)


def item(number: int = 1, *, noise: bool = False, video: bool = True) -> Item:
    name = f"{number:05d}"
    return Item(
        id=name,
        sources=(
            ItemSource("s1/ä b.mpg", "s1", 0, -1.5, "0" * 64),
            ItemSource("s2/x\udcff.mpg", "s2", 0.04, 2),
        ),
        noise=Noise("street.wav", 1.25, -12) if noise else None,
        sir_db=(1, -1),
        snr_db=5 if noise else None,
        sample_rate=16_000,
        samples=48_000,
        seed=number,
        picture=Picture(25, 75, 288, (360, 240)) if video else None,
        outputs=Outputs(
            f"mixtures/{name}.wav",
            (f"references/{name}.1.wav", f"references/{name}.2.wav"),
            f"noise/{name}.wav" if noise else None,
            f"videos/{name}.mkv" if video else None,
        ),
    )


MANIFEST = Manifest("any", "test", 3, {"sir_db": [-5.0, 5.0]}, (item(1, noise=True), item(2)))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, MANIFEST)
    read = read_manifest(tmp_path)
    assert read == read_manifest(path) == MANIFEST
    assert read.sha256 == MANIFEST.sha256
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.jsonl"]
    first, *lines = path.read_text(encoding="ascii").splitlines()
    header = json.loads(first)
    assert header["avse-mixtures"] == 1
    assert header["sha256"] == MANIFEST.sha256
    assert [json.loads(line)["id"] for line in lines] == ["00001", "00002"]


def test_lines_may_end_as_on_other_systems(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(MANIFEST.text().replace("\n", "\r\n").encode())
    assert read_manifest(path) == MANIFEST


def test_an_existing_manifest_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, MANIFEST)
    other = dataclasses.replace(MANIFEST, seed=4)
    with pytest.raises(OutputExistsError):
        write_manifest(path, other)
    write_manifest(path, other, overwrite=True)
    assert read_manifest(path) == other


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "list"},
        {"split": "all"},
        {"seed": 4},
        {"settings": {}},
        {"items": MANIFEST.items[:1]},
    ],
)
def test_every_change_changes_the_hash(change: dict[str, object]) -> None:
    assert dataclasses.replace(MANIFEST, **change).sha256 != MANIFEST.sha256


def test_centres_of_parts() -> None:
    picture = Picture(25, 75, 288, (360, 240))
    assert (picture.width, picture.centre(0), picture.centre(1)) == (600, 0.3, 0.8)


def changed(old: str, new: str, line: int = 3) -> str:
    lines = MANIFEST.text().splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "m, line 1 is not JSON"),
        ("RIFF", "m, line 1 is not JSON"),
        ("[]", "line 1 is not an object"),
        ('{"a": 1}\n', "not a manifest of `avse mix`"),
        (changed('"avse-mixtures": 1', '"avse-mixtures": 2', 1), "version 2"),
        (changed('"seed": 3', '"seed": -3', 1), "seed must be a whole number >= 0"),
        (changed('"seed": 3', '"seed": true', 1), "seed must be a whole number"),
        (changed('"seed": 3', '"sed": 3', 1), "unknown key 'sed' (did you mean 'seed'?)"),
        (changed('"sha256": "', '"sha256": "x', 1), "sha256 must be text matching"),
        (changed('"seed": 3', '"seed": 3, "more": 1', 1), "line 1: has an unknown key 'more'"),
        (MANIFEST.text().rsplit("\n", 2)[0], "cut short: 1 items of 2"),
        (MANIFEST.text()[:-40], "line 3 is not JSON"),
        (changed("-1.5", "-1.6"), "was changed after it was written"),
        (changed("-1.5", "NaN"), "NaN is not a number"),
        (changed("-1.5", '"-1.5"'), "line 3: sources[0].gain_db must be a number (not '-1.5')"),
        (changed("-1.5", "1e999"), "sources[0].gain_db "),
        (changed('"start_s": 0.0', '"start_s": -1'), "sources[0].start_s must be a number >= 0"),
        (changed('"speaker": "s2"', '"speaker": "s2", "more": 1'), "unknown key 'more'"),
        (changed('"speaker": "s2"', '"speaker": "s1"'), "sources must be of different speakers"),
        (changed('"path": "s1/', '"path": "/s1/'), "must stay below its folder"),
        (changed('"path": "s1/', '"path": "../s1/'), "must stay below its folder"),
        (changed('"id": "00002"', '"id": "../2"'), "id must be text matching"),
        (changed('"id": "00002"', '"id": "00001"'), "the id 00001 is used twice"),
        (changed("mixtures/00002.wav", "mixtures/00001.wav"), "mixtures/00001.wav is used twice"),
        (changed("videos/00002.mkv", "../00002.mkv"), "must stay below its folder"),
        (
            changed('"sir_db": [1.0, -1.0]', '"sir_db": [1.0]'),
            "sir_db must have one value for each",
        ),
        (changed('"snr_db": null', '"snr_db": 3.0'), "noise must come with snr_db"),
        (changed('"widths": [360, 240]', '"widths": [360]'), "widths must have one value for each"),
        (changed('"samples": 48000', '"samples": 0'), "samples must be a whole number >= 1"),
        (changed('"noise": null', '"nois": null'), "unknown key 'nois'"),
        (changed("-1.5", "9" * 400), "sources[0].gain_db "),
        (changed("-1.5", "1e9"), "sources[0].gain_db "),
        (changed("-1.5", "9" * 5000), "line 3 is not JSON"),
        (changed("-1.5", "[" * 100_000), "nested too deeply"),
        (
            changed('"samples": 48000', '"samples": 48000000000000'),
            "samples must be a whole number <=",
        ),
        (changed('"sample_rate": 16000', '"sample_rate": 1000000000'), "sample_rate must be"),
        (
            changed('"widths": [360, 240]', '"widths": [360, 1e9]'),
            "widths[1] must be a whole number",
        ),
        (changed('"path": "s1/', '"path": "\\ud800/'), "must stay below its folder"),
        (changed('"settings": {', '"settings": {"a": ' + "[" * 980 + "]" * 980 + ", ", 1), "m"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        parse_manifest(text, "m")
    assert caught.value.hint


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not text"):
        read_manifest(tmp_path)


def test_an_invalid_set_is_not_written(tmp_path: Path) -> None:
    twice = Manifest("any", "all", 0, {}, (item(1), item(1)))
    with pytest.raises(InputError, match="used twice"):
        write_manifest(tmp_path / "manifest.jsonl", twice)
    assert list(tmp_path.iterdir()) == []
