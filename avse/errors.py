"""The errors that `avse` raises on purpose.

Each has a message of one line, and a hint for the user's next step; the command line prints both
and exits with `exit_code`. Library code never prints and never exits.

Examples:
    >>> import avse
    >>> try:
    ...     avse.separate("talk.mp4", speaker=3)
    ... except avse.AvseError as error:
    ...     print(f"{type(error).__name__}, exit {error.exit_code}: {error} ({error.hint})")
    UnknownSpeakerError, exit 2: talk.mp4: there is no speaker 3 (choose from: 1, 2)

The tree:

    AvseError                     exit 1
    ├── UsageError                exit 2   the request is invalid or cannot be met
    │   ├── UnknownSpeakerError            there is no such person in the recording
    │   └── OutputExistsError              an output exists, or two outputs have the same path
    ├── InputError                exit 1   an input cannot be processed
    │   ├── MediaError                     not found, not a media file, truncated, or corrupt
    │   ├── NoAudioError                   the recording has no sound
    │   ├── NoVideoError                   the recording has no moving picture
    │   └── NoFaceError                    no face was found
    ├── OutputError               exit 1   the result cannot be written (disk full, read-only)
    │   └── ContainerError        exit 2   the file format cannot hold the picture or the sound
    └── MissingError              exit 3   something that is needed is not installed
        ├── MissingWeightsError            a model file is absent
        ├── CorruptWeightsError            a model file does not match its hash or specification
        └── MissingExtraError              an optional package is not installed
"""

from __future__ import annotations


class AvseError(Exception):
    """Base class of all errors of avse.

    Args:
        message: what is wrong, in one line, with the name of the file.
        hint: the user's next step, in one line.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AvseError):
    """The request is invalid, or cannot be met."""

    exit_code = 2


class UnknownSpeakerError(UsageError):
    """There is no person with this number or name, or at this place, in the recording."""


class OutputExistsError(UsageError):
    """An output would overwrite a file, or two outputs share one path."""


class InputError(AvseError):
    """An input cannot be processed."""


class MediaError(InputError):
    """The file is not found, not a media file, truncated, or corrupt."""


class NoAudioError(InputError):
    """The recording has no sound."""


class NoVideoError(InputError):
    """The recording has no moving picture."""


class NoFaceError(InputError):
    """No face was found in the picture."""


class OutputError(AvseError):
    """The result cannot be written."""


class ContainerError(OutputError):
    """The file format cannot hold the picture or the sound."""

    exit_code = 2


class MissingError(AvseError):
    """Something that is needed is not installed, or damaged."""

    exit_code = 3


class MissingWeightsError(MissingError):
    """A model file is absent."""


class CorruptWeightsError(MissingError):
    """A model file does not match its hash, its specification or its format."""


class MissingExtraError(MissingError):
    """An optional package is not installed."""
