"""Results as data, as a table and as a page."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avse.errors import InputError, OutputExistsError
from avse.evaluation.comparison import compare
from avse.evaluation.evaluation import Judged, Request, judge_folders
from avse.evaluation.report import make_examples, pick_examples, render, write_all
from avse.evaluation.results import as_csv, as_json, read_results
from avse.evaluation.scoring import ScoringPlan
from avse.evaluation.sounds import read_sound, write_sound
from avse.metrics import METRICS
from avse.scene.scene import no_progress

from .conftest import Folders, fill

COMMAND = ("avse", "evaluate", "--estimates", "<b>&")


def judge(folders: Folders, **more: Any) -> Judged:
    request = Request(command=COMMAND, **more)
    return judge_folders(
        folders.estimates, folders.references, folders.mixtures, request, no_progress
    )


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """With one silent answer, one late one, one that is missing and one too many."""
    folders = fill(tmp_path_factory.mktemp("judged"))
    for name, change in (
        ("talk0.1", lambda x: 0 * x),
        ("talk1.1", lambda x: np.roll(x, 160)),
    ):
        path = folders.estimates / f"{name}.wav"
        write_sound(path, change(read_sound(path)[0]), 16_000)
    (folders.estimates / "talk2.2.wav").rename(folders.estimates / "stray.wav")
    return judge(folders)


def test_results(judged: Judged) -> None:
    results = judged.results
    assert results["counts"] == {
        "mixtures": 3,
        "items": 6,
        "scored": 4,
        "undefined": 1,
        "failed": 1,
    }
    assert list(results["summary"]["estimate"]) == list(METRICS)
    si_sdr = results["summary"]["estimate"]["si-sdr"]
    assert (si_sdr["scored"], si_sdr["undefined"]) == (4, 2)
    assert si_sdr["low"] < si_sdr["mean"] < si_sdr["high"]
    assert si_sdr["reasons"] == {
        "not defined, because the estimate is silent": 1,
        "not defined, because there is no estimate": 1,
    }
    assert results["unmatched"]["estimates"] == ["stray"]
    assert results["unmatched"]["references"] == ["talk2.2"]
    assert results["alignment"]["out_of_step"] == 1
    assert results["alignment"]["worst"] == [{"name": "talk1.1", "lag_ms": 10.0}]
    assert results["versions"]["pesq"] != "not installed"
    json.loads(as_json(results))


def test_table(judged: Judged) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(judged.results))))
    assert len(rows) == 6 * 5
    by = {(row["name"], row["system"]): row for row in rows}
    assert by["talk0.1", "estimate"]["si-sdr"] == ""
    assert "silent" in by["talk0.1", "estimate"]["reasons"]
    assert by["talk2.2", "estimate"]["failure"] == "there is no estimate"
    assert by["talk2.2", "mixture"]["si-sdr"] != ""
    assert float(by["talk1.1", "estimate"]["lag_ms"]) == 10
    item = next(i for i in judged.results["items"] if i["name"] == "talk1.2")
    assert float(by["talk1.2", "estimate"]["sdr"]) == item["scores"]["estimate"]["sdr"]


class Page(HTMLParser):
    """Counts tags, collects addresses and ids, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "data", "poster", "srcset", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_needs_nothing_else(judged: Judged) -> None:
    page = render(judged.results, make_examples(judged.results, judged.mixtures))
    found = Page(page)
    assert found.tags["audio"] == 9
    assert found.tags["img"] == 9
    assert found.tags["svg"] == 2
    assert {"script", "link", "iframe", "object"}.isdisjoint(found.tags)
    assert all(address.startswith(("data:", "#")) for address in found.addresses)
    bare = re.sub(r"data:[a-z/]+;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//\w|@import", bare)
    assert all(a.startswith("#") for a in re.findall(r"url\(([^)]*)\)", bare))
    assert len(set(found.ids)) == len(found.ids)
    for target in re.findall(r'(?:url\(|href=")#([^)"]+)', bare):
        assert target in found.ids


def test_page_says_what_matters(judged: Judged) -> None:
    text = Page(render(judged.results)).text
    for part in (
        *(metric.title for metric in METRICS.values()),
        "avse evaluate --estimates '<b>&'",
        "4 scored, 1 not defined, 1 failed",
        "1 of 6 voices failed: they have no usable estimate",
        "1 estimates are out of step",
        "the estimate is silent",
        "oracle phase-sensitive mask",
        "95 % interval",
        "stray",
    ):
        assert part in text


def test_same_results_same_page(judged: Judged) -> None:
    pages = {
        render(judged.results, make_examples(judged.results, judged.mixtures)) for _ in range(2)
    }
    assert len(pages) == 1


def test_examples_are_best_median_and_worst(judged: Judged) -> None:
    chosen = pick_examples(judged.results)
    assert [label for label, *_ in chosen] == ["best", "median", "worst"]
    values = [value for *_, value in chosen]
    assert values == sorted(values, reverse=True)
    assert {metric for _, _, metric, _ in chosen} == {"si-sdri"}


def test_page_without_anything_scored(folders: Folders) -> None:
    for path in folders.estimates.iterdir():
        write_sound(path, np.zeros(10, np.float32), 16_000)
    judged = judge(folders)
    page = render(judged.results, make_examples(judged.results, judged.mixtures))
    assert "<audio" not in page
    assert "the lengths differ" in page


def test_files(judged: Judged, tmp_path: Path) -> None:
    write_all(tmp_path, judged.results, judged.mixtures, overwrite=False)
    assert read_results(tmp_path / "results.json") == json.loads(as_json(judged.results))
    with pytest.raises(OutputExistsError):
        write_all(tmp_path, judged.results, judged.mixtures, overwrite=False)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "items.csv",
        "report.html",
        "results.json",
    ]
    (tmp_path / "other.json").write_text('{"format": "avse-evaluation-0"}')
    for name in ("other.json", "none.json", "items.csv"):
        with pytest.raises(InputError):
            read_results(tmp_path / name)


def test_names_that_are_no_text(folders: Folders, tmp_path: Path) -> None:
    for folder in (folders.estimates, folders.references):
        (folder / "talk0.1.wav").rename(folder / "talk\udcff.wav")
    judged = judge(folders, plan=ScoringPlan(("si-sdr",), ceilings=False))
    write_all(tmp_path, judged.results, judged.mixtures, overwrite=False)
    assert b"talk\xff" in (tmp_path / "items.csv").read_bytes()
    names = {item["name"] for item in read_results(tmp_path / "results.json")["items"]}
    assert "talk\udcff" in names


def test_results_name_no_folder_of_this_machine(folders: Folders, tmp_path: Path) -> None:
    (folders.estimates / "talk0.1.wav").write_bytes(b"no sound")
    (folders.references / "talk1.1.wav").write_bytes(b"no sound")
    request = Request(
        ScoringPlan(("si-sdr",), ceilings=False),
        command=("avse", "evaluate", "--estimates", str(folders.estimates), f"-o={tmp_path}/x y"),
        transcriber=f"{shutil.which('false')} {tmp_path}/words.py {{}}",
    )
    judged = judge_folders(folders.estimates, folders.references, None, request, no_progress)
    write_all(tmp_path, judged.results, judged.mixtures, overwrite=False)
    for name in ("report.html", "items.csv", "results.json"):
        text = (tmp_path / name).read_text()
        assert "talk0.1.wav" in text
        assert str(folders.estimates.parent) not in text
        assert str(tmp_path) not in text
    assert judged.results["command"][3:] == [folders.estimates.name, "-o=x y"]


def test_comparison_is_paired(folders: Folders) -> None:
    plan = ScoringPlan(("si-sdr", "si-sdri"), ceilings=False)
    before = judge(folders, plan=plan).results
    for path in folders.estimates.iterdir():
        sound, rate = read_sound(path)
        clean, _ = read_sound(folders.references / path.name)
        write_sound(path, clean + 0.5 * (sound - clean), rate)
    silent = folders.estimates / "talk0.1.wav"
    write_sound(silent, 0 * read_sound(silent)[0], 16_000)
    after = judge(folders, plan=plan).results
    found = compare(after, before, "before")
    si_sdr = found["metrics"]["si-sdr"]
    assert (si_sdr["paired"], si_sdr["only_this_scored"], si_sdr["only_other_scored"]) == (5, 0, 1)
    assert si_sdr["mean_difference"] == pytest.approx(6.02, abs=0.2)
    assert 5.5 < si_sdr["low"] <= si_sdr["mean_difference"] <= si_sdr["high"] < 6.5
    assert found["same_manifest"] is None
    after["comparison"] = found
    assert "Compared with before" in render(after)
    with pytest.raises(InputError, match="no item in common"):
        compare(after, {**before, "items": []}, "nothing")
