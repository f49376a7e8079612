"""Parts in a batch: another part is other work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from avse.batch.request import Request
from avse.batch.worker import Probed, ProbeTask, look_into
from avse.errors import UsageError
from tests.cli.conftest import DUET

from .fake import REQUEST
from .program import avse


def _wanted(**part: float) -> Request:
    return replace(REQUEST, settings=replace(REQUEST.settings, **part))


def _digest(**part: float) -> str:
    return _wanted(**part).digest()


def _probed(**part: float) -> Probed:
    return look_into(ProbeTask(str(DUET), _wanted(**part)))


def test_the_part_belongs_to_the_key_of_what_is_done() -> None:
    digests = [_digest(), _digest(start=1.0), _digest(end=2.0), _digest(start=1.0, end=2.0)]
    assert len(set(digests)) == 4
    assert _digest() == REQUEST.digest()
    assert _digest(start=1.0) == _digest(start="0:01")  # type: ignore[arg-type]


def test_manifests_from_before_there_were_parts_still_hold() -> None:
    assert "start" not in _fields_digested()


def _fields_digested() -> str:
    import json
    from unittest.mock import patch

    with patch("avse.batch.request.json.dumps", side_effect=json.dumps) as dumps:
        REQUEST.digest()
    return str(dumps.call_args.args[0]["settings"].keys())


def test_a_probe_sees_the_part() -> None:
    whole = _probed()
    part = _probed(start=1, end=3)
    assert part.media_s == 2.0
    assert part.bytes == pytest.approx(whole.bytes * 2 / (whole.media_s or 0), abs=1)
    with pytest.raises(UsageError, match="after the end"):
        _probed(start=10)


def test_a_part_that_no_recording_has_is_refused_at_once(tmp_path: Path) -> None:
    ran = avse("batch", DUET, "-o", tmp_path / "out", "--start", "0:05", "--end", "4")
    assert ran.returncode == 2
    assert "the part ends at 0:04, but starts at 0:05" in ran.stderr
    assert not (tmp_path / "out").exists()
