"""The choices a user has: command line and Python API share these defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from avse.clock import Time, read_clock
from avse.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """How to separate. The command line and Python share these defaults.

    Attributes:
        model: name of shipped weights, or path of a .safetensors file.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        faces: face backend: "mediapipe", or "face-alignment[:DETECTOR]".
        window_s: length of the network's window in seconds, 0.4 to 600.
        overlap: share of a window that overlaps the next one, 0 to 0.9.
        mix: share of the original in the output, 0 (none) to 1 (all).
        track: which sound track of the file, counted from 0; None for the one that plays by
            default: the first that the file marks so, else the first.
        picture: which moving picture of the file, counted from 0.
        people: path of a file of people, who then go by their names; see docs/identity.md.
        gate: whether to silence people while they do not speak.
        face_side: largest side in pixels of the pictures in which faces are detected.
        sync: whether to measure the A/V offset and correct it where it is certain.
        carry: whether to follow a speaker by voice while the face is out of sight.
        offscreen_model: name of shipped weights for off-screen speech, or path of a file.
        same: numbers that are one person, such as ((2, 3),).
        cache: whether to keep the faces found in a recording, and use those found before.
        corrections: whether to use what the user has corrected in a recording.
        start: playing time at which the part to work on begins: seconds, or text such as
            "1:02:03.5", which becomes seconds. None for the beginning.
        end: playing time at which it ends. None for the end.

    Raises:
        UsageError: a value is out of range.

    Examples:
        >>> import avse
        >>> settings = avse.Settings(window_s=2.0, gate=False, start="1:30")
        >>> settings.start
        90.0
    """

    model: str = "avse-small"
    device: str = "auto"
    faces: str = "mediapipe"
    window_s: float = 4.0
    overlap: float = 0.5
    mix: float = 0.0
    track: int | None = None
    people: str | None = None
    gate: bool = True
    face_side: int = 1920
    sync: bool = True
    carry: bool = True
    offscreen_model: str = "avse-offscreen"
    same: tuple[tuple[int, ...], ...] = ()
    picture: int = 0
    cache: bool = True
    corrections: bool = True
    start: Time | None = None
    end: Time | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            time = getattr(self, name)
            if time is not None:
                object.__setattr__(self, name, float(read_clock(time)))
        if not 0.4 <= self.window_s <= 600:
            raise UsageError(
                f"a window of {self.window_s:g} s is out of range", "choose 0.4 to 600 seconds"
            )
        if not 0 <= self.overlap <= 0.9:
            raise UsageError(f"an overlap of {self.overlap:g} is out of range", "choose 0 to 0.9")
        if not 0 <= self.mix <= 1:
            raise UsageError(f"a mix of {self.mix:g} is out of range", "choose 0 to 1")
        if self.track is not None and self.track < 0:
            raise UsageError(f"there is no sound track {self.track}", "tracks count from 0")
        if self.picture < 0:
            raise UsageError(f"there is no picture {self.picture}", "pictures count from 0")
        groups = tuple(tuple(group) for group in self.same)
        if any(len(set(group)) < 2 or min(group) < 1 for group in groups):
            raise UsageError(
                f"{self.same!r} does not say who is the same person", "give numbers: ((2, 3),)"
            )
        object.__setattr__(self, "same", groups)


def read_same(texts: Iterable[str]) -> tuple[tuple[int, ...], ...]:
    """Read --same: "2=3", or several with commas between them.

    Raises:
        UsageError: it is something else.
    """
    groups = []
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        if not re.fullmatch(r"[1-9]\d{0,8}(\s*=\s*[1-9]\d{0,8})+", text):
            raise UsageError(
                f"--same {text!r} does not join two numbers", "such as: --same 2=3, or 2=3=5"
            )
        numbers = tuple(int(number) for number in text.split("="))
        if len(set(numbers)) < 2:
            raise UsageError(
                f"--same {text!r} joins a number to itself", "such as: --same 2=3, or 2=3=5"
            )
        groups.append(numbers)
    return tuple(groups)
