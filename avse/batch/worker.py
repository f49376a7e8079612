"""What a worker does: look into a file, or clean it; network and face backend are loaded once."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avse.batch.manifest import Output
from avse.batch.originals import CopyTask, copy_sound
from avse.batch.request import Request
from avse.batch.staging import CARD, finished_files
from avse.batch.worker_process import Hook, Work
from avse.errors import MediaError
from avse.scene.part import find_part
from avse.utils.file_state import Mark, mark_of
from avse.utils.fingerprint import sha256

if TYPE_CHECKING:
    from avse.faces.detect import FaceBackend
    from avse.models.network import AVSENet


_TRIAL_S = 3.0


@dataclass(frozen=True)
class ProbeTask:
    """Say what a file holds.

    Attributes:
        source: absolute path.
        request: what is wanted.
    """

    source: str
    request: Request


@dataclass(frozen=True)
class Probed:
    """What a file holds.

    Attributes:
        media_s: length in seconds of what is wanted of it, None where the file does not say.
        bytes: of that part of the file, about.
        width, height: of the picture.
        frame_rate: pictures a second.
        sample_bytes: bytes a second of a voice in an uncompressed file.
    """

    media_s: float | None
    bytes: int
    width: int
    height: int
    frame_rate: float
    sample_bytes: int


@dataclass(frozen=True)
class CleanTask:
    """Clean a file.

    Attributes:
        source: absolute path.
        request: what is wanted.
        window_s: of the network, seconds.
        folder: where outputs are made; a path that does not exist.
        below: folder of the outputs, relative to that of the batch.
    """

    source: str
    request: Request
    window_s: float
    folder: str
    below: str


@dataclass(frozen=True)
class TryTask:
    """Clean the beginning of a file to see how long that takes; nothing of it is kept.

    Attributes:
        source: absolute path.
        request: what is wanted.
        rule_of_thumb_s: what a second of it is expected to take.
    """

    source: str
    request: Request
    rule_of_thumb_s: float


@dataclass(frozen=True)
class Tried:
    """What a trial took, and was expected to take.

    Attributes:
        start_s: until the worker was ready to work.
        seconds: the work.
        rule_s: the same by rule of thumb.
    """

    start_s: float
    seconds: float
    rule_s: float


@dataclass(frozen=True)
class Cleaned:
    """What came of a file.

    Attributes:
        input_mark: what was read.
        outputs: the files, still in the folder of the task.
        people: how many were seen.
        warnings: what the user should know.
        corrected: digest of the corrections that were used, if there are any.
    """

    input_mark: Mark
    outputs: tuple[Output, ...]
    people: int
    warnings: tuple[str, ...]
    corrected: str | None = None


def make_bench(number: int, *, device: str) -> Work:
    """Set a worker up.

    Args:
        number: of the worker. The first owns the GPU, if there is one; the others compute on the
            CPU and do not even see it.
        device: as the user gave it.
    """
    if number > 0 and device != "mps":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return Bench("cpu" if number > 0 else device)


class Bench:
    """A worker's tools.

    Args:
        device: where to compute.
    """

    def __init__(self, device: str) -> None:
        import warnings

        warnings.simplefilter("ignore")  # of libraries; nobody reads them here
        for name in ("GLOG_minloglevel", "TF_CPP_MIN_LOG_LEVEL", "ABSL_MIN_LOG_LEVEL"):
            os.environ.setdefault(name, "3")
        self._device = device
        self._networks: dict[str, AVSENet] = {}
        self._backends: dict[str, FaceBackend] = {}

    def __call__(self, task: Any, hook: Hook) -> Probed | Tried | Cleaned | None:
        """Do a task.

        Raises:
            AvseError: it cannot be done.
        """
        if isinstance(task, ProbeTask):
            return look_into(task)
        if isinstance(task, CopyTask):
            copy_sound(task)
            return None
        return self._try(task, hook) if isinstance(task, TryTask) else self._clean(task, hook)

    def _try(self, task: TryTask, hook: Hook) -> Tried:
        from avse.media import copy_beginning, probe

        took = []
        settings = replace(task.request.settings, cache=False)  # the second time would be too quick
        request = replace(task.request, settings=settings)
        with tempfile.TemporaryDirectory(prefix="avse-") as name:
            cut = Path(name) / "beginning.mkv"
            try:
                copy_beginning(Path(task.source), cut, seconds=_TRIAL_S)
            except (OSError, ValueError) as error:
                raise MediaError(
                    f"{task.source} cannot be copied: {error}", "try another"
                ) from error
            for attempt in ("cold", "warm"):  # what the first takes longer is the start
                began = time.monotonic()
                folder = str(Path(name) / attempt)
                self._clean(CleanTask(str(cut), request, settings.window_s, folder, "."), hook)
                took.append(time.monotonic() - began)
            length = probe(cut).duration
        cold_s, warm_s = took
        rule_s = task.rule_of_thumb_s * float(length or _TRIAL_S)
        return Tried(max(0.0, cold_s - warm_s), warm_s, rule_s)

    def _clean(self, task: CleanTask, hook: Hook) -> Cleaned:
        from avse.batch.cards import write_card
        from avse.models.device import pick_device
        from avse.separation.job import carry_out

        source, folder = Path(task.source), Path(task.folder)
        hook("reading", 0.0, None)
        try:
            state = source.stat()
            digest = sha256(source)
        except OSError as error:
            raise MediaError(
                f"{source} cannot be read: {error.strerror}", "check its access rights"
            ) from error
        device = pick_device(self._device)
        job = task.request.job(source, folder, window_s=task.window_s, device=device)
        corrected = task.request.corrected(digest)
        network, backend = self._tools(task.request, device, hook)
        done = carry_out(job, progress=hook, network=network, backend=backend)
        hook("finishing", 0.0, None)
        if mark_of(source.stat(), digest) != mark_of(state, digest):
            raise MediaError(f"{source} changed while it was read", "run again when it is whole")
        outputs = finished_files(folder, done.paths, Path(task.below))
        write_card(folder / CARD, source, task.request.settings, done)
        return Cleaned(
            mark_of(state, digest), tuple(outputs), len(done.people), done.warnings, corrected
        )

    def _tools(self, request: Request, device: str, hook: Hook) -> tuple[AVSENet, FaceBackend]:
        from avse.faces.detect import open_backend
        from avse.models.weights import load

        settings = request.settings
        if settings.model not in self._networks:
            hook("model", 0.0, None)
            self._networks[settings.model] = load(settings.model, device=device)
        if settings.faces not in self._backends:
            self._backends[settings.faces] = open_backend(settings.faces, device=device)
        return self._networks[settings.model], self._backends[settings.faces]


def look_into(task: ProbeTask) -> Probed:
    """Say what a file holds.

    Raises:
        MediaError, NoVideoError, NoAudioError: it is not a recording to work on.
        ContainerError: videos of the kind that is wanted cannot hold it.
        UsageError: the part that is wanted does not lie in it.
    """
    from avse.media import check_remux, probe
    from avse.media.probe import plausible_s
    from avse.scene.scene import choose_tracks

    info, request = probe(task.source), task.request
    settings = request.settings
    track, suffix = settings.track, request.suffix
    video, audio = choose_tracks(info, track, settings.picture)
    assert audio is not None
    part, size = find_part(info, settings), Path(task.source).stat().st_size
    whole = info.duration
    if whole is not None:
        whole = Fraction(plausible_s(float(whole), size))
    length = part.length(info.start, whole)
    share = length / whole if length is not None and whole else Fraction(1)
    if request.naming(info.path, Path()).is_video:
        keep = request.keep_original_audio
        check_remux(info.path, suffix, track=track, keep_original_audio=keep)
    bits = 32 if audio.bits_per_sample is None else max(16, min(32, audio.bits_per_sample))
    return Probed(
        media_s=None if length is None else float(length),
        bytes=round(share * size),
        width=video.width,
        height=video.height,
        frame_rate=float(video.average_rate or 25),
        sample_bytes=audio.sample_rate * audio.channels * bits // 8,
    )
