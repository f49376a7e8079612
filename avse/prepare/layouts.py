"""Derive the corpus, person and recording of a clip from the folder layouts of known corpora.

- grid: `s1/bbaf2n.mpg`, also in deeper folders: the folder s1 to s34 is the person (Cooke et al.
  2006).
- lrs: LRS2 and LRS3, `main/5535415699068794046/00001.mp4`, `trainval/0Fi83BHQsMA/50001.mp4`: the
  folder is a source video. The speaker is unknown, so the folder represents the person.
- voxceleb: VoxCeleb2, `dev/mp4/id00012/21Uxsk56VDQ/00001.mp4`: person, then source video.
- avsec: scenes of the AVSE challenges, `train/scenes/S00001_silent.mp4` with the target's voice in
  `S00001_target.wav`; the fourth challenge adds `_target_mono.wav`, `_target_anechoic.wav` and
  `_target_mono_anechoic.wav`. People are not labelled.
- folders: the innermost folder is the person, unless it has a name such as train or test.
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
"""Files of a target's voice, with the least reverberation first; training adds reverberation."""

_PARTS = "train valid val validation dev test eval main pretrain trainval all"
_KINDS = "audio sound video videos clips mp4 mpg wav flac opus scenes data"
_NOBODY = frozenset(f"{_PARTS} {_KINDS}".split())
"""Folders with these names contain parts of a corpus, not a person."""

_MOST = 0.9
"""Share of files that has to fit a layout, so that it is recognised."""


@dataclass(frozen=True)
class SourceFile:
    """A clip to prepare.

    Attributes:
        id: corpus, path and name without ending, with slashes; unique.
        path: of the picture, or of the sound if there is no picture, relative to the root.
        root: the folder that the user gave.
        sound: path of the sound, relative to the root; None if it is in the same file.
        corpus: name of the corpus.
        person: name of the speaker; None if unknown.
        recording: label of the recording that the clip was cut from; None if unknown.
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
    """The clips in the folders.

    Attributes:
        layout: the layout in use.
        sources: the clips, in the order of their ids.
        warnings: messages for the user.
    """

    layout: str
    sources: tuple[SourceFile, ...]
    warnings: tuple[str, ...] = ()


def recognise(paths: Sequence[str]) -> str:
    """Detect the layout: the most specific one that 90 % of the files fit.

    Args:
        paths: of the files, each with the name of the given folder in front.
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
        roots: the folders; one of them may be a person's folder.
        layout: one of `LAYOUTS`; AUTO detects the layout.
        corpus: name of the corpus of all clips; None for the layout's name, or the folder's.
        pictures: whether to leave out files without a picture.

    Raises:
        UsageError: a folder is missing, the layout does not fit, or two clips have the same id.
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
    """Read a table of clips, with the tab-separated columns file, corpus and speaker.

    Without a corpus, the first folder of the file's path is the corpus. Without a speaker, the
    innermost folder is the person, or the file itself if it is in no folder. Other columns are
    ignored.

    Args:
        path: of the table.
        roots: the folders of the files; the first one that has a file is used.
        corpus: name of the corpus of all clips, in place of the column.

    Raises:
        UsageError: the table cannot be read, has no column file, or lists a file twice.
        InputError: none of the files exists.
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
    """Label a file by a layout; None if the file does not fit."""
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
    """Put the name of the root before a path, because the root may be a person's folder."""
    return f"{root.resolve().name}/{path}"


def _folder_person(path: PurePosixPath) -> str | None:
    """The name of the innermost folder that can be a person; None if there is none."""
    inner = [part for part in path.parts[:-1] if part.lower() not in _NOBODY]
    return _safe(inner[-1]) if inner else None


def _sentence(stem: str) -> bool:
    return _GRID_SENTENCE.fullmatch(stem) is not None


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _safe(text: str) -> str:
    """Escape the parts of a file name that are not valid text."""
    return text.encode("utf-8", "backslashreplace").decode()
