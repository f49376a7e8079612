"""The manifest of a test set: the sources of each mixture, and the files that hold it.

The format is JSON lines. The first line describes the set and has the SHA-256 of the rest; each
other line is one mixture. Paths have forward slashes: those of clips are relative to the folder of
clips, those of noises to the folder of noises, those of outputs to the folder of the manifest
itself. It does not depend on the machine or the date, so equal sets have equal manifests.

    mixture[t] = sum over sources of 10 ** (gain_db / 20) * source[start + t]  (+ noise likewise)

where sources are mono at `sample_rate`. Reference k is the k-th term; in the video, faces stand
left to right in the order of the references.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from avse.errors import InputError
from avse.media.atomic_files import appearing
from avse.mixtures.items import Digest, Item, ItemSource, Noise, Outputs, Picture, Text, Whole
from avse.utils.paths import is_below
from avse.utils.schema import Kind, RecordError, build, load_json

__all__ = [
    "NAME",
    "Item",
    "ItemSource",
    "Manifest",
    "Noise",
    "Outputs",
    "Picture",
    "parse_manifest",
    "read_manifest",
    "write_manifest",
]

VERSION = 1
MARK = "avse-mixtures"
NAME = "manifest.jsonl"
"""File name of the manifest in the folder of a set."""

_AGAIN = "make the set again with `avse mix`, or copy the manifest again"


@dataclass(frozen=True)
class _Header:
    """The first line, without the version."""

    protocol: Text
    split: Text
    seed: Whole
    settings: dict[str, Any]
    items: Whole
    sha256: Digest


@dataclass(frozen=True)
class Manifest:
    """A test set.

    Attributes:
        protocol: the protocol, such as "casia-grid".
        split: "train", "valid", "test" or "all".
        seed: seed of all random choices.
        settings: all settings, for the record, as plain JSON values.
        items: the mixtures, in order.
    """

    protocol: str
    split: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[Item, ...] = ()

    @property
    def sha256(self) -> str:
        """The hash in the first line, over everything else; it identifies the set."""
        return _seal(_header(self), "".join(map(_line, self.items)))

    def text(self) -> str:
        """The content of the file."""
        header = {**_header(self), "sha256": self.sha256}
        return json.dumps(header) + "\n" + "".join(map(_line, self.items))


def write_manifest(path: Path, manifest: Manifest, *, overwrite: bool = False) -> None:
    """Write a manifest atomically.

    Raises:
        OutputExistsError: the file exists and `overwrite` is false.
        OutputError: the file cannot be written.
        InputError: the manifest is not valid, for example because two items have one name.
    """
    text = manifest.text()
    parse_manifest(text, str(path))
    with appearing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(text.encode("ascii"))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check every field.

    Args:
        path: the file, or the folder of a test set.

    Raises:
        InputError: the file cannot be read, is not a manifest, has another version, was truncated
            or changed, or has a field that is missing, unknown or invalid. The message names the
            line.
    """
    if path.is_dir():
        path = path / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a manifest: it is not text", _AGAIN) from error
    return parse_manifest(text, str(path))


def parse_manifest(text: str, name: str) -> Manifest:
    """Parse the text of a manifest, as `read_manifest` does; `name` is the file name for
    messages."""
    first, _, rest = text.partition("\n")
    line = f"{name}, line 1"
    table = _object(first, line)
    version = table.pop(MARK, None)
    if type(version) is not int:
        raise InputError(f"{name} is not a manifest of `avse mix`", _AGAIN)
    if version != VERSION:
        raise InputError(
            f"{name} is a manifest of version {version}; this avse reads version {VERSION}",
            "use the avse that made it, or make the set again",
        )
    header = _build(_Header, table, line)
    lines = rest.splitlines()
    if len(lines) != header.items:
        raise InputError(f"{name} was cut short: {len(lines)} items of {header.items}", _AGAIN)
    items = tuple(_item(line, f"{name}, line {n}") for n, line in enumerate(lines, 2))
    _check_names(items, name)
    manifest = Manifest(header.protocol, header.split, header.seed, header.settings, items)
    try:
        whole = header.sha256 == manifest.sha256 and text == manifest.text()
    except RecursionError:  # settings of any kind can be nested too deeply to be written again
        whole = False
    if not whole:
        raise InputError(f"{name} was changed after it was written: its SHA-256 differs", _AGAIN)
    return manifest


def _header(manifest: Manifest) -> dict[str, Any]:
    return {
        MARK: VERSION,
        "protocol": manifest.protocol,
        "split": manifest.split,
        "seed": manifest.seed,
        "settings": dict(manifest.settings),
        "items": len(manifest.items),
    }


def _seal(header: dict[str, Any], rest: str) -> str:
    return hashlib.sha256(f"{json.dumps(header)}\n{rest}".encode("ascii")).hexdigest()


def as_record(item: Item) -> dict[str, Any]:
    """Convert an item to the JSON values of its line."""
    record = asdict(item)
    for part in [*record["sources"], record["noise"] or {}]:
        part.update({key: float(part[key]) for key in ("start_s", "gain_db") if key in part})
    if item.outputs.activity is None:
        # What sets in which all talk at once are spared, so that theirs stay as they always were.
        record["outputs"].pop("activity")
        for source in record["sources"]:
            source.pop("onset_s")
    record["sir_db"] = [float(db) for db in item.sir_db]
    record["snr_db"] = None if item.snr_db is None else float(item.snr_db)
    return record


def _line(item: Item) -> str:
    return json.dumps(as_record(item), allow_nan=False) + "\n"


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        value = load_json(line)
    except RecordError as error:
        raise InputError(f"{where} is not JSON: {error}", _AGAIN) from error
    if not isinstance(value, dict):
        raise InputError(f"{where} is not an object", _AGAIN)
    return value


def _build(kind: type[Kind], table: dict[str, Any], where: str) -> Kind:
    try:
        return build(kind, table, f"{where}:")
    except RecordError as error:
        found = f" ({error.hint})" if error.hint else ""
        raise InputError(f"{error.message}{found}", _AGAIN) from error


def _item(line: str, where: str) -> Item:
    item = _build(Item, _object(line, where), where)
    voices = len(item.sources)
    inputs: list[ItemSource | Noise] = [*item.sources, *([item.noise] if item.noise else [])]
    for path in [*(one.path for one in inputs), *item.outputs.paths()]:
        if not is_below(path):
            raise InputError(f"{where}: the path {path!r} must stay below its folder", _AGAIN)
    noises = {item.noise is None, item.snr_db is None, item.outputs.noise is None}
    widths = voices if item.picture is None else len(item.picture.widths)
    for wrong, must in (
        (len(item.sir_db) != voices, "sir_db must have one value for each source"),
        (len(item.outputs.references) != voices, "references must have one path for each source"),
        (widths != voices, "widths must have one value for each source"),
        (len(noises) > 1, "noise must come with snr_db and an output, or not at all"),
        (item.excerpt(item.samples, item.sample_rate) < 1, "sources must end with the mixture"),
        (
            (item.picture is None) != (item.outputs.video is None),
            "picture must come with the output video, or not at all",
        ),
        (
            len({source.speaker for source in item.sources}) != voices,
            "sources must be of different speakers",
        ),
    ):
        if wrong:
            raise InputError(f"{where}: {must}", _AGAIN)
    return item


def _check_names(items: tuple[Item, ...], name: str) -> None:
    seen: set[str] = set()
    for line, item in enumerate(items, 2):
        for key in (f"the id {item.id}", *item.outputs.paths()):
            if key in seen:
                raise InputError(f"{name}, line {line}: {key} is used twice", _AGAIN)
            seen.add(key)
