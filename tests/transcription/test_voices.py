"""Voices in files, heard by real commands."""

from __future__ import annotations

import shlex
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.errors import InputError
from avse.media import NewTrack, remux
from avse.transcription.subtitles import Cue
from avse.transcription.voices import (
    SpeakerAudio,
    open_for_subtitles,
    transcribe,
    voice_in,
    write_subtitles,
)
from tests.media.media_files import Picture, Sound, write_media

pytest.importorskip("pysubs2", reason="pysubs2 (the extra dev) is not installed")

RATE = 48000

MEASURE = """
import sys, wave
with wave.open(sys.argv[1]) as sound:
    print(sound.getframerate(), sound.getnchannels(), sound.getsampwidth(), sound.getnframes())
    peak = max(map(abs, memoryview(sound.readframes(-1)).cast("h")))
    print("loud" if peak > 29000 else "soft")
"""
SAY_WHEN = """
import sys, wave
with wave.open(sys.argv[1]) as sound:
    seconds = sound.getnframes() / 16000
print(f"1\\n00:00:00,000 --> 00:00:00,500\\nbegin {seconds:g}\\n")
print(f"2\\n00:00:01,500 --> 00:00:02,000\\nmiddle\\n")
print(f"3\\n00:00:{int(seconds) - 1:02d},500 --> 00:01:00,000\\nend\\n")
print(f"4\\n00:01:00,000 --> 00:01:01,000\\nafter the end\\n")
"""


def command(program: str) -> str:
    return shlex.join([sys.executable, "-c", program])


def bursts(channels: int, *parts: tuple[float, float]) -> np.ndarray:
    """Sound of (seconds, level), one part after the other: (samples, channels)."""
    rng = np.random.default_rng(0)
    noise = [level * rng.uniform(-1, 1, (round(s * RATE), 1)) for s, level in parts]
    return np.tile(np.concatenate(noise), channels).astype(np.float32)


TALK = ((0.5, 0.0), (1.0, 0.01), (1.0, 0.0), (2.0, 0.02), (0.5, 0.0))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Heard from 0.5 to 1.5 s and from 2.5 to 4.5 s; 5.1, 48 kHz, floating point, soft."""
    path = tmp_path / "talk.1.wav"
    soundfile.write(path, bursts(6, *TALK), RATE, subtype="FLOAT")
    return path


def hear(path: Path, program: str, start_s: float = 0.0) -> list[Cue]:
    transcriber = open_for_subtitles(command(program), option="--transcribe")
    return transcribe(SpeakerAudio(path, 0, start_s), transcriber)


def test_a_part_of_a_voice_is_as_loud_as_the_whole(talk: Path, tmp_path: Path) -> None:
    transcriber = open_for_subtitles(command(MEASURE), option="--transcribe")
    heard = transcribe(SpeakerAudio(talk, 0, 0.0), transcriber, peak=0.2, folder=tmp_path)
    assert [cue.text.split()[-1] for cue in heard] == ["soft", "soft"]


def test_words_without_times_stand_where_the_voice_is_heard(talk: Path) -> None:
    first, second = hear(talk, MEASURE, start_s=10.0)
    assert (first.text, second.text) == ("16000 1 2 16640 soft", "16000 1 2 32640 loud")
    assert (first.start, first.stop) == pytest.approx((10.5, 11.5), abs=0.05)
    assert (second.start, second.stop) == pytest.approx((12.5, 14.5), abs=0.05)


def test_times_are_moved_to_those_of_the_voice(talk: Path) -> None:
    cues = hear(talk, SAY_WHEN)
    # Until it has answered nobody knows that this command gives times; so the first stretch is
    # heard alone, and no cue goes beyond it.
    assert [cue.text for cue in cues] == ["begin 1.04", "end", "begin 2.04", "middle", "end"]
    times = [(0.5, 1.0), (1.0, 1.5), (2.5, 3.0), (4.0, 4.5), (4.0, 4.5)]
    for cue, (start, stop) in zip(cues, times, strict=True):
        assert (cue.start, cue.stop) == pytest.approx((start, stop), abs=0.05)


def test_one_that_is_known_to_give_times_hears_all_at_once(talk: Path) -> None:
    transcriber = open_for_subtitles(command(SAY_WHEN), option="--transcribe")
    transcribe(SpeakerAudio(talk, 0, 0.0), transcriber)
    cues = transcribe(SpeakerAudio(talk, 0, 0.0), transcriber)
    # The cue in the middle lies in the pause, where nothing is said.
    assert [cue.text for cue in cues] == ["begin 4.04", "end"]
    assert (cues[1].start, cues[1].stop) == pytest.approx((4.0, 4.5), abs=0.05)


def test_nothing_is_asked_about_a_silent_voice(tmp_path: Path) -> None:
    path = tmp_path / "silent.flac"
    soundfile.write(path, np.zeros((RATE, 2)), RATE)
    assert hear(path, "raise SystemExit('asked')") == []


def test_a_recogniser_that_fails_names_the_voice(talk: Path) -> None:
    with pytest.raises(InputError, match=r"^talk\.1\.wav: .* at-0\.48s\.wav: no microphone$"):
        hear(talk, "raise SystemExit('no microphone')")


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_the_voice_of_a_video_is_the_track_that_plays(tmp_path: Path, container: str) -> None:
    silence = Sound(rate=RATE, layout="mono", samples=np.zeros((1, 6 * RATE), np.float32))
    late = Sound(rate=RATE, layout="mono", seconds=Fraction(5), start=Fraction(1))
    video = write_media(tmp_path / "talk.mp4", Picture(frames=150), silence, late)
    path = tmp_path / f"anna.{container}"
    new = NewTrack([bursts(1, *TALK).T], RATE, 1)
    remux(video, new, path, track=1, keep_original_audio=True)
    voice = voice_in(path, 99.0)
    assert voice.track == 1
    cues = transcribe(voice, open_for_subtitles(command(MEASURE), option="--transcribe"))
    assert [cue.start for cue in cues] == pytest.approx([1.5, 3.5], abs=0.1)


def test_one_that_cannot_be_heard_ends_the_work_but_not_what_was_done(
    talk: Path, tmp_path: Path
) -> None:
    fails = "import sys; sys.exit('2.04' in open(sys.argv[1], 'rb').read().hex())"
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(RATE), RATE)
    missing = tmp_path / "nowhere.wav"
    told: list[float] = []
    done = write_subtitles(
        {1: (talk, tmp_path / "1.srt"), 2: (silent, tmp_path / "2.srt"), 3: (missing, missing)},
        open_for_subtitles(command(fails), option="--transcribe"),
        sound_start_s=0.0,
        length_s=Fraction(5),
        progress=lambda stage, done_s, total_s: told.append(done_s),
        overwrite=False,
    )
    assert done.paths == {1: tmp_path / "1.srt", 2: tmp_path / "2.srt"}
    assert done.paths[2].read_bytes() == b""
    assert "silent.wav" in done.warnings[-1]
    assert done.failure is not None
    assert "nowhere.wav" in done.failure.message
    assert told == sorted(told)
