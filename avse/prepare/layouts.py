"""Derive corpus, person and clip of a file from the folder layouts of well-known corpora.

- grid: `s1/bbaf2n.mpg`, also deeper: the folder s1 to s34 is the person (Cooke et al. 2006).
- lrs: LRS2 and LRS3, `main/5535415699068794046/00001.mp4`, `trainval/0Fi83BHQsMA/50001.mp4`: the
folder is a source video. The speaker is unknown, so the folder represents the person.
- voxceleb: VoxCeleb2, `dev/mp4/id00012/21Uxsk56VDQ/00001.mp4`: person, then source video.
- avsec: scenes of the AVSE challenges, `train/scenes/S00001_silent.mp4` beside the voice of its
  target, `S00001_target.wav`; the fourth challenge adds `_target_mono.wav`, `_target_anechoic.wav`
  and `_target_mono_anechoic.wav`. People are not named.
- folders: the folder that a clip lies in is the person, unless it is called train, test or so.
- flat: no labels; people are clustered by face and voice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avse.errors import InputError, UsageError
from avse.mixtures.corpus import find_clips, talker_of
from avse.utils.paths import is_below, is_there

AUTO, FOLDERS, FLAT, GRID, LRS, VOXCELEB, AVSEC = (
    "auto", "folders", "flat", "grid", "lrs", "voxceleb", "avsec",
)  # fmt: skip
LAYOUTS = (AUTO, FOLDERS, FLAT, GRID, LRS, VOXCELEB, AVSEC)

_GRID_SENTENCE = re.compile(r"[blps][bgrw][abiw][a-z][0-9z][anps]", re.IGNORECASE)
_LRS = re.compile(r"(?:.*/)?(?P<video>[\w-]{11}|\d{15,20})/\d{5}(?:_\d+)?\.\w+")
_CELEBRITY = re.compile(r"id\d{5}")
_SCENE = re.compile(r"(?P<scene>S\d{5,})_silent\.\w+")
_VOICES = ("_target_mono_anechoic.wav", "_target_anechoic.wav", "_target_mono.wav", "_target.wav")
"""Sound of a scene's target, the driest first: rooms are added in training."""

_PARTS = "train valid val validation dev test eval main pretrain trainval all"
_KINDS = "audio sound video videos clips mp4 mpg wav flac opus scenes data"
_NOBODY = frozenset(f"{_PARTS} {_KINDS}".split())
"""Folders with these names contain parts of a corpus, not a person."""

_MOST = 0.9
"""Share of files that must fit a layout for it to be recognised."""


@dataclass(frozen=True)
class SourceFile:
    """A clip that is to be prepared.

    Attributes:
        id: corpus, path and name without ending, with slashes; no two clips share one.
        path: of the picture (or of the sound, where there is none), relative to its root.
        root: the folder that was named.
        sound: path of the sound, relative to the root; None where it is in the same file.
        corpus: what the clip counts towards.
        person: name of the speaker; None if unknown.
        recording: label shared by clips cut from one recording; None if unknown.
    """

    id: str
    path: str
    root: Path
    sound: str | None
    corpus: str
    person: str | None
    recording: str | None


@dataclass(frozen=True)
class Found:
    """What was found in the folders.

    Attributes:
        layout: the layout used.
        sources: in order of their ids.
        warnings: what is odd, for people.
    """

    layout: str
    sources: tuple[SourceFile, ...]
    warnings: tuple[str, ...] = ()


def recognise(paths: Sequence[str]) -> str:
    """Detect the layout: the most specific one that nine of ten files fit.

    Args:
        paths: each begins with the name of the folder that was named.
    """

    def fit(matches: int) -> bool:
        return matches >= _MOST * len(paths)

    names = [PurePosixPath(path) for path in paths]
    if any(_SCENE.fullmatch(name.name) for name in names):
        return AVSEC
    if fit(sum(any(_CELEBRITY.fullmatch(p) for p in name.parts[:-1]) for name in names)):
        return VOXCELEB
    if fit(sum(talker_of(str(n)) is not None and _sentence(n.stem) for n in names)):
        return GRID
    if fit(sum(_LRS.fullmatch(path) is not None for path in paths)):
        return LRS
    inner = [PurePosixPath(*name.parts[1:]) for name in names]
    if fit(sum(_folder_person(name) is not None for name in inner)):
        return FOLDERS
    return FLAT


def find_sources(
    roots: Sequence[Path], layout: str = AUTO, corpus: str | None = None, *, pictures: bool = True
) -> Found:
    """Find the clips below some folders, with the labels in their paths.

    Args:
        roots: the folders; a person's folder may be named itself.
        layout: one of `LAYOUTS`; AUTO recognises it.
        corpus: what all clips count towards; None: the layout's name, or the folder's.
        pictures: whether files of sound alone are left out.

    Raises:
        UsageError: a folder is missing, the layout does not fit, or two clips have one name.
        InputError: a folder holds no clips.
    """
    listed = [(root, find_clips(root, pictures=pictures)) for root in roots]
    everything = [_with_root(root, path) for root, paths in listed for path in paths]
    layout = recognise(everything) if layout == AUTO else layout
    sources: dict[str, SourceFile] = {}
    left_out = 0
    for root, paths in listed:
        for path in paths:
            source = _source(root, path, layout, corpus)
            if source is None:
                left_out += 1
                continue
            if source.id in sources:
                raise UsageError(
                    f"two clips are called {source.id}",
                    "name the folder above both, or prepare them into two packs",
                )
            sources[source.id] = source
    if not sources:
        raise UsageError(
            f"{roots[0]} is not laid out as {layout}", "choose another --layout, or auto"
        )
    warnings = (
        [f"{left_out} files do not fit the layout {layout} and are left out"] if left_out else []
    )
    return Found(layout, tuple(sources[key] for key in sorted(sources)), tuple(warnings))


def read_labels(path: Path, roots: Sequence[Path], corpus: str | None = None) -> Found:
    """Sources that a table lists: tab-separated columns file, corpus, speaker, others ignored.

    Without a column corpus, the first folder of the file's path is the corpus; without a column
    speaker, the folder that the file lies in is the person, and the file itself if there is none.

    Args:
        path: of the table.
        roots: where its files lie; the first that has a file is taken.
        corpus: what all clips count towards, against the table.

    Raises:
        UsageError: the table cannot be read or lacks a column file.
        InputError: none of its files is there.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the table {path} cannot be read: {error}", "check --labels") from error
    columns = lines[0].split("\t") if lines else []
    if "file" not in columns:
        raise UsageError(f"{path} has no column called file", "its first line names the columns")
    sources: dict[str, SourceFile] = {}
    missing = 0
    for line in lines[1:]:
        row = dict(zip(columns, line.split("\t"), strict=False))
        name = row.get("file", "").strip()
        if not name:
            continue
        if not is_below(name):
            raise UsageError(
                f"{path} lists {name[:60]!r}, which does not lie below the folder of clips",
                "name files relative to the folder",
            )
        root = next((root for root in roots if is_there(root / name)), None)
        if root is None:
            missing += 1
            continue
        folders = PurePosixPath(name).parts[:-1]
        which = corpus or row.get("corpus") or (folders[0] if folders else root.name)
        person = row.get("speaker") or _folder_person(PurePosixPath(name)) or _stem(name)
        source = SourceFile(f"{which}/{_safe(_stem(name))}", name, root, None, which, person, None)
        if source.id in sources:
            raise UsageError(f"{path} lists {source.id} twice", "remove one of the lines")
        sources[source.id] = source
    if not sources:
        raise InputError(f"none of the files in {path} is there", "check the folder and --labels")
    warnings = (f"{missing} files that {path.name} lists are not there",) if missing else ()
    return Found("labels", tuple(sources[key] for key in sorted(sources)), warnings)


def _source(root: Path, path: str, layout: str, corpus: str | None) -> SourceFile | None:
    """What a layout says of a file; None if it does not fit."""
    whole = PurePosixPath(_with_root(root, path))
    person: str | None = None
    recording: str | None = None
    sound: str | None = None
    name = _stem(path)
    if layout == GRID:
        number = talker_of(str(whole))
        if number is None:
            return None
        person = recording = f"s{number}"
    elif layout == VOXCELEB:
        people = [n for n, p in enumerate(whole.parts[:-1]) if _CELEBRITY.fullmatch(p)]
        if not people:
            return None
        person = whole.parts[people[0]]
        recording = "/".join(whole.parts[people[0] : -1])
    elif layout == LRS:
        match = _LRS.fullmatch(str(whole))
        if match is None:
            return None
        person = recording = match["video"]
    elif layout == AVSEC:
        scene = _SCENE.fullmatch(whole.name)
        if scene is None:
            return None
        beside = PurePosixPath(path).parent
        voices = [str(beside / (scene["scene"] + ending)) for ending in _VOICES]
        sound = next((voice for voice in voices if (root / voice).is_file()), None)
        if sound is None:
            return None
        name = str(beside / scene["scene"])
    elif layout == FOLDERS:
        person = _folder_person(PurePosixPath(path))
        if person is None:
            return None
    named = {GRID: "grid", LRS: "lrs", VOXCELEB: "voxceleb2", AVSEC: "avsec"}
    which = corpus or named.get(layout) or _safe(root.resolve().name) or "clips"
    return SourceFile(f"{which}/{_safe(name)}", path, root, sound, which, person, recording)


def _with_root(root: Path, path: str) -> str:
    """A path with the name of its root before it: somebody's own folder may have been named."""
    return f"{root.resolve().name}/{path}"


def _folder_person(path: PurePosixPath) -> str | None:
    """The innermost folder that can be a person."""
    inner = [part for part in path.parts[:-1] if part.lower() not in _NOBODY]
    return _safe(inner[-1]) if inner else None


def _sentence(stem: str) -> bool:
    return _GRID_SENTENCE.fullmatch(stem) is not None


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _safe(text: str) -> str:
    """Names that are not valid text, as the system may store them, made so."""
    return text.encode("utf-8", "backslashreplace").decode()
