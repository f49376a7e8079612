from __future__ import annotations

from pathlib import Path

import pytest

from avse.errors import InputError
from avse.evaluation.pairing import pair

from .conftest import Folders


def lay(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_names_match_without_their_endings(tmp_path: Path) -> None:
    pairs = pair(
        lay(tmp_path / "e", "talk.1.wav", "talk.2.flac", "sub/solo.wav", "notes.txt", ".x.wav"),
        lay(tmp_path / "r", "talk.1.flac", "talk.2.WAV", "sub/solo.mp3"),
        lay(tmp_path / "m", "talk.mp4", "sub/solo.wav"),
    )
    assert pairs.estimates == pairs.references == ()
    solo, talk = pairs.mixtures
    assert (solo.name, talk.name) == ("sub/solo", "talk")
    assert [voice.name for voice in talk.voices] == ["talk.1", "talk.2"]
    assert talk.mixture == tmp_path / "m" / "talk.mp4"
    assert solo.mixture == tmp_path / "m" / "sub" / "solo.wav"
    assert talk.voices[1].reference == tmp_path / "r" / "talk.2.WAV"
    assert talk.voices[1].estimate == tmp_path / "e" / "talk.2.flac"
    assert (pairs.without_mixture, pairs.mixtures_unused) == ((), ())


def test_mixtures_may_be_called_like_the_voices(tmp_path: Path) -> None:
    names = ("talk.1.wav", "talk.2.wav")
    folders = [lay(tmp_path / kind, *names) for kind in ("e", "r", "m")]
    (talk,) = pair(*folders).mixtures
    assert talk.mixture == tmp_path / "m" / "talk.1.wav"
    assert pair(*folders).mixtures_unused == ()


def test_voices_of_different_mixtures_stay_apart(tmp_path: Path) -> None:
    names = ("v1.1.wav", "v1.2.wav", "v1.3.wav")
    folders = [lay(tmp_path / kind, *names) for kind in ("e", "r", "m")]
    (tmp_path / "m" / "v1.3.wav").write_bytes(b"another")
    together, alone = pair(*folders).mixtures
    assert (together.name, [v.name for v in together.voices]) == ("v1", ["v1.1", "v1.2"])
    assert (alone.name, alone.mixture) == ("v1.3", tmp_path / "m" / "v1.3.wav")


def test_what_has_no_partner_is_listed(tmp_path: Path) -> None:
    pairs = pair(
        lay(tmp_path / "e", "a.1.wav", "b.wav", "late.wav"),
        lay(tmp_path / "r", "a.1.wav", "a.2.wav", "b.wav", "c.wav"),
        lay(tmp_path / "m", "a.wav", "d.wav"),
    )
    assert pairs.estimates == ("late",)
    assert pairs.references == ("a.2", "c")
    assert pairs.without_mixture == ("b",)
    assert pairs.mixtures_unused == ("d",)
    a, b = pairs.mixtures
    assert [voice.estimate is None for voice in a.voices] == [False, True]
    assert (b.name, b.mixture) == ("b", None)


def test_a_dot_does_not_make_a_mixture(tmp_path: Path) -> None:
    names = ("talk.final.wav", "v1.2.wav")
    pairs = pair(lay(tmp_path / "e", *names), lay(tmp_path / "r", *names))
    assert [mixture.name for mixture in pairs.mixtures] == ["talk.final", "v1.2"]


def test_transcripts_lie_beside_references(folders: Folders) -> None:
    (folders.references / "talk0.1.txt").write_text("bin blue")
    first = pair(folders.estimates, folders.references).mixtures[0]
    assert first.voices[0].text == folders.references / "talk0.1.txt"
    assert first.voices[1].text is None


def test_folders_that_cannot_be_matched(tmp_path: Path) -> None:
    one, other = lay(tmp_path / "a", "x.wav"), lay(tmp_path / "b", "y.wav")
    for estimates, references, says in (
        (one, other, "no name"),
        (one, tmp_path / "none", "not a folder"),
        (one, lay(tmp_path / "c", "x.txt"), "no sound file"),
        (one, lay(tmp_path / "d", "x.wav", "x.flac"), "one name"),
    ):
        with pytest.raises(InputError, match=says):
            pair(estimates, references)
