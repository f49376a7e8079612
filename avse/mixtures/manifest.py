"""The manifest of a test set: what is mixed from what, and which files hold the result.

JSON lines. The first says what the set is and seals the rest with a SHA-256; each other line is
one mixture. Paths have forward slashes: those of clips are relative to the folder of clips, those
of noises to the folder of noises, those of outputs to the folder of the manifest itself. Nothing
in it depends on the machine or the day, so equal sets have equal manifests.

    mixture[t] = sum over sources of 10 ** (gain_db / 20) * source[start + t]  (+ noise likewise)

where sources are mono at `sample_rate`. Reference k is the k-th term; in the video, faces stand
left to right in the order of the references.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from avse.errors import InputError
from avse.media.atomic_files import appearing
from avse.mixtures.items import Item, ItemSource, Noise, Outputs, Picture
from avse.mixtures.records import Fields
from avse.utils.schema import RecordError, load_json

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
"""What the manifest of a folder is called."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_AGAIN = "make the set again with `avse mix`, or copy the manifest again"

_HIGHEST_RATE, _LONGEST_S, _LATEST_S = 192_000, 4 * 3600, 10**6
_MOST_VOICES, _WIDEST, _LOUDEST_DB = 64, 16_384, 400
"""Bounds of what `avse mix` writes and more: a manifest may come from anybody."""


@dataclass(frozen=True)
class Manifest:
    """A test set.

    Attributes:
        protocol: the rule it was drawn by, such as "casia-grid".
        split: "train", "valid", "test" or "all".
        seed: of all random choices.
        settings: every choice that shaped it, for the record: plain JSON values.
        items: its mixtures, in order.
    """

    protocol: str
    split: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[Item, ...] = ()

    @property
    def sha256(self) -> str:
        """What names this set: the hash in the first line, over everything else."""
        return _seal(_header(self), "".join(map(_line, self.items)))

    def text(self) -> str:
        """The whole file."""
        header = {**_header(self), "sha256": self.sha256}
        return json.dumps(header) + "\n" + "".join(map(_line, self.items))


def write_manifest(path: Path, manifest: Manifest, *, overwrite: bool = False) -> None:
    """Write a manifest; it appears under its name complete or not at all.

    Raises:
        OutputExistsError: the file exists and `overwrite` is false.
        OutputError: it cannot be written.
        InputError: the manifest is not valid: two items of one name, say.
    """
    text = manifest.text()
    parse_manifest(text, str(path))
    with appearing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(text.encode("ascii"))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check it from the first field to the last.

    Args:
        path: the file, or the folder of a test set.

    Raises:
        InputError: it cannot be read, is not a manifest, is of another version, was cut short or
            changed, or a field is missing, unknown or not what it should be; the line is named.
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
    """As `read_manifest`, from the text of a file called `name`."""
    first, _, rest = text.partition("\n")
    header = Fields(_json(first, f"{name}, line 1"), f"{name}, line 1", _AGAIN)
    try:
        version = header.whole(MARK)
    except InputError as error:
        raise InputError(f"{name} is not a manifest of `avse mix`", _AGAIN) from error
    if version != VERSION:
        raise InputError(
            f"{name} is a manifest of version {version}; this avse reads version {VERSION}",
            "use the avse that made it, or make the set again",
        )
    protocol, split, seed = header.text("protocol"), header.text("split"), header.whole("seed")
    settings = header.table("settings")
    count, digest = header.whole("items"), header.digest("sha256")
    header.end()
    lines = rest.splitlines()
    if len(lines) != count:
        raise InputError(f"{name} was cut short: {len(lines)} items of {count}", _AGAIN)
    items = tuple(_item(line, f"{name}, line {n}") for n, line in enumerate(lines, 2))
    _check_names(items, name)
    manifest = Manifest(protocol, split, seed, settings, items)
    try:
        whole = digest == manifest.sha256 and text == manifest.text()
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
    """An item as its line of the manifest has it, in JSON values."""
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


def _json(line: str, where: str) -> object:
    try:
        value: object = load_json(line)
    except RecordError as error:
        raise InputError(f"{where} is not JSON: {error}", _AGAIN) from error
    return value


def _item(line: str, where: str) -> Item:
    fields = Fields(_json(line, where), where, _AGAIN)
    item = Item(
        id=fields.text("id"),
        sources=tuple(_source(one) for one in fields.each("sources", 2, _MOST_VOICES)),
        noise=None if fields.is_null("noise") else _noise(fields.inner("noise")),
        sir_db=tuple(fields.check_number("sir_db", db) for db in fields.several("sir_db")),
        snr_db=None if fields.is_null("snr_db") else fields.number("snr_db"),
        sample_rate=fields.whole("sample_rate", 1, _HIGHEST_RATE),
        samples=fields.whole("samples", 1, _LONGEST_S * _HIGHEST_RATE),
        seed=fields.whole("seed"),
        picture=None if fields.is_null("picture") else _picture(fields.inner("picture")),
        outputs=_outputs(fields.inner("outputs")),
    )
    fields.end()
    if not _ID.fullmatch(item.id):
        raise fields.wrong("id", "letters, digits, '.', '_' and '-', at most 100")
    voices = len(item.sources)
    if len(item.sir_db) != voices:
        raise fields.wrong("sir_db", f"a list of {voices}, one for each source")
    if len(item.outputs.references) != voices:
        raise fields.wrong("references", f"a list of {voices}, one for each source")
    if item.picture is not None and len(item.picture.widths) != voices:
        raise fields.wrong("widths", f"a list of {voices}, one for each source")
    if not ((item.noise is None) == (item.snr_db is None) == (item.outputs.noise is None)):
        raise fields.wrong("noise", "given with 'snr_db' and an output, or not at all")
    if item.excerpt(item.samples, item.sample_rate) < 1:
        raise fields.wrong("sources", "put so that they are over when the mixture is")
    if (item.picture is None) != (item.outputs.video is None):
        raise fields.wrong("picture", "given with the output 'video', or not at all")
    if len({source.speaker for source in item.sources}) != voices:
        raise fields.wrong("sources", "of different people")
    return item


def _source(fields: Fields) -> ItemSource:
    source = ItemSource(
        path=fields.path("path"),
        speaker=fields.text("speaker"),
        start_s=fields.number("start_s", 0, _LATEST_S),
        gain_db=fields.number("gain_db", -_LOUDEST_DB, _LOUDEST_DB),
        sha256=None if fields.is_null("sha256") else fields.digest("sha256"),
        onset_s=fields.number("onset_s", 0, _LONGEST_S) if fields.has("onset_s") else 0.0,
    )
    fields.end()
    return source


def _noise(fields: Fields) -> Noise:
    noise = Noise(
        path=fields.path("path"),
        start_s=fields.number("start_s", 0, _LATEST_S),
        gain_db=fields.number("gain_db", -_LOUDEST_DB, _LOUDEST_DB),
        sha256=None if fields.is_null("sha256") else fields.digest("sha256"),
    )
    fields.end()
    return noise


def _picture(fields: Fields) -> Picture:
    picture = Picture(
        fps=fields.whole("fps", 1, 240),
        frames=fields.whole("frames", 1, _LONGEST_S * 240),
        height=fields.whole("height", 1, _WIDEST),
        widths=tuple(
            int(fields.check_number("widths", width, 1, _WIDEST))
            for width in fields.several("widths", 1, _MOST_VOICES)
        ),
    )
    fields.end()
    return picture


def _outputs(fields: Fields) -> Outputs:
    outputs = Outputs(
        mixture=fields.path("mixture"),
        references=tuple(fields.check_path("references", p) for p in fields.several("references")),
        noise=None if fields.is_null("noise") else fields.path("noise"),
        video=None if fields.is_null("video") else fields.path("video"),
        activity=fields.path("activity") if fields.has("activity") else None,
    )
    fields.end()
    return outputs


def _check_names(items: tuple[Item, ...], name: str) -> None:
    seen: set[str] = set()
    for line, item in enumerate(items, 2):
        for key in (f"the id {item.id}", *item.outputs.paths()):
            if key in seen:
                raise InputError(f"{name}, line {line}: {key} is used twice", _AGAIN)
            seen.add(key)
