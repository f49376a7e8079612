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
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avse.cli import main as avse
from avse.media import AudioReader
from avse.metrics import si_sdr
from avse.mixtures.corpus import Clip, Corpus, find_clips
from avse.mixtures.making import make_set
from avse.mixtures.plan import plan_corpus
from avse.mixtures.settings import SetSettings

RATE_HZ = 44_100
FloatArray = npt.NDArray[np.float32]


def corpus_of(folders: list[Path]) -> Corpus:
    """Clips of two people, a folder each."""
    folders = [folder.resolve() for folder in folders]
    root = Path(os.path.commonpath([folder.parent for folder in folders]))
    clips = [
        Clip((folder.relative_to(root) / path).as_posix(), str(number))
        for number, folder in enumerate(folders, 1)
        for path in find_clips(folder, pictures=True)
    ]
    return Corpus(root, tuple(clips))


def read_sound(path: Path) -> FloatArray:
    """(samples,) mono."""
    with AudioReader(path, mono=True) as reader:
        sound: FloatArray = np.concatenate([block.samples for block in reader], axis=-1)[0]
        return sound


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def run(arguments: list[str]) -> None:
    """Run the command line in this process; a second one would load the network each time."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the paths written are known
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
    parser.add_argument("--keep", type=Path, help="keep the set and the estimates in this folder")
    parser.add_argument("--json", type=Path, help="write every item's scores here")
    options = parser.parse_args()
    corpus = corpus_of(options.people)
    settings = SetSettings(count=options.count, seed=options.seed, sample_rate=RATE_HZ)
    plan = plan_corpus(corpus, settings)
    for failure in plan.failures:
        print(f"{failure.id}: {failure.error.message}", file=sys.stderr)
    items: list[dict[str, float | int | str]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        base = options.keep or Path(scratch) / "set"
        made = make_set(plan, base, clips=corpus.root, overwrite=True)
        (base / "estimates").mkdir(exist_ok=True)
        model = ["--model", options.model] if options.model else []
        for n, item in enumerate(plan.manifest.items, 1):
            if item.id not in (*made.made, *made.kept) or item.outputs.video is None:
                continue
            where = ["-o", str(base / "estimates"), "--name", "{stem}.{speaker}.wav"]
            run(["separate", str(base / item.outputs.video), *where, "-f", "-q", *model])
            mixture = read_sound(base / item.outputs.mixture)
            voices = [read_sound(base / path) for path in item.outputs.references]
            for person in (1, 2):
                estimate = read_sound(base / "estimates" / f"{item.id}.{person}.wav")
                estimate = estimate[: item.samples]
                own, other = voices[person - 1], voices[2 - person]
                score, wrong = si_sdr(estimate, own), si_sdr(estimate, other)
                mixed = si_sdr(mixture, own)
                assert mixed is not None
                items.append(
                    {
                        "video": item.outputs.video,
                        "person": person,
                        "level_db": item.sir_db[person - 1],
                        "before_db": mixed,
                        "after_db": -np.inf if score is None else score,
                        "other_db": -np.inf if wrong is None else wrong,
                    }
                )
            print(f"\r{n}/{options.count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    after = np.array([float(i["after_db"]) for i in items])
    silent = ~np.isfinite(after)
    before = np.array([float(i["before_db"]) for i in items])
    gain = (after - before)[~silent]
    right = np.array([float(i["after_db"]) > float(i["other_db"]) for i in items])
    low, high = interval(gain)
    print(f"{len(items) // 2} videos, {len(items)} voices, {time.monotonic() - began:.0f} s")
    print(f"SI-SDR improvement: mean {gain.mean():.2f} dB (95 % {low:.2f} to {high:.2f}), ", end="")
    print(f"median {np.median(gain):.2f} dB; {silent.sum()} answers silent")
    print(f"right voice: {100 * right.mean():.1f} % ({right.sum()} of {len(right)})")
    if options.json:
        options.json.write_text(json.dumps(items, indent=1))


if __name__ == "__main__":
    main()
