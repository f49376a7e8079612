"""The report of a pack, as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from avse.data.pack import CONFIDENT
from avse.data.splits import TEST, TRAIN, VALID
from avse.prepare.filters import Dropped
from avse.prepare.settings import VERSION, PrepareSettings
from avse.prepare.shards import Shard, ShardClip

_PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
_FLAGS = {
    "seconds": "length, s",
    "level_db": "level of loud parts, dB",
    "clipped": "clipped share",
    "silence": "share of silence",
    "band_hz": "band limit, Hz",
    "seen": "share of frames with lips",
    "faces": "faces",
    "eyes_px": "eye distance, pixels",
}


def make_report(
    layout: str,
    clips: Sequence[ShardClip],
    dropped: Sequence[Dropped],
    shards: Sequence[Shard],
    settings: PrepareSettings,
    warnings: Iterable[str],
) -> dict[str, object]:
    """Make the content of `report.json`; the same clips and settings give the same report."""
    people = Counter((c.source.corpus, c.person, c.split) for c in clips)
    seconds = _seconds(clips)
    corpora = sorted({c.source.corpus for c in clips})
    reasons = Counter(d.reason for d in dropped)
    report: dict[str, object] = {
        "version": VERSION,
        "layout": layout,
        "settings": asdict(settings),
        "clips": len(clips),
        "hours": round(seconds / 3600, 4),
        "people": len({key[:2] for key in people}),
        "labelled": all(c.source.person is not None for c in clips),
        "parts": [
            _part(
                corpus, split, [c for c in clips if (c.source.corpus, c.split) == (corpus, split)]
            )
            for corpus in corpora
            for split in (TRAIN, VALID, TEST)
        ],
        "person_clips": [
            {"corpus": corpus, "person": person, "split": split, "clips": count}
            for (corpus, person, split), count in sorted(
                people.items(), key=lambda i: (-i[1], i[0])
            )
        ],
        "dropped": dict(sorted(reasons.items())),
        "quality": {
            name: {str(q): round(float(np.percentile(values, q)), 5) for q in _PERCENTILES}
            for name in _FLAGS
            if (
                values := [
                    c.result.measured.flags[name] for c in clips if name in c.result.measured.flags
                ]
            )
        },
        "shards": [asdict(shard) for shard in shards],
        "warnings": list(warnings),
    }
    if not settings.sound_only:
        sure = [c for c in clips if c.confidence >= CONFIDENT]
        report["delays"] = {
            "confidence_asked": CONFIDENT,
            "sure": len(sure),
            "frames_sure": _histogram(sure),
            "frames_all": _histogram(clips),
        }
    return report


def report_text(report: dict[str, object]) -> str:
    """Format the report as text; it ends with a line feed."""
    lines = [
        f"{report['clips']} clips, {report['hours']} hours, {report['people']} people"
        + ("" if report["labelled"] else " (clustered by face and voice: check people.png)"),
        f"layout: {report['layout']}",
        "",
        "corpus          split   clips  people    hours",
    ]
    lines += [
        f"{part['corpus']:<15} {part['split']:<6} {part['clips']:>6} {part['people']:>7} "
        f"{part['hours']:>8.3f}"
        for part in _rows(report["parts"])
    ]
    dropped = report["dropped"]
    assert isinstance(dropped, dict)
    lines += ["", "dropped: " + (", ".join(f"{k} {v}" for k, v in dropped.items()) or "nothing")]
    quality = report["quality"]
    assert isinstance(quality, dict)
    heads = "".join(
        f"{head:>9}" for head in ("least", "5 %", "25 %", "50 %", "75 %", "95 %", "most")
    )
    lines += ["", f"{'quality':<26}{heads}"]
    for name, title in _FLAGS.items():
        if name in quality:
            cells = "".join(f"{value:>9.4g}" for value in quality[name].values())
            lines.append(f"{title:<26}{cells}")
    delays = report.get("delays")
    if isinstance(delays, dict):
        lines += ["", f"sound late by frames of 40 ms, {delays['sure']} confident clips:"]
        lines += ["  " + ", ".join(f"{late}: {n}" for late, n in delays["frames_sure"].items())]
    lines += ["", "clips of each person (the largest 60):"]
    lines += [
        f"  {row['clips']:>5}  {row['split']:<6} {row['corpus']}/{row['person']}"
        for row in _rows(report["person_clips"])[:60]
    ]
    warnings = report["warnings"]
    assert isinstance(warnings, list)
    lines += ["", *(f"warning: {warning}" for warning in warnings)] if warnings else []
    return "\n".join(lines) + "\n"


def _part(corpus: str, split: str, clips: Sequence[ShardClip]) -> dict[str, object]:
    return {
        "corpus": corpus,
        "split": split,
        "clips": len(clips),
        "people": len({c.person for c in clips}),
        "hours": round(_seconds(clips) / 3600, 4),
    }


def _seconds(clips: Sequence[ShardClip]) -> float:
    return sum(c.result.measured.flags["seconds"] for c in clips)


def _histogram(clips: Sequence[ShardClip]) -> dict[str, int]:
    return {str(late): n for late, n in sorted(Counter(c.delay for c in clips).items())}


def _rows(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value
