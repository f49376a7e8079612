"""Tasks of a worker: probe or separate a file, with network and face backend loaded once."""

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
    from avse.inference.networks import SeparationNetwork


_TRIAL_S = 3.0


@dataclass(frozen=True)
class ProbeTask:
    """Task: probe a file.

    Attributes:
        source: absolute path.
        request: the request of the batch.
    """

    source: str
    request: Request


@dataclass(frozen=True)
class Probed:
    """Description of a probed file.

    Attributes:
        media_s: length of the requested part in seconds; None if the file has no duration.
        bytes: approximate size of that part of the file.
        width, height: size of the picture in pixels.
        frame_rate: pictures per second.
        sample_bytes: bytes per second of a voice in an uncompressed file.
    """

    media_s: float | None
    bytes: int
    width: int
    height: int
    frame_rate: float
    sample_bytes: int


@dataclass(frozen=True)
class CleanTask:
    """Task: separate a file.

    Attributes:
        source: absolute path.
        request: the request of the batch.
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
    """Task: separate the beginning of a file to measure the speed; outputs are discarded.

    Attributes:
        source: absolute path.
        request: the request of the batch.
        rule_of_thumb_s: expected seconds of work per second of the recording.
    """

    source: str
    request: Request
    rule_of_thumb_s: float


@dataclass(frozen=True)
class Tried:
    """Measured and expected duration of a trial.

    Attributes:
        start_s: seconds until the worker was ready.
        seconds: seconds of work.
        rule_s: expected seconds of work, by rule of thumb.
    """

    start_s: float
    seconds: float
    rule_s: float


@dataclass(frozen=True)
class Cleaned:
    """Result of a file.

    Attributes:
        input_mark: mark of the file that was read.
        outputs: the files, still in the folder of the task.
        people: number of people found.
        warnings: warnings for the user.
        corrected: digest of the corrections that were used, if there are any.
    """

    input_mark: Mark
    outputs: tuple[Output, ...]
    people: int
    warnings: tuple[str, ...]
    corrected: str | None = None


def make_task_runner(number: int, *, device: str) -> Work:
    """Set up a worker.

    Args:
        number: number of the worker. The first one uses the GPU, if there is one; the GPU is
            hidden from the others, which compute on the CPU.
        device: as the user gave it.
    """
    if number > 0 and device != "mps":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return TaskRunner("cpu" if number > 0 else device)


class TaskRunner:
    """Performs the tasks of a worker.

    Args:
        device: where to compute.
    """

    def __init__(self, device: str) -> None:
        import warnings

        warnings.simplefilter("ignore")  # messages of libraries are not shown here
        for name in ("GLOG_minloglevel", "TF_CPP_MIN_LOG_LEVEL", "ABSL_MIN_LOG_LEVEL"):
            os.environ.setdefault(name, "3")
        self._device = device
        self._networks: dict[str, SeparationNetwork] = {}
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
        settings = replace(task.request.settings, cache=False)  # a second run must not be faster
        request = replace(task.request, settings=settings)
        with tempfile.TemporaryDirectory(prefix="avse-") as name:
            cut = Path(name) / "beginning.mkv"
            try:
                copy_beginning(Path(task.source), cut, seconds=_TRIAL_S)
            except (OSError, ValueError) as error:
                raise MediaError(
                    f"{task.source} cannot be copied: {error}", "try another"
                ) from error
            for attempt in ("cold", "warm"):  # the additional time of the first run is the start
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

    def _tools(
        self, request: Request, device: str, hook: Hook
    ) -> tuple[SeparationNetwork, FaceBackend]:
        from avse.faces.detect import open_backend
        from avse.inference.networks import open_network

        settings = request.settings
        if settings.model not in self._networks:
            hook("model", 0.0, None)
            self._networks[settings.model] = open_network(settings.model, device=device)
        if settings.faces not in self._backends:
            self._backends[settings.faces] = open_backend(settings.faces, device=device)
        return self._networks[settings.model], self._backends[settings.faces]


def look_into(task: ProbeTask) -> Probed:
    """Describe a file.

    Raises:
        MediaError, NoVideoError, NoAudioError: it is not a recording to work on.
        ContainerError: videos of the kind that is wanted cannot hold it.
        UsageError: the requested part is outside the recording.
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
