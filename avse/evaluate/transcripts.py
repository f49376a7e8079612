"""Word error rate, by a recogniser that is already there: faster-whisper, or any command.

A command gets the path of a WAV file in the place of {} (or at its end) and prints the words.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from avse.errors import CorruptWeightsError, InputError, MissingExtraError, MissingWeightsError
from avse.metrics import Score, not_defined

Transcriber = Callable[[Path], str]
"""Path of a sound file -> the words in it."""

FASTER_WHISPER = "faster-whisper"
COMMAND_TIMEOUT_S = 600

_NEEDED = "a model of faster-whisper is a folder with model.bin, config.json and tokenizer.json"


def open_transcriber(name: str) -> Transcriber:
    """The recogniser of that name.

    Args:
        name: "faster-whisper", "faster-whisper:MODEL" (a size such as "small.en", or the folder of
            a model), or a command. Models are never downloaded.

    Returns:
        The recogniser, which raises InputError for a sound that it cannot hear.

    Raises:
        InputError: the name is empty.
        MissingExtraError: faster-whisper, or the command, is not installed.
        MissingWeightsError: its model is not on this machine.
        CorruptWeightsError: the folder holds no model.
    """
    kind, _, model = name.partition(":")
    return _faster_whisper(model or "small") if kind == FASTER_WHISPER else _command(name)


def _faster_whisper(model: str) -> Transcriber:
    try:
        whisper = import_module("faster_whisper")
    except ImportError as error:
        raise MissingExtraError(
            "the recogniser faster-whisper is not installed",
            "pip install faster-whisper, or give --transcriber a command that prints text",
        ) from error
    folder = Path(model)
    if folder.is_dir() and not (folder / "tokenizer.json").is_file():
        # faster-whisper would go online for it.
        raise CorruptWeightsError(f"{folder} holds no tokenizer.json", _NEEDED)
    try:
        loaded = whisper.WhisperModel(model, device="auto", local_files_only=True)
    except Exception as error:  # of huggingface_hub, tokenizers or CTranslate2, which have many
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

    def hear(path: Path) -> str:
        try:
            segments, _ = loaded.transcribe(str(path), beam_size=5, temperature=0.0)
            return " ".join(segment.text for segment in segments)
        except Exception as error:  # of PyAV or CTranslate2
            raise InputError(
                f"faster-whisper failed on {path.name}: {error}", "try another --transcriber"
            ) from error

    return hear


def _command(line: str) -> Transcriber:
    words = shlex.split(line)
    if not words:
        raise InputError("--transcriber is empty", "give faster-whisper, or a command")
    if shutil.which(words[0]) is None:
        raise MissingExtraError(
            f"the recogniser {words[0]!r} is not installed", "check --transcriber"
        )

    def hear(path: Path) -> str:
        sound = str(path)
        filled = [word.replace("{}", sound) for word in words]
        if filled == words:
            filled.append(sound)
        try:
            done = subprocess.run(
                filled,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise InputError(
                f"the recogniser {words[0]!r} failed on {path.name}: {lines[-1] if lines else ''}",
                "try the command by itself",
            ) from error
        return done.stdout

    return hear


def normalise(text: str) -> list[str]:
    """Words in lower case, without punctuation (apostrophes in words stay)."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return re.findall(r"\w+(?:'\w+)*", plain)


def word_error_rate(heard: str, said: str) -> Score:
    """Insertions, deletions and substitutions for each word that was said; 0 is best.

    Args:
        heard: words in the estimate.
        said: words in the reference.
    """
    hypothesis, truth = normalise(heard), normalise(said)
    if not truth:
        return not_defined("there are no words in the reference")
    return Score(_distance(hypothesis, truth) / len(truth))


def _distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]
