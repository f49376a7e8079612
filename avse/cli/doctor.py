"""`avse doctor`: report what is installed, what works and what is missing, for bug reports."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata

import typer

from avse import __version__
from avse.cli import options
from avse.cli.error_handling import MISSING
from avse.cli.tables import table
from avse.cli.terminal import terminal_of
from avse.errors import AvseError
from avse.settings import Settings
from avse.utils.processors import network_threads, usable_processors

EXAMPLES = options.examples(
    ("is everything here?", "avse doctor"),
    ("for a bug report", "avse doctor > report.txt"),
)

_PACKAGES = {
    **{name: name for name in ("av", "onnxruntime", "numpy", "scipy")},
    **{name: name for name in ("soundfile", "safetensors", "typer", "rich", "filelock", "jinja2")},
    **{name: name for name in ("soxr", "msgspec", "pystoi", "matplotlib", "starlette", "uvicorn")},
    "pillow": "PIL",
}
EXTRAS = {
    "torch": {"torch": "torch"},
    "identity": {"dlib-bin": "dlib", "face-recognition-models": "face_recognition_models"},
    "mediapipe": {"mediapipe": "mediapipe"},
    "face-alignment": {"face-alignment": "face_alignment"},
    "metrics": {"pesq": "pesq"},
    "preview": {"moviepy": "moviepy"},
    "transcribe": {"faster-whisper": "faster_whisper", "pysubs2": "pysubs2"},
    "cluster": {"ray": "ray"},
    "train": {"tensorboard": "torch.utils.tensorboard", "pyroomacoustics": "pyroomacoustics"},
}
"""For each extra: the packages that it installs, and a module of each whose import tests it."""

_MODULES_THAT_ONLY_HOLD_FILES = ("face_recognition_models",)
"""Its import needs a package that Python has removed; avse reads its files and never imports it."""

_DECODERS = ("h264", "aac")
_MORE_DECODERS = ("hevc", "vp8", "vp9", "av1", "mpeg4", "mp3", "opus", "flac", "ac3", "pcm_s16le")
_ENCODERS = ("aac",)
_MORE_ENCODERS = ("flac", "alac", "libopus|opus", "pcm_s16le")


_BAD = ("missing", "broken")


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        group: title under which the report lists it.
        name: name of the checked package, device, file or setting.
        status: "ok", "missing", "broken" (present, but does not work), or "info" (a plain fact).
        detail: version, reason or value.
        essential: True if avse cannot work without it.
    """

    group: str
    name: str
    status: str
    detail: str
    essential: bool = False


def doctor(
    context: typer.Context,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Check that everything avse needs is installed and works.

    Exit code 3 if something essential is missing. The report is plain text for bug reports,
    without names of your files.
    """
    terminal = terminal_of(context)
    checks: list[Check] = []
    for look in (_system, _packages, _devices, _codecs, _faces, _extras, _weights):
        checks += _guarded(look)
    missing = [check for check in checks if check.essential and check.status in _BAD]
    if as_json:
        terminal.result_json({"ok": not missing, "checks": [asdict(check) for check in checks]})
    else:
        rows = [[check.group, check.name, _mark(check), check.detail] for check in checks]
        for line in table(["", "", "status", ""], rows):
            terminal.result(line)
    if missing:
        names = ", ".join(f"{check.group} {check.name}" for check in missing)
        terminal.error(
            f"missing or broken: {names}", "reinstall avse; see `avse models verify` about weights"
        )
        raise typer.Exit(MISSING)
    terminal.note("everything essential is here")


def _mark(check: Check) -> str:
    if check.status in _BAD:
        return check.status.upper() if check.essential else f"{check.status} (optional)"
    return "" if check.status == "info" else check.status


def _guarded(look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Run the checks of a group; an exception becomes a finding and does not end the report."""
    try:
        yield from look()
    except Exception as error:
        group = look.__name__.strip("_")
        yield Check(group, "", "missing", _first_line(error), essential=True)


def _system() -> Iterator[Check]:
    yield Check("avse", "version", "info", __version__)
    yield Check("system", "python", "info", platform.python_version())
    yield Check("system", "os", "info", f"{platform.system()} {platform.release()}")
    yield Check("system", "machine", "info", platform.machine())
    yield Check("system", "cpus", "info", f"{usable_processors()} of {os.cpu_count()} usable")
    memory = _memory_gb()
    yield Check("system", "memory", "info", "unknown" if memory is None else f"{memory:.1f} GB")


def _memory_gb() -> float | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, ValueError, OSError):  # unknown on this system
        return None


def _packages() -> Iterator[Check]:
    for name, module in _PACKAGES.items():
        status, detail = _tried(name, module)
        yield Check("package", name, status, detail, essential=True)
    import av

    libraries = (f"{name} {'.'.join(map(str, v))}" for name, v in av.library_versions.items())
    yield Check("package", "FFmpeg", "ok", ", ".join(libraries))


def _devices() -> Iterator[Check]:
    from avse.models.device import has_torch, may_have_gpu

    yield Check("device", "cpu", "ok", f"{network_threads()} thread(s)")
    if not has_torch():
        seen = "there is a driver" if may_have_gpu() else "no driver was found"
        yield Check("device", "gpu", "missing", f'{seen}; GPUs need pip install "avse[torch]"')
        return
    try:
        import torch
    except Exception as error:
        yield Check("device", "gpu", "broken", f"PyTorch cannot be loaded: {_first_line(error)}")
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            detail = f"{about.name}, {about.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"
            yield Check("device", f"cuda:{index}", "ok", detail)
    else:
        yield Check("device", "cuda", "missing", "no GPU that PyTorch can use")
    if torch.backends.mps.is_available():
        yield Check("device", "mps", "ok", "")


def _codecs() -> Iterator[Check]:
    for kind, mode, needed, more in (
        ("decoder", "r", _DECODERS, _MORE_DECODERS),
        ("encoder", "w", _ENCODERS, _MORE_ENCODERS),
    ):
        for names in (*needed, *more):
            found = next((name for name in names.split("|") if _has_codec(name, mode)), None)
            essential = names in needed
            if found is None:
                yield Check(kind, names, "missing", "", essential)
            else:
                yield Check(kind, found, "ok", "", essential)


def _has_codec(name: str, mode: str) -> bool:
    import av
    from av.codec.codec import UnknownCodecError

    try:
        av.Codec(name, "r" if mode == "r" else "w")
    except UnknownCodecError:
        return False
    return True


def _tried(package: str, module: str) -> tuple[str, str]:
    """Whether a package is "ok", "missing" or "broken", and its version or the reason."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing", "not installed"
    try:
        if module not in _MODULES_THAT_ONLY_HOLD_FILES:
            importlib.import_module(module)
    except Exception as error:
        return "broken", f"{version} cannot be loaded: {_first_line(error)}"
    return "ok", version


def _faces() -> Iterator[Check]:
    from avse.faces.detect import open_backend

    try:
        open_backend(Settings.faces)
    except Exception as error:
        yield Check("faces", Settings.faces, "broken", _first_line(error), essential=True)
    else:
        yield Check("faces", Settings.faces, "ok", "opens", essential=True)


def _extras() -> Iterator[Check]:
    """For each extra: whether all of it works, what is wrong if not, and how to install it."""
    for extra, packages in EXTRAS.items():
        found = {name: _tried(name, module) for name, module in packages.items()}
        if extra == "identity" and all(status == "ok" for status, _ in found.values()):
            found["dlib-bin"] = _opened(found["dlib-bin"][1])
        states = {status for status, _ in found.values()}
        status = next((bad for bad in ("broken", "missing") if bad in states), "ok")
        shown = [f"{name} {detail}" for name, (state, detail) in found.items() if state == status]
        pip = "" if status == "ok" else f'; pip install "avse[{extra}]"'
        yield Check("extra", extra, status, ", ".join(shown) + pip)


def _opened(version: str) -> tuple[str, str]:
    """Like `_tried`, for the face recognition network, which also needs a model file."""
    from avse.faces.recognition import DlibRecogniser

    try:
        DlibRecogniser()
    except AvseError as error:
        return "broken", f"{version} cannot be used: {_first_line(error)}"
    return "ok", version


def _weights() -> Iterator[Check]:
    from avse.inference.offscreen_weights import check_weights
    from avse.utils.shipped import shipped

    models = shipped()
    if Settings.model not in [model.name for model in models]:
        yield Check("weights", Settings.model, "missing", "not shipped", essential=True)
    for model in models:
        default = model.name in (Settings.model, Settings.offscreen_model)
        try:
            check_weights(model.name)
        except AvseError as error:
            status = "broken" if model.path.is_file() else "missing"
            yield Check("weights", model.name, status, _first_line(error), essential=default)
        else:
            detail = f"verified, {model.megabytes:.1f} MB, sha256 {model.sha256[:12]}"
            yield Check("weights", model.name, "ok", detail, essential=default)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
