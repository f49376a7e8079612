"""Does the asked person's voice come out? Two-face videos through the whole command line.

Puts clips of two people side by side, adds their voices at -5 to 5 dB, asks `avse separate` for
both, and compares what it writes with the clean voices:

    python benchmarks/two_faces.py CLIPS_OF_ONE_PERSON CLIPS_OF_ANOTHER --count 50

Any folders of talking-head clips with clean sound will do. Prints the mean improvement in SI-SDR
with its 95 % bootstrap interval, and how often the estimate is closer to the asked person than to
the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from avse.cli import main as avse
from avse.media import AudioReader, probe, read_frames, resample
from avse.metrics import si_sdr

RATE_HZ = 44_100
FPS = 25
FloatArray = npt.NDArray[np.float32]


def read_clip(path: Path) -> tuple[list[npt.NDArray[np.uint8]], FloatArray]:
    """Pictures at 25 fps and mono sound, both from the first picture on."""
    info = probe(path)
    assert info.video is not None
    frames = list(read_frames(path))
    first = frames[0].time
    times = np.array([float(f.time - first) for f in frames])
    count = round((times[-1] + 1 / FPS) * FPS)
    pictures = [frames[int(np.abs(times - k / FPS).argmin())].image for k in range(count)]
    with AudioReader(path, mono=True) as reader:
        sound = np.concatenate([block.samples for block in reader], axis=-1)
        late = round((first - reader.start) * reader.sample_rate)
        sound = sound[:, late:] if late >= 0 else np.pad(sound, ((0, 0), (-late, 0)))
        sound = resample(sound, reader.sample_rate, RATE_HZ)[0]
    length = count * RATE_HZ // FPS
    return pictures, np.pad(sound[:length], (0, max(0, length - len(sound)))).astype(np.float32)


def write_video(path: Path, pictures: list[npt.NDArray[np.uint8]], sound: FloatArray) -> None:
    """H.264 and AAC in MP4."""
    with av.open(str(path), "w") as container:
        height, width = (2 * (n // 2) for n in pictures[0].shape[:2])
        video = container.add_stream("libx264", rate=FPS, options={"crf": "20"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        audio.bit_rate = 192_000
        for picture in pictures:
            image = np.ascontiguousarray(picture[:height, :width])
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def mix(
    rng: np.random.Generator, left: Path, right: Path, video: Path
) -> tuple[FloatArray, FloatArray]:
    """Write a two-face video; give the voices (2, samples) and their level difference applied."""
    (a, x), (b, y) = read_clip(left), read_clip(right)
    count = min(len(a), len(b))
    height = min(a[0].shape[0], b[0].shape[0])
    pictures = [
        np.concatenate([p[:height], q[:height]], axis=1) for p, q in zip(a, b, strict=False)
    ]
    length = count * RATE_HZ // FPS
    ratio_db = rng.uniform(-5, 5)
    x, y = x[:length], y[:length]
    x = x / np.sqrt(np.mean(x**2)) * 10 ** (ratio_db / 40)
    y = y / np.sqrt(np.mean(y**2)) * 10 ** (-ratio_db / 40)
    voices = np.stack([x, y]) * np.float32(0.9) / np.abs(x + y).max()
    write_video(video, pictures[:count], voices.sum(axis=0))
    return voices, np.array([ratio_db], np.float32)


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def run(arguments: list[str]) -> None:
    """Run the command line in this process; a second one would load the network each time."""
    try:
        avse(arguments)
    except SystemExit as stop:
        if stop.code:
            raise


def main() -> None:
    """Make the videos, separate them, score them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("people", nargs=2, type=Path, help="a folder of clips for each person")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=None)
    parser.add_argument("--keep", type=Path, help="keep videos and voices in this folder")
    parser.add_argument("--json", type=Path, help="write every item's scores here")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    folders = [sorted(p for p in f.iterdir() if p.is_file()) for f in options.people]
    items: list[dict[str, float | int | str]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        base = options.keep or Path(scratch)
        base.mkdir(parents=True, exist_ok=True)
        for n in range(options.count):
            sides = [
                folders[0][rng.integers(len(folders[0]))],
                folders[1][rng.integers(len(folders[1]))],
            ]
            if rng.random() < 0.5:
                sides.reverse()
            video = base / f"pair{n:03d}.mp4"
            voices, ratio = mix(rng, sides[0], sides[1], video)
            model = ["--model", options.model] if options.model else []
            run(
                [
                    "separate",
                    str(video),
                    "-o",
                    str(base),
                    "--name",
                    "{stem}.{speaker}.wav",
                    "-f",
                    "-q",
                    *model,
                ]
            )
            with AudioReader(video, mono=True) as reader:
                mixture = np.concatenate([block.samples for block in reader], axis=-1)[0]
            for person in (1, 2):
                with AudioReader(base / f"pair{n:03d}.{person}.wav", mono=True) as reader:
                    estimate = np.concatenate([block.samples for block in reader], axis=-1)[0]
                length = voices.shape[-1]
                own, other = voices[person - 1], voices[2 - person]
                score = si_sdr(estimate[:length], own)
                wrong = si_sdr(estimate[:length], other)
                before = si_sdr(mixture[:length], own)
                assert before is not None
                items.append(
                    {
                        "video": video.name,
                        "person": person,
                        "level_db": float(ratio[0]) * (1 if person == 1 else -1),
                        "before_db": before,
                        "after_db": -np.inf if score is None else score,
                        "other_db": -np.inf if wrong is None else wrong,
                    }
                )
            print(f"\r{n + 1}/{options.count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    after = np.array([float(i["after_db"]) for i in items])
    silent = ~np.isfinite(after)
    before = np.array([float(i["before_db"]) for i in items])
    gain = (after - before)[~silent]
    right = np.array([float(i["after_db"]) > float(i["other_db"]) for i in items])
    low, high = interval(gain)
    print(f"{options.count} videos, {len(items)} voices, {time.monotonic() - began:.0f} s")
    print(f"SI-SDR improvement: mean {gain.mean():.2f} dB (95 % {low:.2f} to {high:.2f}), ", end="")
    print(f"median {np.median(gain):.2f} dB; {silent.sum()} answers silent")
    print(f"right voice: {100 * right.mean():.1f} % ({right.sum()} of {len(right)})")
    if options.json:
        options.json.write_text(json.dumps(items, indent=1))


if __name__ == "__main__":
    main()
