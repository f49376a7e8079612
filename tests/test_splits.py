"""One answer to who is tested on, whichever verb asks."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from avse.data.splits import SPLITS, TEST, TRAIN, VALID, split_of
from avse.errors import InputError, UsageError
from avse.mixtures.corpus import find_corpus
from avse.mixtures.plan import plan_set
from avse.mixtures.settings import SetSettings
from avse.prepare.running import prepare
from avse.prepare.settings import PrepareSettings
from tests.mixtures.made_clips import write_wav

SOUND = PrepareSettings(sound_only=True)
MIX = SetSettings(video=False, count=3)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip each of people named as those of GRID."""
    root = tmp_path_factory.mktemp("grid")
    for n in range(1, 35):
        noise = 0.1 * np.random.default_rng(n).standard_normal(16_000)
        write_wav(root / f"s{n}" / "bbaf2n.wav", noise.astype(np.float32))
    return root


def divided(pack: Path) -> dict[str, str]:
    rows = map(json.loads, (pack / "clips.jsonl").read_text().splitlines())
    return {row["person"]: row["split"] for row in rows}


def test_shares_are_kept_and_larger_ones_hold_smaller_ones() -> None:
    names = [f"person {n}" for n in range(5000)]
    counts = Counter(map(split_of, names))
    assert 430 < counts[TEST] < 570
    assert 430 < counts[VALID] < 570
    few = {n for n in names if split_of(n, test_share=0.05) == TEST}
    many = {n for n in names if split_of(n, test_share=0.3) == TEST}
    assert few < {n for n in names if split_of(n) == TEST} < many
    assert {split_of(n, test_share=1, valid_share=0) for n in names} == {TEST}
    assert {split_of(n, test_share=0, valid_share=0) for n in names} == {TRAIN}


@pytest.mark.parametrize("layout", ["auto", "folders", "grid"])
def test_a_pack_and_a_test_set_have_everybody_in_the_same_split(
    voices: Path, tmp_path: Path, layout: str
) -> None:
    prepare([voices], tmp_path / "pack", PrepareSettings(sound_only=True, layout=layout))
    mine = divided(tmp_path / "pack")
    for split in SPLITS[:3]:
        theirs = set(find_corpus(voices, "any", split, pictures=False).people())
        assert theirs == {person for person, part in mine.items() if part == split}
    assert {person for person, split in mine.items() if split == TEST} == {"s3", "s13", "s17"}


def test_a_set_can_take_its_people_from_a_pack(voices: Path, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    held_out = ("s1", "s2", "s5")
    made = prepare(
        [voices], pack, PrepareSettings(sound_only=True, test_share=0, hold_out=held_out)
    )
    assert any("--pack" in warning for warning in made.warnings)
    plan = plan_set(voices, MIX, pack=pack)
    assert plan.manifest.split == TEST
    people = {source.speaker for item in plan.manifest.items for source in item.sources}
    assert people <= set(held_out)
    with pytest.raises(UsageError, match="casia-grid"):
        plan_set(voices, SetSettings(protocol="casia-grid", video=False), pack=pack)
    with pytest.raises(InputError, match="not a pack"):
        plan_set(voices, MIX, pack=voices)
    (pack / "clips.jsonl").write_text('{"path": 3, "person": "s1", "split": "test"}')
    with pytest.raises(InputError, match="path must be text"):
        plan_set(voices, MIX, pack=pack)


def test_a_pack_of_an_older_version_keeps_its_people_where_they_were(
    voices: Path, tmp_path: Path
) -> None:
    pack = tmp_path / "pack"
    prepare([voices], pack, SOUND)
    rows = [json.loads(line) for line in (pack / "clips.jsonl").read_text().splitlines()]
    older = {row["person"]: SPLITS[n % 3] for n, row in enumerate(rows[:-1])}
    for row in rows[:-1]:
        row["split"] = older[row["person"]]
    (pack / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    report = json.loads((pack / "report.json").read_text())
    del report["split_rule"]
    (pack / "report.json").write_text(json.dumps(report))
    for _ in range(2):  # and the second time, although the report is new by then
        made = prepare([voices], pack, SOUND)
        now = divided(pack)
        assert {person: now[person] for person in older} == older
        assert now[rows[-1]["person"]] == split_of(rows[-1]["person"])
        assert any("older avse" in warning for warning in made.warnings)
    prepare([voices], pack, PrepareSettings(sound_only=True, hold_out=("s9",)))
    assert divided(pack) == {**now, "s9": TEST}
    prepare([voices], pack, SOUND, force=True)
    assert divided(pack) == {person: split_of(person) for person in now}
