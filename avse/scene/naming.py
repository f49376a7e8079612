"""Names and paths of outputs, and the checks before any work."""

from __future__ import annotations

import contextlib
import os
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from avse.errors import OutputError, OutputExistsError, UsageError
from avse.utils.paths import user_path

DEFAULT_NAME = "{stem}.{speaker}{ext}"
DEFAULT_SUFFIX = ".wav"
TRACK_SUFFIXES = (".mkv", ".mov", ".mp4")


class Stem(StrEnum):
    """A stem that is not one person; the values are used in file names and in JSON."""

    TOGETHER = "enhanced"
    RESIDUAL = "residual"
    NARRATOR = "narrator"
    CROWD = "crowd"


StemKey: TypeAlias = int | Stem
"""Key of a stem: the number of a person, or a `Stem`."""

_FIELDS = ("stem", "name", "speaker", "person", "ext")


@dataclass(frozen=True)
class Naming:
    """The names of the outputs of one input.

    Attributes:
        source: path of the input.
        folder: output folder.
        file: path of the only output, if the user gave one.
        template: template of file names in the folder.
        suffix: suffix of the outputs, with the dot.
    """

    source: Path
    folder: Path
    file: Path | None
    template: str
    suffix: str

    @property
    def is_video(self) -> bool:
        """Whether outputs are videos, not sound files."""
        return self.suffix.lower() in video_suffixes()

    @property
    def needs_names(self) -> bool:
        """Whether file names contain names of people, which are known only after face detection."""
        fields = [field for _, field, _, _ in string.Formatter().parse(self.template)]
        return self.file is None and "person" in fields

    def path(self, speaker: StemKey, person: str | None = None) -> Path:
        """Path of the voice of a speaker, who may have a name."""
        return self.file if self.file is not None else self._filled(speaker, person)

    def beside(self, what: Stem) -> Path:
        """Path of an output that is not the voice of a person, such as the residual.

        Args:
            what: replaces the speaker in the file name: beside the file that the user gave, or in
                the folder.
        """
        if self.file is None:
            return self._filled(what)
        return self.file.with_name(f"{self.file.stem}.{what}{self.file.suffix}")

    def _filled(self, speaker: StemKey, person: str | None = None) -> Path:
        name = self.template.format(
            stem=self.source.stem,
            name=self.source.name,
            speaker=speaker,
            person=speaker if person is None else person,
            ext=self.suffix,
        )
        if name in ("", ".", "..") or "\0" in name:
            raise UsageError(f"--name {self.template!r} gives no file name", _example())
        return self.folder / name


def name_outputs(
    source: Path, output: str | None, template: str, *, several: bool, what: str
) -> Naming:
    """Decide the names of the outputs.

    Args:
        source: path of the input.
        output: value of --output: a file if there is one output, else a folder; an existing folder,
            and a name that ends with a slash or has no suffix, is a folder too.
        template: value of --name.
        several: whether there may be more than one output, without the residual.
        what: the reason why there may be several, for messages.

    Raises:
        UsageError: a name cannot be used.
    """
    suffix = check_template(template)
    if output is None:
        return Naming(source, Path(), None, template, suffix)
    if not output.strip():
        raise UsageError("--output is empty", "name a file or a folder")
    if output == "-":
        raise UsageError("results are files; they are not written to stdout", "name a file")
    path = user_path(output)
    if path.is_dir() or output.endswith(("/", os.sep)) or not path.suffix:
        return Naming(source, path, None, template, suffix)
    _check_suffix(path.name)
    if several:
        raise UsageError(
            f"--output {output} is one file, but {what}",
            "name a folder, or choose one person with --speaker",
        )
    return Naming(source, path.parent, path, template, path.suffix)


def check_outputs(paths: Sequence[Path], source: Path, *, force: bool) -> None:
    """Check that outputs destroy nothing and can be written.

    Raises:
        OutputExistsError: two outputs have one path, or an output is the input or an existing file
            that may not be replaced.
        OutputError: a folder cannot be written to.
    """
    seen: set[str] = set()
    for path in paths:
        place = os.path.normcase(os.path.realpath(path))
        if place in seen:
            raise OutputExistsError(
                f"two outputs would be written to {path}",
                "put {speaker} into --name, which also tells the residual from the voices",
            )
        seen.add(place)
        if path.exists() and source.exists() and path.samefile(source):
            raise OutputExistsError(
                f"{path} is the input itself, which is never overwritten",
                "choose another --output",
            )
        _check_place(path, force=force)


def name_tracks(name: str) -> Path:
    """Path of the file with a track for each person, from the value of --tracks.

    Raises:
        UsageError: a name cannot be used.
    """
    path = user_path(name)
    if path.suffix.lower() not in TRACK_SUFFIXES or path.is_dir():
        raise UsageError(
            f"--tracks {name}: is not the name of a video that can hold several sound tracks",
            f"choose one of {' '.join(TRACK_SUFFIXES)}, such as voices.mov",
        )
    return path


@contextlib.contextmanager
def folder_for(naming: Naming) -> Iterator[None]:
    """Create the output folder; remove it again if the work fails."""
    created: list[Path] = []
    if naming.file is None:
        for folder in reversed([naming.folder, *naming.folder.parents]):
            if not folder.is_dir():
                try:
                    folder.mkdir()
                except OSError as error:
                    _remove(created)
                    raise OutputError(
                        f"the folder {folder} cannot be created: {error.strerror}",
                        "choose another --output",
                    ) from error
                created.append(folder)
    try:
        yield
    except BaseException:
        _remove(created)
        raise


def video_suffixes() -> tuple[str, ...]:
    """Suffixes of the videos that can be written."""
    from avse.media.encoding import CONTAINERS

    return tuple(CONTAINERS)


def _check_suffix(name: str) -> str:
    from avse.media import SOUND_SUFFIXES

    suffix = Path(name).suffix
    known = (*SOUND_SUFFIXES, *video_suffixes())
    if suffix.lower() not in known:
        raise UsageError(
            f"{name}: cannot write {suffix or 'a name without an ending'}",
            f"choose one of {' '.join(known)}; end the name of a folder with /",
        )
    return suffix


def check_template(template: str) -> str:
    """Check --name, and return its suffix.

    Raises:
        UsageError: the template is invalid, or its suffix cannot be written.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"--name {template!r} cannot be read: {error}", _example()) from error
    for _, field, specification, conversion in parts:
        if field is not None and (field not in _FIELDS or specification or conversion):
            raise UsageError(f"--name knows no {{{field}}}", _example())
    if "/" in template or os.sep in template:
        raise UsageError("--name is a file name, without folders", "name the folder with --output")
    return _check_suffix(
        template.format(stem="x", name="x", speaker="1", person="1", ext=DEFAULT_SUFFIX)
    )


def _example() -> str:
    return f'such as "{DEFAULT_NAME}" or "{{stem}} - voice {{speaker}}.flac"'


def _check_place(path: Path, *, force: bool) -> None:
    from avse.media.atomic_files import check_destination

    if path.exists() and not path.is_dir() and not force:
        raise OutputExistsError(
            f"{path} exists already", "add --force to replace it, or choose another --output"
        )
    if path.parent.is_dir():
        check_destination(path, overwrite=force)
        return
    above = next((folder for folder in path.parents if folder.exists()), Path())
    if not above.is_dir() or not os.access(above, os.W_OK):
        reason = "is not writable" if above.is_dir() else "is not a folder"
        raise OutputError(
            f"the folder {path.parent} cannot be created: {above} {reason}",
            "choose another --output",
        )


def _remove(folders: Sequence[Path]) -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):  # something else has been put there meanwhile
            folder.rmdir()
