from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avse.evaluation.items import ESTIMATE, MIXTURE, Mixture
from avse.evaluation.pairing import pair
from avse.evaluation.scoring import ScoringPlan, score_mixture, score_mixtures
from avse.evaluation.sounds import read_sound, write_sound
from avse.metrics import METRICS

from .conftest import RATE_HZ, Folders, as_sixteen_bit

QUICK = ScoringPlan(("si-sdr", "si-sdri", "stoi"), ceilings=False)


def mixtures(folders: Folders) -> tuple[Mixture, ...]:
    return pair(folders.estimates, folders.references, folders.mixtures).mixtures


def test_every_system_gets_its_scores(folders: Folders) -> None:
    result = score_mixture(mixtures(folders)[0], ScoringPlan())
    first, second = result.items
    assert (first.name, second.name, result.name) == ("talk0.1", "talk0.2", "talk0")
    assert set(first.scores) == {
        *(ESTIMATE, MIXTURE),
        *("magnitude-mask", "phase-sensitive-mask", "complex-mask"),
    }
    assert set(first.scores[ESTIMATE]) == set(METRICS)
    assert "si-sdri" not in first.scores[MIXTURE]
    values = {name: score.value for name, score in first.scores[ESTIMATE].items()}
    before = first.scores[MIXTURE]["si-sdr"].value
    assert values["si-sdr"] is not None
    assert before is not None
    assert values["si-sdri"] == pytest.approx(values["si-sdr"] - before)
    assert values["wrong-speaker"] == 0
    assert result.contrast.value is not None
    assert result.reference_contrast.value is not None
    assert result.contrast.value < result.reference_contrast.value
    assert first.lag is not None
    assert first.lag.samples == 0


def test_without_a_mixture_there_is_no_improvement(folders: Folders) -> None:
    (first, *_) = pair(folders.estimates, folders.references).mixtures
    item = score_mixture(first, ScoringPlan()).items[0]
    assert set(item.scores) == {ESTIMATE}
    assert "no mixture" in str(item.scores[ESTIMATE]["si-sdri"].reason)


def test_two_processes_say_what_one_says(folders: Folders) -> None:
    before = dict(os.environ)
    alone = sorted(score_mixtures(mixtures(folders), QUICK), key=lambda m: m.name)
    together = sorted(score_mixtures(mixtures(folders), QUICK, jobs=2), key=lambda m: m.name)
    for one, two in zip(alone, together, strict=True):
        assert one.name == two.name
        for x, y in zip(one.items, two.items, strict=True):
            assert (x.name, x.failure, set(x.scores)) == (y.name, y.failure, set(y.scores))
            for system, scores in x.scores.items():
                values = {name: score.value for name, score in scores.items()}
                again = {name: score.value for name, score in y.scores[system].items()}
                assert values == pytest.approx(again)  # sums depend on the number of threads
    assert dict(os.environ) == before


class Bomb:
    """Takes down the process that receives it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_a_worker_that_dies_costs_one_mixture(folders: Folders) -> None:
    good = mixtures(folders)
    bad = replace(good[1], name="bad", mixture=Bomb())  # type: ignore[arg-type]
    found = {m.name: m for m in score_mixtures([good[0], bad, good[2]], QUICK, jobs=2)}
    assert set(found) == {"talk0", "bad", "talk2"}
    assert found["talk0"].items[0].failure is None
    assert [item.failure for item in found["bad"].items] == [
        "the worker process died while scoring it"
    ] * 2


def test_lengths_are_repaired_only_on_request(folders: Folders) -> None:
    path = folders.estimates / "talk0.1.wav"
    sound, rate = read_sound(path)
    write_sound(path, np.pad(sound, (0, 5)), rate)
    item = score_mixture(mixtures(folders)[0], QUICK).items[0]
    assert "the lengths differ" in str(item.scores[ESTIMATE]["si-sdr"].reason)
    assert item.scores[MIXTURE]["si-sdr"].value is not None
    trimmed = score_mixture(mixtures(folders)[0], replace(QUICK, trim=True)).items[0]
    assert trimmed.trimmed == 5
    assert all(score.value is not None for score in trimmed.scores[ESTIMATE].values())


def test_a_late_estimate_is_reported_and_not_moved(folders: Folders) -> None:
    path = folders.estimates / "talk0.1.wav"
    sound, rate = read_sound(path)
    straight = score_mixture(mixtures(folders)[0], QUICK).items[0].scores[ESTIMATE]["si-sdr"]
    write_sound(path, np.roll(sound, 40), rate)
    item = score_mixture(mixtures(folders)[0], QUICK).items[0]
    assert item.lag is not None
    assert item.lag.samples == 40
    late = item.scores[ESTIMATE]["si-sdr"].value
    assert late is not None
    assert straight.value is not None
    assert late < straight.value - 3


def test_rates_have_to_agree(folders: Folders) -> None:
    path = folders.estimates / "talk0.2.wav"
    write_sound(path, read_sound(path)[0], 8000)
    item = score_mixture(mixtures(folders)[0], QUICK).items[1]
    assert item.failure is not None
    assert "the rates differ: 8000 Hz" in item.failure
    assert item.scores[ESTIMATE]["stoi"].value is None


def test_damage_is_a_failure_of_what_needs_it(folders: Folders, tmp_path: Path) -> None:
    (folders.references / "talk1.1.wav").write_bytes(b"no sound")
    (folders.estimates / "talk2.1.wav").write_bytes(b"no sound")
    results = {m.name: m for m in score_mixtures(mixtures(folders), QUICK)}
    assert results["talk0"].items[0].failure is None
    assert all(item.failure for item in results["talk1"].items)
    first, second = results["talk2"].items
    assert "talk2.1.wav" in str(first.failure)
    assert first.scores[MIXTURE]["si-sdr"].value is not None
    assert second.failure is None


def test_files_of_other_kinds(folders: Folders) -> None:
    as_sixteen_bit(folders.estimates / "talk0.1.wav")
    item = score_mixture(mixtures(folders)[0], QUICK).items[0]
    assert item.scores[ESTIMATE]["si-sdr"].value is not None
    stereo = folders.estimates / "talk0.2.wav"
    sound, _ = read_sound(stereo)
    write_sound(stereo, np.stack([sound, sound], axis=1), RATE_HZ)
    np.testing.assert_array_equal(read_sound(stereo)[0], sound)
