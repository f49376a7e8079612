"""Speech recognisers that are installed on this machine: faster-whisper, or any command.

A command gets the path of a WAV file in place of {} or at its end, and prints the words: as plain
text, or with times as SubRip or WebVTT.
"""

from __future__ import annotations

import itertools
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from avse.errors import (
    CorruptWeightsError,
    InputError,
    MissingExtraError,
    MissingWeightsError,
    UsageError,
)
from avse.transcription.subtitles import Cue, read_cues, tidy

FASTER_WHISPER = "faster-whisper"

_POLL_S = 0.2  # time between two calls of `stopped`

_NEEDED = "a model of faster-whisper is a folder with model.bin, config.json and tokenizer.json"


@dataclass(frozen=True)
class Transcript:
    """The output of a recogniser.

    Attributes:
        text: the words.
        cues: the words with times in seconds from the beginning of the file; None without times.
    """

    text: str
    cues: tuple[Cue, ...] | None = None


class Transcriber(Protocol):
    """A speech recogniser."""

    @property
    def timed(self) -> bool | None:
        """Whether its output has times; None until it has recognised words."""

    def hear(self, path: Path, stopped: Callable[[], bool] = lambda: False) -> Transcript:
        """Transcribe a sound file.

        Args:
            path: the sound file.
            stopped: called repeatedly; if it returns True, recognition is aborted.

        Raises:
            InputError: the sound cannot be transcribed, or the recogniser was stopped.
        """


def name_of(line: str) -> str:
    """A short name of a recogniser: a command without its folder and arguments."""
    if line.partition(":")[0] == FASTER_WHISPER:
        return line
    return Path(shlex.split(line)[0]).name


def open_transcriber(name: str, *, option: str, patience_s: float = 600) -> Transcriber:
    """Open a recogniser.

    Args:
        name: "faster-whisper", "faster-whisper:MODEL" (a size such as "small.en", or the folder of
            a model), or a command. Models are never downloaded.
        option: the option with the name, such as "--transcribe", for messages.
        patience_s: maximum time of a command for one file, in seconds.

    Raises:
        UsageError: the name is empty, or not a valid command line.
        MissingExtraError: faster-whisper or the command is not installed.
        MissingWeightsError: the model is not on this machine.
        CorruptWeightsError: the folder has no complete model.
    """
    kind, _, model = name.partition(":")
    if kind == FASTER_WHISPER:
        return FasterWhisper(model or "small", option)
    return Command(name, option, patience_s)


class FasterWhisper:
    """A model of faster-whisper.

    Args:
        model: its size, or its folder.
        option: see `open_transcriber`.
    """

    timed = True

    def __init__(self, model: str, option: str) -> None:
        self._model, self._option = _load_whisper(model, option), option

    def hear(self, path: Path, stopped: Callable[[], bool] = lambda: False) -> Transcript:
        """Transcribe a sound file; see `Transcriber.hear`.

        Raises:
            InputError: the file cannot be read or transcribed.
        """
        try:
            segments, _ = self._model.transcribe(str(path), beam_size=5, temperature=0.0)
            heard = itertools.takewhile(lambda _: not stopped(), segments)
            cues = tuple(Cue(s.start, s.end, tidy(s.text)) for s in heard)
        except Exception as error:  # from PyAV or CTranslate2
            raise InputError(
                f"faster-whisper failed on {path.name}: {error}", f"try another {self._option}"
            ) from error
        return Transcript(" ".join(cue.text for cue in cues), cues)


def _load_whisper(model: str, option: str) -> Any:
    try:
        whisper = import_module("faster_whisper")
    except ImportError as error:
        raise MissingExtraError(
            "the recogniser faster-whisper is not installed",
            f'pip install "avse[transcribe]", or give {option} a command that prints text',
        ) from error
    folder = Path(model)
    if folder.is_dir() and not (folder / "tokenizer.json").is_file():
        # faster-whisper would download it.
        raise CorruptWeightsError(f"{folder} holds no tokenizer.json", _NEEDED)
    try:
        return whisper.WhisperModel(model, device="auto", local_files_only=True)
    except Exception as error:  # from huggingface_hub, tokenizers or CTranslate2
        if folder.is_dir():
            raise CorruptWeightsError(f"{folder} cannot be loaded: {error}", _NEEDED) from error
        if "/" not in model and model not in whisper.available_models():
            known = ", ".join(whisper.available_models())
            raise MissingWeightsError(
                f"faster-whisper has no model {model!r}", f"choose from: {known}; or name a folder"
            ) from error
        raise MissingWeightsError(
            f"the model {model!r} of faster-whisper is not on this machine",
            f'fetch it once: python -c "import faster_whisper as w; w.download_model({model!r})"; '
            f"or name the folder of a model: {FASTER_WHISPER}:path/to/model",
        ) from error


class Command:
    """A command that prints the words of a sound file.

    Args:
        line: the command line; {} is replaced by the path of the sound file, else it is appended.
        option, patience_s: see `open_transcriber`.
    """

    def __init__(self, line: str, option: str, patience_s: float) -> None:
        try:
            self._words = shlex.split(line)
        except ValueError as error:
            raise UsageError(
                f"{option} cannot be read: {error}", "close what is in quotes"
            ) from error
        if not self._words:
            raise UsageError(f"{option} is empty", "give faster-whisper, or a command")
        if shutil.which(self._words[0]) is None:
            raise MissingExtraError(
                f"the recogniser {self._words[0]!r} is not installed",
                f"check {option}: faster-whisper[:MODEL], or a command that prints text",
            )
        self._patience_s = patience_s
        self.timed: bool | None = None

    def hear(self, path: Path, stopped: Callable[[], bool] = lambda: False) -> Transcript:
        """Transcribe a sound file; see `Transcriber.hear`.

        Raises:
            InputError: the command fails, takes too long, or was stopped.
            MissingExtraError: the command prints subtitles, but pysubs2 is not installed.
        """
        printed = self._run(path, stopped)
        cues = read_cues(printed)
        if printed.strip():
            self.timed = cues is not None
        if cues is None:
            return Transcript(printed)
        return Transcript(" ".join(cue.text for cue in cues), tuple(cues))

    def _run(self, path: Path, stopped: Callable[[], bool]) -> str:
        sound = str(path)
        filled = [word.replace("{}", sound) for word in self._words]
        if filled == self._words:
            filled.append(sound)
        try:
            process = subprocess.Popen(
                filled,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
            with process:
                try:
                    return self._wait(process, stopped)
                except BaseException:
                    process.kill()
                    raise
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None)
            lines = (said if isinstance(said, str) else "").strip().splitlines() or [str(error)]
            raise InputError(
                f"the recogniser {self._words[0]!r} failed on {path.name}: {lines[-1]}",
                "try the command by itself",
            ) from error

    def _wait(self, process: subprocess.Popen[str], stopped: Callable[[], bool]) -> str:
        """Wait for the output of a command.

        Raises:
            SubprocessError: the command fails, takes too long, or was stopped.
        """
        end = time.monotonic() + self._patience_s
        while True:
            left_s = end - time.monotonic()
            try:
                printed, said = process.communicate(timeout=max(0.0, min(_POLL_S, left_s)))
            except subprocess.TimeoutExpired:
                if left_s <= 0:
                    raise subprocess.TimeoutExpired(process.args, self._patience_s) from None
                if stopped():
                    raise subprocess.SubprocessError("it was stopped") from None
                continue
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, process.args, printed, said)
            return printed
