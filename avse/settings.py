"""The settings of a separation, with the defaults of the command line and the Python API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from avse.errors import UsageError
from avse.utils.clock import Time, read_clock

_T = TypeVar("_T")


def _setting(
    default: _T,
    option: str,
    panel: Literal["People", "Part of the recording", "Quality", "Advanced"],
    envvar: str,
    help: str,  # these are the names that typer gives them
    show_default: str | bool = True,
) -> _T:
    """Make a field with an option of the command line; see `avse.cli.options`.

    Args:
        default: value of the field.
        option: names of the option, then the placeholder of its value.
        panel: title of the group of options in the help.
        envvar: the environment variable.
        help: the help text.
        show_default: text for the default in the help, or False for none.
    """
    words = option.split()
    names = [word for word in words if word.startswith("-")]
    metavar = next((word for word in words if word not in names), None)
    about: dict[str, object] = {"names": names, "metavar": metavar, "envvar": envvar, "help": help}
    about |= {"rich_help_panel": panel, "show_default": show_default}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Settings:
    """The settings of a separation. The command line and Python share these defaults.

    Attributes:
        model: name of shipped weights, or path of a .safetensors file.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        faces: face backend: "native", "mediapipe", or "face-alignment[:DETECTOR]".
        window_s: seconds that the network separates at a time, 0.4 to 600 (not the STFT window).
        overlap: share of a window that overlaps the next one, 0 to 0.9.
        mix: share of the original in the output, 0 (none) to 1 (all).
        track: number of the sound track, from 0; None for the one that plays by default: the first
            one that the file marks as such, else the first.
        picture: number of the moving picture, from 0.
        people: path of a file with names of people; see docs/identity.md.
        gate: whether to silence people while they do not speak.
        face_side: longer side of the pictures in which faces are detected, in pixels, at most.
        sync: whether to measure the A/V offset, and to correct it if it is certain.
        carry: whether to track off-screen speakers by voice while their faces are out of sight.
        enrol: whether to compute a voiceprint of each person from stretches in which they talk
            alone, and to use it for separation.
        offscreen_model: name of shipped weights for off-screen speech, or path of a file.
        same: groups of numbers that are one person, such as ((2, 3),).
        cache: whether to cache the results of face detection, and use cached ones.
        corrections: whether to apply the user's corrections of a recording.
        start: playing time at which the processed part begins: seconds, or text such as
            "1:02:03.5", which is converted to seconds. None for the beginning.
        end: playing time at which it ends. None for the end.

    Raises:
        UsageError: a value is out of range.

    Examples:
        >>> import avse
        >>> settings = avse.Settings(window_s=2.0, gate=False, start="1:30")
        >>> settings.start
        90.0
    """

    model: str = _setting(
        "avse-small",
        "--model -m NAME|PATH",
        "Quality",
        "AVSE_MODEL",
        "Shipped weights (see `avse models list`) or a .safetensors file.",
    )
    device: str = _setting(
        "auto",
        "--device -d auto|cpu|cuda[:N]|mps",
        "Advanced",
        "AVSE_DEVICE",
        "Where to compute.",
    )
    faces: str = _setting(
        "native",
        "--faces BACKEND",
        "Advanced",
        "AVSE_FACES",
        "Face backend: native, mediapipe, or face-alignment[:DETECTOR].",
    )
    window_s: float = _setting(
        4.0,
        "--window SECONDS",
        "Advanced",
        "AVSE_WINDOW",
        "Seconds that the network separates at a time. Less needs less memory.",
    )
    overlap: float = _setting(
        0.5,
        "--overlap 0..0.9",
        "Advanced",
        "AVSE_OVERLAP",
        "Share of these seconds in which one window is crossfaded with the next.",
    )
    mix: float = _setting(
        0.0,
        "--mix 0..1",
        "Quality",
        "AVSE_MIX",
        "Share of the original sound in the output: 0 is none, 1 is all.",
    )
    track: int | None = _setting(
        None,
        "--track N",
        "Part of the recording",
        "AVSE_TRACK",
        "Which sound track, counted from 0.",
        show_default="the one that plays by default",
    )
    people: str | None = _setting(
        None,
        "--people FILE.toml",
        "People",
        "AVSE_PEOPLE",
        "Names people by number or, with avse[identity], by face.",
        show_default=False,
    )
    gate: bool = _setting(
        True,
        "--gate/--no-gate",
        "Quality",
        "AVSE_GATE",
        "Silence people while they do not speak, with smooth edges.",
    )
    face_side: int = 1920
    sync: bool = _setting(
        True,
        "--sync/--no-sync",
        "Quality",
        "AVSE_SYNC",
        "Measure the offset between sound and picture, and correct it where it is certain (see "
        "`avse sync`).",
    )
    carry: bool = _setting(
        True,
        "--carry/--no-carry",
        "Quality",
        "AVSE_CARRY",
        "While a face is out of sight, keep following that speaker by voice.",
    )
    enrol: bool = _setting(
        True,
        "--enrol/--no-enrol",
        "Quality",
        "AVSE_ENROL",
        "Learn each voice from where that person talks alone, to separate them better where people "
        "talk at once. Takes a second pass over the sound.",
    )
    offscreen_model: str = _setting(
        "avse-offscreen",
        "--offscreen-model NAME|PATH",
        "Advanced",
        "AVSE_OFFSCREEN_MODEL",
        "Weights for what is out of sight: shipped ones, or a .safetensors file.",
    )
    same: tuple[tuple[int, ...], ...] = _setting(
        (),
        "--same N=M",
        "People",
        "AVSE_SAME",
        "Two numbers that are one person, who then goes by the lower one; 2=3=5 joins three. "
        "May be given more than once. Other numbers stay.",
        show_default=False,
    )
    picture: int = _setting(
        0,
        "--picture N",
        "Part of the recording",
        "AVSE_PICTURE",
        "Which moving picture, counted from 0, where there are several.",
    )
    cache: bool = _setting(
        True,
        "--cache/--no-cache",
        "Advanced",
        "AVSE_USE_CACHE",
        "Keep what is found in the picture, and use what was found before (see `avse cache`).",
    )
    corrections: bool = _setting(
        True,
        "--corrections/--no-corrections",
        "Advanced",
        "AVSE_CORRECTIONS",
        "Use what was corrected in the recording by hand: names, who is one person, what is "
        "not a person, faces that were missed, the A/V offset.",
    )
    start: Time | None = _setting(
        None,
        "--start TIME",
        "Part of the recording",
        "AVSE_START",
        "Work on the part of the recording from this time on only: seconds, or a clock time "
        "such as 1:02:03.5. Only little of what precedes it is decoded.",
        show_default="the beginning",
    )
    end: Time | None = _setting(
        None,
        "--end TIME",
        "Part of the recording",
        "AVSE_END",
        "Work on the part of the recording up to this time only.",
        show_default="the end",
    )

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
    """Read values of --same: "2=3", or several with commas between them.

    Raises:
        UsageError: a value has another form.
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
