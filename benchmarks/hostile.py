"""Test damaged and hostile files for crashes and other harm.

    python benchmarks/hostile.py [--cases 300] [--seed 0] [--jobs 2] [--only 17 42] [--keep FOLDER]

Makes short recordings (MP4, Matroska, AVI, MPEG-TS, WAV) from the shipped example, small weights,
and manifests of `avse mix` and `avse batch`. Each case damages one of these files: bytes are
changed, cut off, zeroed, doubled or removed; fields of headers and values of JSON are set to
extremes. Recordings go to `avse inspect` and `avse separate`, weights to `avse separate`, and
manifests to the verb that reads them, each in its own process. A run fails if it

- prints a traceback or an internal error, or ends with an exit code other than 0 to 3,
- ends with an error but without a line with `error:`,
- is killed by a signal, or takes more than twice the processor time plus 3 s, or more than twice
  the memory plus 200 MB, of the undamaged file,
- leaves an output after an error, an output that cannot be read or that it did not print, or a
  temporary file,
- changes anything outside its output folder.

The same seed gives the same cases. Prints a table and the failures; the exit code is 1 if there are
failures. It runs on Linux only, because it reads memory from /proc.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soundfile

DUET = Path(__file__).resolve().parent.parent / "examples" / "duet.mp4"
LENGTH_S = 1.6
TIMES, MORE_S, MORE_MB = 2.0, 3.0, 200.0
MOST_MB, MOST_S = 6000.0, 300.0
"""A run that exceeds these limits is killed, to protect the machine."""

CODECS = {"mp4": ("libx264", "aac"), "mkv": ("libx264", "aac"), "avi": ("mpeg4", "pcm_s16le")}
CODECS["ts"] = CODECS["mp4"]
MARKS = {
    "mp4": b"moov mvhd tkhd mdhd elst stts stsc stsz stco ctts stsd avc1 mp4a esds hdlr".split(),
    # Segment, time scale, duration; track, type, codec, rate, channels, size; cluster, its time.
    "mkv": [
        *(b"\x18\x53\x80\x67", b"\x2a\xd7\xb1", b"\x44\x89"),
        *(b"\xae", b"\x83", b"\x86", b"\xb5", b"\x9f", b"\xb0", b"\xba"),
        *(b"\x1f\x43\xb6\x75", b"\xe7"),
    ],
    "avi": b"RIFF avih strh strf idx1 movi 00dc 01wb".split(),
    "ts": [b"G"],
    "wav": [b"RIFF", b"fmt ", b"data"],
}
EXTREMES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 999_983, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
VALUES = (
    *(b"0", b"-1", b"1e9", b"100000000", b"0.5", b"null", b"NaN", b"[]", b"{}", b'"x"', b"true"),
    *(b'"../victim.txt"', b'"/etc/hostname"', b'"\\u0000"', b'"' + b"x" * 200_000 + b'"'),
    b"[" * 5000 + b"]" * 5000,
)
VALUE = re.compile(rb'-?\d+(?:\.\d+)?|"(?:[^"\\]|\\.)*"|true|false|null')
NUMBER = re.compile(rb"\d+")

Run = tuple[str, tuple[str, ...]]
"""Name of a run, and the arguments of avse; {} is replaced by the damaged file."""


@dataclass(frozen=True)
class Kind:
    """A kind of file to damage, and the runs that read it.

    Attributes:
        name: in the table.
        path: the undamaged file.
        runs: the runs that read the file.
        header: changes a field of the header to an extreme value.
        given: name -> file that has to be in the folder of the case.
    """

    name: str
    path: Path
    runs: tuple[Run, ...]
    header: Callable[[bytes, random.Random], tuple[bytes, str]]
    given: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Result of a run: exit code (negative: a signal), processor seconds, peak MB, and faults."""

    kind: str
    run: str
    case: int
    what: str
    code: int
    seconds: float
    megabytes: float
    faults: tuple[str, ...]


def flip(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    changed = bytearray(data)
    count = min(len(data), 2 ** dice.randrange(7))
    for at in dice.sample(range(len(data)), count):
        changed[at] = dice.randrange(256)
    return bytes(changed), f"{count} bytes changed"


def cut(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    length = dice.randrange(len(data))
    return data[:length], f"cut off at {length} of {len(data)}"


def blank(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    at, size = stretch(data, dice)
    return data[:at] + bytes(size) + data[at + size :], f"{size} bytes blanked at {at}"


def double(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    at, size = stretch(data, dice)
    return data[: at + size] + data[at:], f"{size} bytes doubled at {at}"


def drop(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    at, size = stretch(data, dice)
    return data[:at] + data[at + size :], f"{size} bytes taken out at {at}"


def stretch(data: bytes, dice: random.Random) -> tuple[int, int]:
    """Draw the start and the length of a part, at most a quarter of the data."""
    return dice.randrange(len(data)), dice.randint(1, max(1, len(data) // 4))


def field_edit(marks: Sequence[bytes]) -> Callable[[bytes, random.Random], tuple[bytes, str]]:
    """Set one to three numbers after some marks, or the sizes before these, to extremes."""

    def edit(data: bytes, dice: random.Random) -> tuple[bytes, str]:
        changed, said = bytearray(data), []
        here = [mark for mark in marks if mark in data]
        for _ in range(dice.randint(1, 3)):
            mark = dice.choice(here)
            places = [found.start() for found in re.finditer(re.escape(mark), data)]
            at = max(0, dice.choice(places) + dice.choice((-4, *range(len(mark), 60))))
            size = dice.choice((1, 2, 4, 4, 8))
            value = dice.choice(EXTREMES) & (256**size - 1)
            changed[at : at + size] = value.to_bytes(size, dice.choice(("big", "little")))
            said.append(f"{mark!r}: {size} bytes at {at} = {value:#x}")
        return bytes(changed), "; ".join(said)

    return edit


def value_edit(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    """Set one to three values of JSON to other values."""
    said = []
    for _ in range(dice.randint(1, 3)):
        found = dice.choice(list(VALUE.finditer(data)))
        value = dice.choice(VALUES)
        data = data[: found.start()] + value + data[found.end() :]
        said.append(f"{found[0][:30]!r} = {value[:30]!r}")
    return data, "; ".join(said)


def sealed_edit(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    """Set values in a manifest of `avse mix`, and correct its hash if it is still JSON."""
    data, what = value_edit(data, dice)
    first, _, rest = data.partition(b"\n")
    try:
        header = json.loads(first)
        header.pop("sha256", None)
        text = f"{json.dumps(header)}\n".encode() + rest
    except (ValueError, AttributeError, RecursionError):
        return data, what
    header["sha256"] = hashlib.sha256(text).hexdigest()
    return json.dumps(header).encode() + b"\n" + rest, what


def weights_edit(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    """Change the header of safetensors with its length, or all tensors."""
    size = int.from_bytes(data[:8], "little")
    head, body = data[8 : 8 + size], data[8 + size :]
    if dice.random() < 0.2:
        number = dice.choice((float("nan"), float("inf"), 1e30))
        body = np.full(len(body) // 4, number, np.float32).tobytes()
        return data[: 8 + size] + body, f"all weights {number}"
    if dice.random() < 0.3:
        head, what = value_edit(head, dice)
    else:  # a number of the specification, which comes before the tensors, or of the tensors
        end = head.find(b'"dtype"') if dice.random() < 0.8 else -1
        found = dice.choice(list(NUMBER.finditer(head[:end])))
        value = dice.choice((b"0", b"-1", b"100000000", b"1000000000", b"40000", b"0.5", b"[]"))
        head = head[: found.start()] + value + head[found.end() :]
        near = head[max(0, found.start() - 24) : found.start()]
        what = f"{near!r}: {found[0]!r} = {value!r}"
    return len(head).to_bytes(8, "little") + head + body, what


def encode(path: Path, codecs: tuple[str, str]) -> None:
    """Encode the beginning of the duet, at a small size."""
    with (
        av.open(str(DUET)) as source,
        av.open(str(path), "w", options={"fflags": "+bitexact"}) as to,
    ):
        picture = to.add_stream(codecs[0], rate=25, options={"threads": "1", "crf": "23"})
        sound = to.add_stream(codecs[1], rate=48_000, layout="mono")
        assert isinstance(picture, av.VideoStream)
        assert isinstance(sound, av.AudioStream)
        picture.width, picture.height, picture.pix_fmt = 320, 180, "yuv420p"
        for frame in source.decode(source.streams.video[0]):
            if frame.time is None or frame.time >= LENGTH_S:
                break
            small = frame.reformat(320, 180, "yuv420p")
            small.pict_type = av.video.frame.PictureType.NONE
            to.mux(picture.encode(small))
        to.mux(picture.encode(None))
        samples = heard()
        block = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        block.sample_rate, block.pts, block.time_base = 48_000, 0, Fraction(1, 48_000)
        to.mux(sound.encode(block))
        to.mux(sound.encode(None))


def heard() -> npt.NDArray[np.int16]:
    """Decode the sound of the beginning of the duet, (samples,)."""
    with av.open(str(DUET)) as source:
        blocks = [frame.to_ndarray()[0] for frame in source.decode(source.streams.audio[0])]
    return np.asarray(np.concatenate(blocks)[: round(LENGTH_S * 48_000)] * 32767, np.int16)


def small_weights(path: Path) -> None:
    """Write the weights of a small untrained network."""
    import torch

    from avse.models.network import AVSENet
    from avse.models.spec import AVSESpec
    from avse.models.weights import save

    torch.manual_seed(1)
    few = dict.fromkeys(("visual_channels", "fine_channels", "coarse_channels"), 16)
    short = {"audio_dilations": (1,), "fusion_dilations": (1,), "mask_blocks": 1}
    spec = AVSESpec(**few, **short, encoder_blocks=1, phase_channels=16, phase_blocks=1)  # type: ignore[arg-type]
    save(AVSENet(spec).eval(), path)


def make_kinds(folder: Path) -> Iterator[Kind]:
    """Write the undamaged files, and yield their kinds."""
    look: Run = ("inspect", ("inspect", "{}"))
    separate: Run = ("separate", ("separate", "{}", "-o", "out"))
    for suffix, codecs in CODECS.items():
        encode(folder / f"talk.{suffix}", codecs)
        yield Kind(suffix, folder / f"talk.{suffix}", (look, separate), field_edit(MARKS[suffix]))
    wav = folder / "talk.wav"
    soundfile.write(wav, heard(), 48_000)
    yield Kind("wav", wav, (look, separate), field_edit(MARKS["wav"]))

    talk = {"talk.mp4": folder / "talk.mp4"}
    weights = folder / "small.safetensors"
    # In another process: the peak memory of later children includes that of this one at the fork.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(small_weights, weights).result()
    run: Run = ("separate", ("separate", "talk.mp4", "-m", "./{}", "-o", "out"))
    yield Kind("weights", weights, (run,), weights_edit, talk)

    people = folder / "clips"
    for name in ("anna", "ben"):
        (people / name).mkdir(parents=True)
        shutil.copy(folder / "talk.mp4", people / name / "1.mp4")
    avse("mix", str(people), "--count", "2", "--no-video", "-o", str(folder / "set"))
    run = ("mix", ("mix", "clips", "--list", "{}", "-o", "out"))
    yield Kind("mix set", folder / "set/manifest.jsonl", (run,), sealed_edit, {"clips": people})

    avse("batch", str(folder / "talk.mp4"), "-o", str(folder / "batch"), "-j", "1")
    (note,) = (folder / "batch").glob("*.jsonl")
    run = ("batch", ("batch", "talk.mp4", "-o", "out", "-j", "1"))
    yield Kind("batch note", note, (run,), value_edit, talk)


def avse(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "avse", *arguments], check=True, capture_output=True)


def damaged(kind: Kind, seed: int, case: int) -> tuple[bytes, str]:
    """Damage the file of a case; returns the data, and a description of the damage."""
    dice = random.Random(f"{seed}/{case}")
    how = dice.choice((flip, flip, cut, blank, double, drop, *[kind.header] * 4))
    return how(kind.path.read_bytes(), dice)


def attempt(
    kind: Kind, run: Run, data: bytes, folder: Path, most: tuple[float, float]
) -> tuple[int, float, float, list[str]]:
    """Run avse on a damaged file; returns exit code, processor seconds, peak MB, and faults."""
    name = kind.path.name
    for part, source in kind.given.items():
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    target = folder / name
    if kind.name == "batch note":  # the manifest has to name the input of this folder
        target = folder / "out" / name
        data = data.replace(os.fsencode(kind.path.parents[1]), os.fsencode(folder))
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(data)
    (folder / "victim.txt").write_text("untouched")
    (folder / "temporary").mkdir()
    before = contents(folder)
    code, seconds, megabytes, out, err = watched(
        [sys.executable, "-m", "avse", *(part.replace("{}", name) for part in run[1])], folder
    )
    faults = []
    if code not in (0, 1, 2, 3):
        faults.append(f"ended with {code}" if code >= 0 else signal.Signals(-code).name)
    for line in err.splitlines():
        if "Traceback" in line or "internal error" in line:
            faults.append(line.strip())
    if code > 0 and "error:" not in err:
        faults.append("failed without an error message")
    if seconds > TIMES * most[0] + MORE_S:
        faults.append(f"{seconds:.1f} s of processor time, the undamaged file {most[0]:.1f} s")
    if megabytes > TIMES * most[1] + MORE_MB:
        faults.append(f"{megabytes:.0f} MB, the undamaged file {most[1]:.0f} MB")
    if contents(folder) != before:
        faults.append("changed something outside its output folder")
    if any((folder / "temporary").iterdir()):
        faults.append("left temporary files")
    if run[0] == "separate":
        faults += half_written(folder, code, out)
    return code, seconds, megabytes, faults


def contents(folder: Path) -> dict[str, bytes]:
    """Name -> content of the files that must not change."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in ("out", "temporary")
    }


def half_written(folder: Path, code: int, out: str) -> Iterator[str]:
    """Yield the faults of the outputs of `separate`."""
    named = {str(Path(line)) for line in out.splitlines()} if code == 0 else set()
    found = {str(p.relative_to(folder)) for p in (folder / "out").rglob("*") if p.is_file()}
    if found != named:
        yield f"exit code {code}, and there are {sorted(found) or 'no files'}"
    for name in sorted(found & named):
        try:
            samples, _ = soundfile.read(folder / name)
        except soundfile.LibsndfileError as error:
            yield f"{name} cannot be read: {error}"
            continue
        if not len(samples) or not np.isfinite(samples).all():
            yield f"{name} has no samples, or some that are not finite"


def watched(command: Sequence[str], folder: Path) -> tuple[int, float, float, str, str]:
    """Run a command, and kill it beyond `MOST_MB` or `MOST_S`.

    Returns:
        Exit code, processor seconds, peak MB, stdout and stderr.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AVSE_")}
    environment |= {"TMPDIR": str(folder / "temporary"), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        began = time.monotonic()
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.02)
            if time.monotonic() - began > MOST_S or resident_mb(process.pid) > MOST_MB:
                os.killpg(process.pid, signal.SIGKILL)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        texts = [read_back(stream) for stream in (out, err)]
    return code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, texts[0], texts[1]


def read_back(stream: io.IOBase) -> str:
    stream.seek(0)
    return bytes(stream.read()).decode(errors="replace")


def resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def tell(outcomes: Sequence[Outcome]) -> None:
    """Print a line for each kind and verb, then the failures."""
    print("what        verb       cases  done  refused  failed  most s  most MB")
    key = lambda one: (one.kind, one.run)  # noqa: E731
    for (kind, run), group in groupby(sorted(outcomes, key=key), key):
        rows = list(group)
        failed = sum(bool(row.faults) for row in rows)
        done = sum(row.code == 0 and not row.faults for row in rows)
        print(
            f"{kind:11s} {run:9s} {len(rows):6d} {done:5d} {len(rows) - done - failed:8d}"
            f" {failed:7d} {max(r.seconds for r in rows):7.1f}"
            f" {max(r.megabytes for r in rows):8.0f}"
        )
    for row in outcomes:
        if row.faults:
            print(faults_of(row))


def faults_of(row: Outcome) -> str:
    faults = "; ".join(row.faults)
    return f"case {row.case}, {row.kind}, {row.run}: {faults}\n    after: {row.what}"


def main() -> None:
    """Make the files, damage them, run avse on them, and print the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of cases")
    parser.add_argument("--keep", type=Path, help="folder for the damaged files that failed")
    chosen = parser.parse_args()
    os.environ["AVSE_CACHE_GB"] = "0"  # without a cache, each run detects faces
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(chosen.jobs) as pool:
        (Path(scratch) / "good").mkdir()
        kinds = list(make_kinds(Path(scratch) / "good"))
        most: dict[tuple[str, str], tuple[float, float]] = {}

        def one(kind: Kind, run: Run, data: bytes, what: str, case: int) -> Outcome:
            limit = most.get((kind.name, run[0]), (MOST_S, MOST_MB))
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                code, seconds, megabytes, faults = attempt(kind, run, data, Path(folder), limit)
            if faults and chosen.keep:
                chosen.keep.mkdir(parents=True, exist_ok=True)
                (chosen.keep / f"{case}-{kind.path.name}").write_bytes(data)
            return Outcome(kind.name, run[0], case, what, code, seconds, megabytes, tuple(faults))

        numbers = chosen.only or range(chosen.cases)
        for kind in [kinds[n] for n in sorted({number % len(kinds) for number in numbers})]:
            for run in kind.runs:
                good = one(kind, run, kind.path.read_bytes(), "undamaged", -1)
                if good.faults or (good.code != 0 and kind.name != "wav"):
                    raise SystemExit(f"{kind.name}, {run[0]}, undamaged: {good}")
                most[kind.name, run[0]] = good.seconds, good.megabytes
                cost = f"{good.seconds:.1f} s, {good.megabytes:.0f} MB"
                print(f"undamaged {kind.name}, {run[0]}: {cost}", file=sys.stderr)

        def case(number: int) -> list[Outcome]:
            kind = kinds[number % len(kinds)]
            data, what = damaged(kind, chosen.seed, number)
            return [one(kind, run, data, what, number) for run in kind.runs]

        for number, found in enumerate(pool.map(case, numbers), 1):
            outcomes += found
            for row in found:
                if row.faults:
                    print(faults_of(row), file=sys.stderr)
            if number % 10 == 0:
                print(f"{number} cases", file=sys.stderr)
    tell(outcomes)
    raise SystemExit(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    main()
