"""Reports of a separation beside its outputs: as JSON, and as text for people.

Both have the same content, without absolute paths. Except for the time, they are the same if the
separation is repeated on the same machine.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avse import __version__
from avse.errors import UsageError
from avse.media.atomic_files import place_text
from avse.scene.naming import StemKey
from avse.settings import Settings
from avse.utils.clock import clock
from avse.utils.fingerprint import sha256
from avse.utils.shipped import find, verify

if TYPE_CHECKING:
    from avse.scene.scene import Scene
    from avse.separation.separator import OutOfSight
    from avse.sync.result import Sync

FORMAT = "avse-report-1"

STATEMENT = (
    "The voices were computed, not recorded. A neural network watched the lips of the people in "
    "the picture and chose, for each of them, which share of the original sound to keep at each "
    "moment and frequency. Masks like these can remove words that were said, leave in words of "
    "others, and make sounds that nobody made. The files are therefore no evidence that something "
    "was not said, or of who said it. The original recording is what counts."
)

_WIDTH = 96
_PATHS = ("model", "offscreen_model", "people")


def sidecar_paths(output: Path) -> tuple[Path, Path]:
    """Paths of the reports of an output: STEM.avse.json and STEM.avse.txt."""
    return output.with_name(f"{output.stem}.avse.json"), output.with_name(f"{output.stem}.avse.txt")


def describe(
    scene: Scene,
    settings: Settings,
    outputs: Mapping[Path, str],
    *,
    asked: Mapping[str, object],
    sync: Sync | None,
    out_of_sight: Mapping[StemKey, Sequence[OutOfSight] | None],
    warnings: Sequence[str],
    device: str,
    runtime: str,
    offscreen: bool = False,
) -> dict[str, Any]:
    """Make the report of a separation.

    Args:
        scene: the recording and its people.
        settings: settings of the separation.
        outputs: path of each output -> description of its content.
        asked: other choices of the user, by name.
        sync: the A/V offset; None if it was not measured.
        out_of_sight: stem -> `Separation.out_of_sight`.
        warnings: warnings that the user got.
        device: where the networks that separate ran.
        runtime: what computed them; see `avse.inference.networks.SeparationNetwork`.
        offscreen: whether off-screen speech has its own outputs.

    Returns:
        A table for JSON. The time is the current one, or SOURCE_DATE_EPOCH in the environment.

    Raises:
        OSError: a file cannot be read.
        UsageError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    info, audio = scene.info, scene.audio
    chosen = dataclasses.asdict(settings)
    for name in _PATHS:
        chosen[name] = None if chosen[name] is None else Path(chosen[name]).name
    models = {"separation of voices": settings.model}
    if settings.carry or settings.enrol or offscreen:
        models["voices of people out of sight"] = settings.offscreen_model
    return {
        "format": FORMAT,
        "created": _now(),
        "statement": STATEMENT,
        "software": {
            "avse": __version__,
            "python": platform.python_version(),
            "runtime": runtime,
            "onnxruntime": version("onnxruntime"),
            "av": version("av"),
            "numpy": version("numpy"),
            "system": f"{platform.system()} {platform.machine()}",
            "device": device,
        },
        "weights": [
            {"for": use, "name": Path(model).name, "sha256": verify(*find(model))}
            for use, model in models.items()
        ],
        "input": {
            **_file(info.path),
            "duration_s": None if info.duration is None else round(float(info.duration), 3),
            "sound_track": scene.track,
            "sample_rate": None if audio is None else audio.sample_rate,
            "channels": None if audio is None else audio.channels,
        },
        "settings": chosen,
        "asked": dict(asked),
        "offset": None
        if sync is None
        else {**sync.as_json(), "corrected": sync.out_of_step, "in_words": sync.describe()},
        "people": [
            {
                "number": person.number,
                "name": person.name,
                "seconds_in_sight": round(person.seconds_on_screen, 2),
                "still_picture": person.still,
                "asked_for": person.number in out_of_sight,
                "out_of_sight": _absences(out_of_sight.get(person.number)),
            }
            for person in scene.people
        ],
        "outputs": [{**_file(path), "holds": what} for path, what in outputs.items()],
        "warnings": list(warnings),
    }


def as_text(about: Mapping[str, Any]) -> str:
    """The same for people to read, as plain text."""
    source, soft = about["input"], about["software"]
    lines = [
        f"Report on the separation of voices in {source['name']}",
        "",
        f"Made by avse {soft['avse']} at {about['created']}.",
        "",
        *_wrapped(about["statement"]),
    ]
    length = "unknown length" if source["duration_s"] is None else clock(source["duration_s"])
    lines += _section("The recording", [f"{source['name']}, {length}", *_hash(source)])
    lines += _section(
        "What was written",
        [line for file in about["outputs"] for line in _output(file)],
    )
    lines += _section("The people", [line for one in about["people"] for line in _person(one)])
    offset = about["offset"]
    said = "It was not measured." if offset is None else _sentence(offset["in_words"])
    if offset is not None and offset["corrected"]:
        said += " The lips were moved to their sound before the voices were computed."
    lines += _section("Whether sound and picture are in step", _wrapped(said))
    warned = [line for text in about["warnings"] for line in _wrapped(f"- {text}", "  ")]
    lines += _section("Warnings", warned or ["None."])
    weights = [
        line
        for one in about["weights"]
        for line in (f"Weights for the {one['for']}: {one['name']}", *_hash(one))
    ]
    made_by = ", ".join(f"{name} {value}" for name, value in soft.items() if name != "avse")
    lines += _section("How it was done", [*weights, *_wrapped(f"Software: {made_by}")])
    settings = {**about["settings"], **about["asked"]}
    lines += _section("Settings", [f"{name} = {_plain(value)}" for name, value in settings.items()])
    return "\n".join(lines) + "\n"


def write_sidecar(about: Mapping[str, Any], paths: Sequence[Path], *, overwrite: bool) -> None:
    """Write both files.

    Args:
        about: see `describe`.
        paths: see `sidecar_paths`.
        overwrite: replace files that exist.

    Raises:
        OutputExistsError, OutputError: they cannot be written.
    """
    for_programs, for_people = paths
    text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    place_text(for_programs, text, overwrite=overwrite)
    place_text(for_people, as_text(about), overwrite=overwrite)


def _now() -> str:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        time = datetime.now(UTC) if not given else datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"SOURCE_DATE_EPOCH={given} is not a number of seconds", "unset it, or give one"
        ) from error
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


def _absences(stretches: Sequence[OutOfSight] | None) -> list[dict[str, float | None]] | None:
    if stretches is None:
        return None
    return [
        {
            "start_s": round(lost.start, 2),
            "end_s": round(lost.stop, 2),
            "guessed_s": lost.heard_s,
            "confidence": None if lost.confidence is None else round(lost.confidence, 2),
        }
        for lost in stretches
    ]


def _person(one: Mapping[str, Any]) -> list[str]:
    name = f" ({one['name']})" if one["name"] else ""
    asked = "" if one["asked_for"] else "; not separated"
    still = "; a still picture, without a voice" if one["still_picture"] else ""
    lines = [
        f"Person {one['number']}{name}: {one['seconds_in_sight']:.1f} s in sight{still}{asked}"
    ]
    for lost in one["out_of_sight"] or ():
        when = f"  out of sight from {clock(lost['start_s'])} to {clock(lost['end_s'])}"
        if lost["guessed_s"]:
            sure = "" if lost["confidence"] is None else f", confidence {lost['confidence']:.2f}"
            when += f": the voice was guessed by its sound for {lost['guessed_s']:.1f} s{sure}"
        else:
            when += ": no voice was taken to be theirs"
        lines.append(when)
    return lines


def _output(file: Mapping[str, Any]) -> list[str]:
    return [*_wrapped(f"{file['name']}: {file['holds']}", "  "), *_hash(file)]


def _hash(file: Mapping[str, Any]) -> list[str]:
    size = f"{file['bytes']:,} bytes, " if "bytes" in file else ""
    return [f"  {size}SHA-256 {file['sha256']}"]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, "-" * len(title), *lines]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _wrapped(text: str, then: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=then, break_on_hyphens=False)


def _plain(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    return str(value)
