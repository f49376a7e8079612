"""Every error that `avse` raises on purpose.

Each carries a one-line message and a hint that says what to do next; the command line prints both
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
    ├── UsageError                exit 2   the request itself cannot be met as asked
    │   ├── UnknownSpeakerError            no such person in this recording
    │   └── OutputExistsError              would overwrite, or two outputs on one path
    ├── InputError                exit 1   this input cannot be processed
    │   ├── MediaError                     not found, not media, truncated, corrupt
    │   ├── NoAudioError                   nothing to listen to
    │   ├── NoVideoError                   nothing to look at
    │   └── NoFaceError                    nobody to point at
    ├── OutputError               exit 1   the result cannot be written (full, read-only)
    │   └── ContainerError        exit 2   the kind of file asked for cannot hold it
    └── MissingError              exit 3   something needed is not here
        ├── MissingWeightsError            a model file is absent
        ├── CorruptWeightsError            a model file is not what its hash or spec says
        └── MissingExtraError              an optional package is not installed
"""

from __future__ import annotations


class AvseError(Exception):
    """Base of the tree.

    Args:
        message: what went wrong, in one line, naming the file.
        hint: what the user can do next, in one line.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AvseError):
    """The request cannot be met as asked."""

    exit_code = 2


class UnknownSpeakerError(UsageError):
    """No person with that number, or at that place, in the recording."""


class OutputExistsError(UsageError):
    """An output would overwrite a file, or two outputs share one path."""


class InputError(AvseError):
    """This input cannot be processed."""


class MediaError(InputError):
    """The file is not found, not media, truncated or corrupt."""


class NoAudioError(InputError):
    """The recording has no sound."""


class NoVideoError(InputError):
    """The recording has no moving picture."""


class NoFaceError(InputError):
    """No face was found in the picture."""


class OutputError(AvseError):
    """The result cannot be written."""


class ContainerError(OutputError):
    """The kind of file asked for cannot hold the picture or the sound."""

    exit_code = 2


class MissingError(AvseError):
    """Something needed is not installed or not downloaded."""

    exit_code = 3


class MissingWeightsError(MissingError):
    """A model file is absent."""


class CorruptWeightsError(MissingError):
    """A model file does not match its hash, its specification or its format."""


class MissingExtraError(MissingError):
    """An optional package is not installed."""
