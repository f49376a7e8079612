"""Cut the example into clips of one person each, with only that person's voice.

python examples/duet_clips.py clips

Then `avse prepare clips -o pack --test-share 0 --valid-share 0` makes a pack from them, on which
`train-tiny.toml` trains. It has two people and 13 s: enough to try every step, but not to train a
useful network.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from avse.media import AudioReader, read_frames

HERE = Path(__file__).parent
PEOPLE = ("collins", "hopper")
RATE, FPS, FRAMES = 48_000, Fraction(25), 53


def main(folder: Path) -> None:
    """Write FOLDER/PERSON/NUMBER.mp4: three clips of 2.1 s of each person."""
    images = [frame.image for frame in read_frames(HERE / "duet.mp4")]
    for number, person in enumerate(PEOPLE):
        with AudioReader(HERE / f"duet.{number + 1}.flac", rate_hz=RATE, mono=True) as reader:
            sound = np.concatenate([block.samples[0] for block in reader])
        half = images[0].shape[1] // 2
        side = slice(number * half, (number + 1) * half)
        for clip in range(len(images) // FRAMES):
            first = clip * FRAMES
            at = round(first * RATE / FPS)
            write(
                folder / person / f"{clip + 1}.mp4",
                [image[:, side] for image in images[first : first + FRAMES]],
                sound[at : at + round(FRAMES * RATE / FPS)],
            )


def write(path: Path, images: list[NDArray[np.uint8]], sound: NDArray[np.float32]) -> None:
    """Write pictures (height, width, 3) and sound (samples,) as H.264 and AAC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=FPS, options={"crf": "18"})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        for image in images:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
        samples = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), "fltp", "mono")
        samples.sample_rate = RATE
        file.mux(audio.encode(samples))
        file.mux(audio.encode(None))
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
