"""Test the reliability of `avse batch`, and measure its speed and memory, on videos from clips.

    python benchmarks/batch_bars.py CLIPS --parts tree kill speed memory

- tree: 200 short videos, 10 of them broken in different ways, with two jobs. All good ones have to
  be done, the ten have to be listed, and the exit code has to be 1; a rerun may only try the ten.
- kill: kill -9 of the parent at 20 random times, then a rerun. The outputs have to be those of an
  uninterrupted run, no file may be half-written, and the manifest has to be valid.
- speed: two jobs compared with one.
- memory: of the parent, over 1,000 inputs that need no work (text files; see tests/batch/fake.py).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from itertools import cycle, islice
from pathlib import Path

import av

from avse.batch.manifest import read_records
from avse.media import copy_beginning
from avse.utils.fingerprint import sha256

BROKEN = 10


def one_track(source: Path, path: Path, kind: str) -> None:
    """Write a copy of a file with only its sound or only its picture."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = getattr(old.streams, kind)[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)


def break_ten(folder: Path, good: Path) -> None:
    """Write ten files, each broken in another way."""
    folder.mkdir()
    content = good.read_bytes()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video\n" * 50)
    (folder / "head.mp4").write_bytes(content[:100])
    # An MP4 without its index (moov), as after a power failure of the camera.
    (folder / "cut short.mp4").write_bytes(b"\0\0\0\x14ftypisom\0\0\2\0mp41" + content)
    (folder / "zeros.mkv").write_bytes(bytes(50_000))
    (folder / "noise.avi").write_bytes(random.Random(0).randbytes(50_000))
    (folder / "dangling.mp4").symlink_to("nowhere.mp4")
    one_track(good, folder / "no sound.mkv", "video")
    one_track(good, folder / "no picture.mkv", "audio")
    with av.open(str(folder / "nobody.mp4"), "w") as file:
        picture = file.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 96, 64, "yuv420p"
        sound = file.add_stream("aac", rate=16000, layout="mono")
        for _ in range(25):
            file.mux(picture.encode(av.VideoFrame(96, 64, "yuv420p")))
        file.mux(picture.encode(None))
        frame = av.AudioFrame("s16", "mono", 16000)
        frame.sample_rate = 16000
        file.mux(sound.encode(frame))
        file.mux(sound.encode(None))


def make_tree(clips: Path, folder: Path, count: int, seconds: float) -> Path:
    """Write good videos to sub-folders, by copying packets."""
    found = sorted(p for p in clips.rglob("*") if p.suffix in (".mp4", ".mpg", ".mkv", ".mov"))
    for number, clip in enumerate(islice(cycle(found), count)):
        path = folder / f"day {number % 7}" / f"{number:03}.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        copy_beginning(clip, path, seconds=seconds)
    return folder


def batch(source: Path, output: Path, *more: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "avse", "batch", str(source), "-o", str(output), "-q", *more]


def timed(command: list[str]) -> tuple[int, float, str]:
    """Run a command; returns its exit code, seconds, and stdout."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, time.monotonic() - began, done.stdout


def sums(output: Path) -> dict[str, str]:
    """Output -> its sha256."""
    return {
        str(p.relative_to(output)): sha256(p)
        for p in sorted(output.rglob("*.wav"))
        if ".avse-batch" not in p.parts
    }


def tree(clips: Path, folder: Path, count: int) -> None:
    """Run the test "tree"."""
    source = make_tree(clips, folder / "in", count - BROKEN, 1.2)
    break_ten(source / "broken", next(source.rglob("*.mkv")))
    for label in ("first run", "rerun"):
        code, took, out = timed(batch(source, folder / "out", "-j", "2", "--json"))
        about = json.loads(out)
        print(
            f"{label}: exit {code}, {took:.1f} s; done {about['done']}, before "
            f"{about['done_before']}, failed {len(about['failed'])}",
            flush=True,
        )
    for failed in about["failed"]:
        print(f"    {Path(failed['input']).name}: {failed['message']}")


def kill(clips: Path, folder: Path, moments: int, count: int) -> None:
    """Run the test "kill"."""
    source = make_tree(clips, folder / "killed in", count, 1.2)
    code, calm_s, _ = timed(batch(source, folder / "calm", "-j", "2"))
    chance = random.Random(1)
    good = 0
    for moment in range(moments):
        output = folder / f"killed {moment}"
        process = subprocess.Popen(
            batch(source, output, "-j", "2"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        after = chance.uniform(0.5, calm_s)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        calm = sums(folder / "calm")
        half = [name for name, digest in sums(output).items() if calm.get(name) != digest]
        again, _, _ = timed(batch(source, output, "-j", "2"))
        records = list(read_records(output / "avse-batch.jsonl"))
        left = [p.name for p in (output / ".avse-batch").iterdir()]
        fine = sums(output) == calm and not half and None not in records and left == ["cards"]
        good += fine and again == code == 0
        print(f"killed after {after:.1f} s: {'as undisturbed' if fine else 'DIFFERS'}", flush=True)
        shutil.rmtree(output)
    print(f"{good} of {moments} as an undisturbed run ({calm_s:.1f} s)")


def speed(clips: Path, folder: Path, count: int) -> None:
    """Measure the speed with one job and with two."""
    source = make_tree(clips, folder / "speed in", count, 3.0)
    took = {}
    for jobs in (1, 2):
        code, took[jobs], _ = timed(batch(source, folder / f"speed {jobs}", "-j", str(jobs)))
        print(f"{jobs} jobs: exit {code}, {took[jobs]:.1f} s", flush=True)
    same = sums(folder / "speed 1") == sums(folder / "speed 2")
    print(f"two jobs are {took[1] / took[2]:.2f} times as fast; same bytes: {same}")


def memory(folder: Path, count: int) -> None:
    """Measure the memory of the parent over inputs that need no work."""
    from tests.batch import fake

    source = folder / "words"
    for number in range(count):
        path = source / f"{number % 20}" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("voices 2")
    seen: list[tuple[int, float]] = []
    stop = threading.Event()
    manifest = folder / "words out" / "avse-batch.jsonl"

    def watch() -> None:
        while not stop.wait(0.5):
            text = Path("/proc/self/status").read_text()
            held = next(line for line in text.splitlines() if line.startswith("VmRSS"))
            done = manifest.read_bytes().count(b"\n") if manifest.exists() else 0
            seen.append((done, int(held.split()[1]) / 1024))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    summary = fake.clean(source, folder / "words out").summary
    took = time.monotonic() - began
    stop.set()
    watcher.join()
    for share in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0):
        done, held = min(seen, key=lambda s: abs(s[0] - share * count))
        print(f"parent after {done} items: {held:.1f} MB")
    print(f"{count} items without work: {took:.1f} s; done {summary.done}")


def main() -> None:
    """Read the options, and run the parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--parts", nargs="+", default=["tree", "kill", "speed", "memory"])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--moments", type=int, default=20)
    options = parser.parse_args()
    os.environ["AVSE_CACHE_GB"] = "0"  # without a cache, each run detects faces
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "tree" in options.parts:
            tree(options.clips, folder, options.count)
        if "speed" in options.parts:
            speed(options.clips, folder, 80)
        if "kill" in options.parts:
            kill(options.clips, folder, options.moments, 12)
        if "memory" in options.parts:
            memory(folder, 1000)


if __name__ == "__main__":
    main()
