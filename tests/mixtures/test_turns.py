"""People who take turns: who waits is silent and keeps still, and the set says who speaks when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avse.diarization.texts import read_rttm
from avse.errors import UsageError
from avse.media import read_frames
from avse.mixtures.manifest import parse_manifest
from avse.mixtures.plan import plan_set
from avse.mixtures.rendering import make_set
from avse.mixtures.settings import SetSettings

from .made_clips import pcm


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_each_is_silent_and_still_but_for_their_turn(
    people: Path, tmp_path: Path, share: float
) -> None:
    plan = plan_set(people, SetSettings(count=2, turns=share))
    made = make_set(plan, tmp_path / "set", clips=people)
    assert made.failures == ()
    for item in plan.manifest.items:
        assert item.picture is not None
        length = item.excerpt(item.samples, item.sample_rate)
        assert sorted(item.onset(n, item.sample_rate) for n in (0, 1))[0] == 0
        assert item.samples == pytest.approx((2 - share) * length, abs=item.sample_rate / 25)
        mixture = pcm(tmp_path / "set" / item.outputs.mixture)
        frames = [f.image for f in read_frames(tmp_path / "set" / str(item.outputs.video))]
        assert len(frames) == item.picture.frames
        total = np.zeros_like(mixture)
        left = 0
        for n, path in enumerate(item.outputs.references):
            voice = pcm(tmp_path / "set" / path)
            onset = item.onset(n, item.sample_rate)
            assert not voice[:onset].any()
            assert not voice[onset + length :].any()
            assert voice[onset : onset + length].std() > 0
            total = total + voice
            first = item.onset(n, 25)
            stop = first + item.excerpt(len(frames), 25)
            part = [f[:, left : left + item.picture.widths[n]].astype(int) for f in frames]
            for early in part[:first]:
                assert np.abs(early - part[first]).mean() < 3
            for late in part[stop:]:
                assert np.abs(late - part[stop - 1]).mean() < 3
            left += item.picture.widths[n]
        np.testing.assert_allclose(total, mixture, atol=1e-6)


def test_the_set_says_who_speaks_when(people: Path, tmp_path: Path) -> None:
    plan = plan_set(people, SetSettings(count=2, turns=0.0, video=False))
    make_set(plan, tmp_path / "set", clips=people)
    for item in plan.manifest.items:
        text = (tmp_path / "set" / str(item.outputs.activity)).read_text(encoding="ascii")
        spoken = read_rttm(text)
        for n in range(2):
            first, last = spoken[f"person{n + 1}"][0], spoken[f"person{n + 1}"][-1]
            onset = item.sources[n].onset_s
            assert first.start == pytest.approx(onset, abs=0.05)
            assert last.stop == pytest.approx(onset + item.excerpt(item.samples, 16_000) / 16_000)


def test_a_manifest_with_turns_is_read_as_it_was_written(people: Path) -> None:
    plan = plan_set(people, SetSettings(count=1, turns=0.3))
    assert parse_manifest(plan.manifest.text(), "set") == plan.manifest
    assert plan.manifest.settings["turns"] == 0.3


def test_without_turns_nothing_is_added_to_manifests(people: Path) -> None:
    text = plan_set(people, SetSettings(count=1)).manifest.text()
    assert not any(word in text for word in ("turns", "onset", "activity"))


def test_shares_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="turns"):
        SetSettings(turns=1.5)
