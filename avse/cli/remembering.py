"""`avse inspect --remember`: add people to a file, so that avse recognises them in other
recordings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from avse.cli.terminal import Terminal
from avse.errors import MissingExtraError, UsageError
from avse.utils.paths import user_path

if TYPE_CHECKING:
    from avse.scene.scene import Scene


def check_memory(remember: str, people: str | None) -> Path:
    """Check the file to which --remember adds people.

    Raises:
        UsageError: it is not a TOML file, or --people names another.
        MissingExtraError: face embeddings cannot be computed here.
    """
    from avse.faces.recognition import EXTRA_HINT, available

    path = user_path(remember)
    if path.suffix.lower() != ".toml":
        raise UsageError(f"{remember}: the people file must be TOML", "let it end in .toml")
    if people is not None and user_path(people).resolve() != path.resolve():
        raise UsageError(
            "--people and --remember name two files",
            "give one file: avse reads it and then adds to it",
        )
    if people is not None and not path.is_file():
        raise UsageError(f"there is no file {people} yet", "leave --people out the first time")
    if not available():
        raise MissingExtraError("remembering people takes a face recognition network", EXTRA_HINT)
    return path


def remember_people(path: Path, source: Path, scene: Scene | None, terminal: Terminal) -> None:
    """Add the people whose faces the file lacks; existing entries stay unchanged.

    Raises:
        OutputError: it cannot be written.
    """
    from avse.faces.people_file import entry, new_name, read_people
    from avse.faces.recognition import DlibRecogniser
    from avse.media.atomic_files import check_destination, place, temporary_name, writing

    known = read_people(path) if path.is_file() else []
    with_face = {one.name for one in known if one.by_face}
    taken = {one.name for one in known}
    entries: list[str] = []
    added: list[str] = []
    for person in scene.people if scene is not None else ():
        if person.name in with_face:
            continue
        if person.face is None:
            terminal.warn(f"person {person.number} is too small or too far turned to be remembered")
            continue
        name = person.name or new_name(source, person.number, taken)
        taken.add(name)
        entries.append(entry(name, person, DlibRecogniser.name, source))
        added.append(name)
    if not added:
        terminal.note(f"there is nobody new to add to {path}")
        return
    check_destination(path, overwrite=True)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    temporary = temporary_name(path)
    try:
        with writing(path):
            temporary.touch(mode=0o600)  # biometric data: only the owner may read it
            if before:
                shutil.copymode(path, temporary)
                entries.insert(0, before.rstrip("\n") + "\n")
            temporary.write_text("\n".join(entries), encoding="utf-8")
        place(temporary, path, overwrite=True)
    finally:
        temporary.unlink(missing_ok=True)
    terminal.note(f"{path} now holds {', '.join(added)}; you can edit the names")
