"""The shipped example: two people who talk at once, and each one's voice alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
VIDEO = EXAMPLES / "duet.mp4"
VOICES = (EXAMPLES / "duet.1.flac", EXAMPLES / "duet.2.flac")
FRAME_RATE_HZ = 25

# mediapipe 0.10.21 calls this function, which some of the protobuf versions it accepts deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")


@pytest.fixture(scope="module")
def frames() -> list[NDArray[np.uint8]]:
    with av.open(str(VIDEO)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


@pytest.fixture(scope="module")
def mixture() -> NDArray[np.float64]:
    with av.open(str(VIDEO)) as file:
        blocks = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    return np.concatenate(blocks).astype(np.float64)


@pytest.fixture(scope="module")
def voices() -> NDArray[np.float64]:
    return np.stack([soundfile.read(path)[0] for path in VOICES])


@pytest.fixture(scope="module")
def solutions() -> Any:
    mediapipe = pytest.importorskip("mediapipe", reason="MediaPipe has no wheels here")
    return mediapipe.solutions


def test_files_are_small_enough_to_ship() -> None:
    for path in (VIDEO, *VOICES):
        assert 0 < path.stat().st_size < 1_000_000


def test_tracks_start_at_zero_and_end_together() -> None:
    with av.open(str(VIDEO)) as file:
        picture, sound = file.streams.video[0], file.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert picture.average_rate == FRAME_RATE_HZ
        assert picture.start_time == sound.start_time == 0
        lengths_s = {stream.duration * stream.time_base for stream in (picture, sound)}
        for path in VOICES:
            voice = soundfile.info(path)
            assert (voice.samplerate, voice.channels) == (sound.rate, sound.channels)
            lengths_s.add(voice.frames / sound.rate)
    assert len({float(length_s) for length_s in lengths_s}) == 1


def test_voices_add_up_to_the_mixture(
    mixture: NDArray[np.float64], voices: NDArray[np.float64]
) -> None:
    clean = voices.sum(axis=0)
    assert mixture.shape == clean.shape
    size = 2 * len(clean)
    spectrum = np.fft.rfft(mixture, size) * np.conj(np.fft.rfft(clean, size))
    assert np.argmax(np.fft.irfft(spectrum)) == 0  # samples of lag
    error = mixture - clean
    snr_db = 10 * np.log10(np.sum(clean**2) / np.sum(error**2))
    assert snr_db > 27  # 31.1 dB as shipped: what AAC at 128 kbit/s costs


def test_voices_are_equally_loud_and_overlap(voices: NDArray[np.float64]) -> None:
    power = np.mean(voices**2, axis=1)
    assert abs(10 * np.log10(power[0] / power[1])) < 0.1
    blocks = voices.reshape(2, -1, 1920)  # 40 ms
    first, second = np.sqrt(np.mean(blocks**2, axis=2)) > 0.01
    assert np.mean(first & second) > 0.5
    assert np.mean(first & ~second) > 0.1
    assert np.mean(second & ~first) > 0.1


@pytest.mark.parametrize("step", [1, 2])
def test_both_faces_are_found(frames: list[NDArray[np.uint8]], solutions: Any, step: int) -> None:
    """At full size and at half of it."""
    with solutions.face_detection.FaceDetection(model_selection=1) as detector:
        for frame in frames[::16]:
            found = detector.process(np.ascontiguousarray(frame[::step, ::step])).detections or []
            boxes = [face.location_data.relative_bounding_box for face in found]
            centres = sorted(box.xmin + box.width / 2 for box in boxes)
            assert len(centres) == 2
            assert centres[0] < 0.5 < centres[1]


@pytest.mark.slow
def test_lips_follow_their_own_voice(
    frames: list[NDArray[np.uint8]], voices: NDArray[np.float64], solutions: Any
) -> None:
    per_frame = voices.shape[1] // len(frames)
    centred = np.pad(voices, ((0, 0), (per_frame // 2, 0)))[:, : voices.shape[1]]
    loudness = np.sqrt(np.mean(centred.reshape(2, len(frames), per_frame) ** 2, axis=2))
    opening = np.empty_like(loudness)
    with solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        for index, frame in enumerate(frames):
            for person, half in enumerate(np.hsplit(frame, 2)):
                found = mesh.process(np.ascontiguousarray(half)).multi_face_landmarks
                opening[person, index] = _lip_gap(found[0].landmark)
    lags = range(-4, 5)
    for person in range(2):
        own = [_correlation(opening[person], loudness[person], lag) for lag in lags]
        assert abs(lags[int(np.argmax(own))]) <= 1  # frames
        assert max(own) > 0.7
        assert _correlation(opening[person], loudness[1 - person], 0) < 0.25
        quiet = np.convolve(loudness[person], np.ones(9), mode="same") < 1e-3
        assert quiet.sum() > 10
        assert opening[person, quiet].max() < 0.02  # open lips: above 0.1


def _lip_gap(landmarks: Any) -> float:
    """Give the opening between the lips in units of the distance between the outer eye corners."""
    points = np.array([(point.x * 320, point.y * 360) for point in landmarks])
    gap = np.linalg.norm(points[13] - points[14]) / np.linalg.norm(points[33] - points[263])
    return float(gap)


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64], lag: int) -> float:
    """Correlate ``first``, taken ``lag`` frames later, with ``second``."""
    late = first[max(0, lag) : len(first) + min(0, lag)]
    early = second[max(0, -lag) : len(second) - max(0, lag)]
    return float(np.corrcoef(late, early)[0, 1])


@pytest.mark.slow
@pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("espeakng_loader", "matplotlib", "skimage")
    ),
    reason="making the example needs scikit-image, matplotlib and espeakng-loader",
)
def test_the_script_makes_these_voices_and_faces(
    monkeypatch: pytest.MonkeyPatch, voices: NDArray[np.float64], solutions: Any
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    import duet_voice
    import make_duet

    synthesiser = duet_voice.Synthesiser()
    for person, shipped in zip(make_duet.PEOPLE, voices, strict=True):
        made, phonemes = make_duet.speak(person, synthesiser)
        np.testing.assert_allclose(made, shipped, atol=1e-3)
        assert {phoneme.symbol for phoneme in phonemes} >= {"m", "n"}
    poses = [make_duet.Pose(opening, 0, 0, 0, 0, 0) for opening in (0.0, 0.8)]
    shut, wide = make_duet.animate(make_duet.PEOPLE, [poses, poses])
    with solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        for pair in zip(np.hsplit(shut, 2), np.hsplit(wide, 2), strict=True):
            rgb = [np.ascontiguousarray(image[..., ::-1]) for image in pair]
            gaps = [_lip_gap(mesh.process(image).multi_face_landmarks[0].landmark) for image in rgb]
            assert gaps[0] < 0.02
            assert gaps[1] > 0.1
