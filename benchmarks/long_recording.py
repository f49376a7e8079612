"""Measure memory and time on long recordings.

Loops a clip to recordings of one and of ten minutes by copying packets, and runs `avse separate`,
and the search for faces alone, on each in their own processes. It prints the peak memory and the
real-time factors:

    python benchmarks/long_recording.py some-720p-clip.mp4 --minutes 1 10
    python benchmarks/long_recording.py examples/duet.mp4 --height 720 --faces native mediapipe

The parts (decoding, faces, network and masks, writing) are measured on the shortest recording, one
after another, in this process. Processor time is printed in addition to wall clock, because other
work on the machine hardly changes it.
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

LOOK = "import sys, avse; avse.look(sys.argv[1], avse.Settings(faces=sys.argv[2]))"


def looped(clip: Path, path: Path, seconds: float) -> float:
    """Write a clip repeatedly to a Matroska file, by copying packets.

    Args:
        clip: the file to read.
        path: the file to write.
        seconds: its minimal length.

    Returns:
        Its length in seconds, a multiple of that of the clip.
    """
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        streams = [s for s in source.streams if s.type in ("video", "audio")]
        outputs = {s.index: target.add_stream_from_template(s) for s in streams}
        length = Fraction(source.duration or 0, av.time_base)
        offset = Fraction(0)
        while offset < seconds:
            source.seek(0)
            for packet in source.demux(streams):
                if packet.pts is None or (packet.stream.type == "audio" and packet.pts < 0):
                    continue  # the decoder's run-in would overlap the end of the last repetition
                ticks = round(offset / packet.time_base)
                packet.pts += ticks
                packet.dts = packet.pts if packet.dts is None else packet.dts + ticks
                packet.stream = outputs[packet.stream.index]
                target.mux(packet)
            offset += length
    return float(offset)


def enlarged(clip: Path, path: Path, height: int) -> None:
    """Encode the picture of a clip as H.264 of another height; the sound is copied.

    Args:
        clip: the file to read.
        path: the MP4 file to write.
        height: of the picture, in pixels.
    """
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        picture, sound = source.streams.video[0], source.streams.audio[0]
        rate = picture.average_rate or Fraction(25)
        video = target.add_stream("libx264", rate=rate, options={"crf": "20"})
        video.height, video.pix_fmt = height, "yuv420p"
        video.width = round(picture.width * height / picture.height / 2) * 2
        audio = target.add_stream_from_template(sound)
        for packet in source.demux(picture, sound):
            if packet.stream is sound:
                if packet.pts is not None:
                    packet.stream = audio
                    target.mux(packet)
                continue
            for frame in picture.codec_context.decode(packet):
                larger = frame.reformat(video.width, video.height, "yuv420p")
                larger.pts, larger.time_base = frame.pts, frame.time_base
                target.mux(video.encode(larger))
        target.mux(video.encode(None))


def measured(arguments: list[str]) -> tuple[float, float, float]:
    """Run a process; returns seconds of wall clock and of processors, and peak memory in MB."""
    code = (
        "import resource, subprocess, sys, time; t = time.monotonic(); "
        "r = subprocess.run(sys.argv[1:]).returncode; "
        "u = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(time.monotonic() - t, u.ru_utime + u.ru_stime, u.ru_maxrss / 1024); sys.exit(r)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds, processor_s, megabytes = (float(value) for value in out.stdout.split()[-3:])
    return seconds, processor_s, megabytes


def parts(path: Path, seconds: float, faces: str) -> Iterator[tuple[str, float]]:
    """Measure the processor time of each part, divided by the length of the recording."""
    from avse.dsp.stft import SAMPLE_RATE
    from avse.inference.mask_estimator import MaskEstimator
    from avse.inference.networks import open_network
    from avse.media import AudioReader, StemWriter, probe, read_frames
    from avse.scene.scene import look
    from avse.settings import Settings

    settings = Settings(faces=faces)
    began = time.process_time()
    for _ in read_frames(path, max_side=settings.face_side):
        pass
    decode = time.process_time() - began
    yield "decode the picture", decode / seconds
    began = time.process_time()
    scene = look(path, settings)
    yield "faces (beyond decoding)", (time.process_time() - began - decode) / seconds
    network = open_network(settings.model)
    lips = [person.lips for person in scene.people]
    estimator = MaskEstimator(network, lips, window_s=settings.window_s, overlap=settings.overlap)
    began = time.process_time()
    with AudioReader(path, rate_hz=SAMPLE_RATE, mono=True) as reader:
        for _ in estimator.masks(block.samples for block in reader):
            pass
    yield f"network, {len(scene.people)} people", (time.process_time() - began) / seconds
    audio = probe(path).audio[0]
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder, AudioReader(path) as reader:
        target = Path(folder) / "copy.wav"
        rate, channels = audio.sample_rate, audio.channels
        with StemWriter(target, sample_rate=rate, channels=channels, source=audio) as writer:
            for block in reader:
                writer.write(block.samples)
            writer.close()
    yield "decode and write one stem", (time.process_time() - began) / seconds


def main() -> None:
    """Make the recordings, run avse, and print the measurements."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--faces", nargs="+", default=["native"], help="face backends to compare")
    parser.add_argument("--height", type=int, help="scale the clip to this height first")
    options = parser.parse_args()
    os.environ["AVSE_CACHE_GB"] = "0"  # without a cache, each run detects faces
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip
        if options.height:
            clip = Path(folder) / "clip.mp4"
            enlarged(options.clip, clip, options.height)
        lengths = {}
        for minutes in sorted(options.minutes):
            path = Path(folder) / f"{minutes:g}min.mkv"
            lengths[path] = looped(clip, path, 60 * minutes)
            for faces in options.faces:
                command = [sys.executable, "-m", "avse", "separate", str(path), "-o", folder]
                whole = measured([*command, "-f", "-q", "--faces", faces])
                alone = measured([sys.executable, "-c", LOOK, str(path), faces])
                for what, took in (("separate", whole), ("faces alone", alone)):
                    seconds, processor_s, megabytes = took
                    print(
                        f"{minutes:g} min, {faces}, {what}: {seconds:.0f} s, "
                        f"real-time factor {seconds / lengths[path]:.3f}, "
                        f"of processors {processor_s / lengths[path]:.3f}, "
                        f"peak memory {megabytes:.0f} MB",
                        flush=True,
                    )
        shortest = min(lengths, key=lambda path: lengths[path])
        for faces in options.faces:
            print(f"{faces}:")
            for name, factor in parts(shortest, lengths[shortest], faces):
                print(f"    {name}: {factor:.3f}", flush=True)


if __name__ == "__main__":
    main()
