"""Memory and time on long recordings: does memory grow, and where does the time go?

Loops a clip to recordings of one and of ten minutes (packets are copied, so it is quick), runs
`avse separate` on each in a process of its own, and prints peak memory and real-time factors:

    python benchmarks/long_recording.py some-720p-clip.mp4 --minutes 1 10

The parts (decode, faces, network and masks, write) are timed on the shortest recording, one after
the other, in this process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av


def looped(clip: Path, path: Path, seconds: float) -> None:
    """Write the clip over and over, as Matroska, without encoding anything."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        streams = [s for s in source.streams if s.type in ("video", "audio")]
        outputs = {s.index: target.add_stream_from_template(s) for s in streams}
        length = Fraction(source.duration or 0, av.time_base)
        offset = Fraction(0)
        while offset < seconds:
            source.seek(0)
            for packet in source.demux(streams):
                if packet.pts is None:
                    continue
                ticks = round(offset / packet.time_base)
                packet.pts += ticks
                packet.dts = packet.pts if packet.dts is None else packet.dts + ticks
                packet.stream = outputs[packet.stream.index]
                target.mux(packet)
            offset += length


def measured(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a process."""
    code = (
        "import resource, subprocess, sys, time; t = time.monotonic(); "
        "r = subprocess.run(sys.argv[1:]).returncode; "
        "print(time.monotonic() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
        "; sys.exit(r)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds, megabytes = out.stdout.split()[-2:]
    return float(seconds), float(megabytes)


def parts(path: Path, seconds: float) -> Iterator[tuple[str, float]]:
    """Time of each part on one recording, as shares of its length."""
    from avse.dsp.stft import SAMPLE_RATE
    from avse.inference.mask_estimator import MaskEstimator
    from avse.media import AudioReader, StemWriter, probe, read_frames
    from avse.models.weights import load
    from avse.scene.scene import look
    from avse.settings import Settings

    settings = Settings()
    began = time.monotonic()
    for _ in read_frames(path, max_side=settings.face_side):
        pass
    decode = time.monotonic() - began
    yield "decode the picture", decode / seconds
    began = time.monotonic()
    scene = look(path, settings)
    yield "faces (beyond decoding)", (time.monotonic() - began - decode) / seconds
    network = load(settings.model)
    lips = [person.lips for person in scene.people]
    estimator = MaskEstimator(network, lips, window_s=settings.window_s, overlap=settings.overlap)
    began = time.monotonic()
    with AudioReader(path, rate_hz=SAMPLE_RATE, mono=True) as reader:
        for _ in estimator.masks(block.samples for block in reader):
            pass
    yield f"network, {len(scene.people)} people", (time.monotonic() - began) / seconds
    audio = probe(path).audio[0]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, AudioReader(path) as reader:
        target = Path(folder) / "copy.wav"
        rate, channels = audio.sample_rate, audio.channels
        with StemWriter(target, sample_rate=rate, channels=channels, source=audio) as writer:
            for block in reader:
                writer.write(block.samples)
            writer.close()
    yield "decode and write one stem", (time.monotonic() - began) / seconds


def main() -> None:
    """Make the recordings, run, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    options = parser.parse_args()
    os.environ["AVSE_CACHE_GB"] = "0"  # each run looks for itself
    with tempfile.TemporaryDirectory() as folder:
        for minutes in sorted(options.minutes):
            path = Path(folder) / f"{minutes:g}min.mkv"
            looped(options.clip, path, 60 * minutes)
            command = [
                sys.executable,
                "-m",
                "avse",
                "separate",
                str(path),
                "-o",
                folder,
                "-f",
                "-q",
            ]
            seconds, megabytes = measured(command)
            print(
                f"{minutes:g} min: {seconds:.0f} s, real-time factor {seconds / 60 / minutes:.3f}, "
                f"peak memory {megabytes:.0f} MB",
                flush=True,
            )
        shortest = 60 * min(options.minutes)
        for name, factor in parts(Path(folder) / f"{min(options.minutes):g}min.mkv", shortest):
            print(f"    {name}: real-time factor {factor:.3f}", flush=True)


if __name__ == "__main__":
    main()
