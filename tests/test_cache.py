"""What is kept of recordings: found again, never trusted, bounded, safe from others and kills."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import avse
import avse.scene.face_analysis
from avse.errors import UsageError
from avse.faces.detect import open_backend
from avse.faces.people import People
from avse.inference.torch_networks import TorchNetwork
from avse.media import copy_beginning
from avse.models.network import AVSENet
from avse.scene import cache as caching
from avse.scene.cache import FACES, SYNC, Cache, know_content, open_cache
from avse.scene.scene import Scene, look
from avse.settings import Settings
from avse.sync.measuring import measure
from tests.conftest import TINY, randomise
from tests.faces.test_storing import PEOPLE, same

KEY = "ab" * 32


@pytest.fixture
def cache(cache_folder: Path) -> Cache:
    return Cache(cache_folder, 1_000_000)


@pytest.fixture
def short(duet: Path, tmp_path: Path) -> Path:
    path = tmp_path / "short.mp4"
    copy_beginning(duet, path, seconds=1.5)
    settle(path)
    return path


def settle(path: Path) -> None:
    """As if the file had been written long ago, as far as that can be pretended."""
    os.utime(path, (1e9, 1e9))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with every pass through a picture, which finds the same people in all."""
    count: list[object] = []

    def find(frames: Any, *_: Any, **__: Any) -> People:
        count.append(len(list(frames)))
        return PEOPLE

    monkeypatch.setattr(avse.scene.face_analysis, "find_people", find)
    monkeypatch.setattr(avse.scene.scene, "open_backend", lambda *_, **__: None)
    return count


def entry(cache: Cache, kind: str = FACES) -> Path:
    (path,) = (cache.folder / "found").glob(f"{kind}-*.avse")
    return path


def test_what_is_put_is_got(cache: Cache) -> None:
    assert cache.get(FACES, KEY) is None
    cache.put(FACES, KEY, b"payload\n\0", "talk \udcff.mp4")
    assert cache.get(FACES, KEY) == b"payload\n\0"
    assert cache.get(SYNC, KEY) is None
    (told,) = cache.entries()
    assert (told.kind, told.recording, told.bytes) == (FACES, "talk \udcff.mp4", cache.bytes())
    assert abs(told.used - time.time()) < 60
    if os.name == "posix":
        assert entry(cache).stat().st_mode & 0o777 == 0o600
        assert entry(cache).parent.stat().st_mode & 0o777 == 0o700


def test_a_damaged_or_foreign_entry_counts_as_absent(cache: Cache) -> None:
    cache.put(FACES, KEY, b"payload" * 100, "talk.mp4")
    path = entry(cache)
    whole = path.read_bytes()
    head, _, payload = whole.partition(b"\n")
    other = json.loads(head) | {"key": "cd" * 32}
    for wrong in (
        b"",
        b"\n",
        whole[:20],
        whole[:-1],
        whole + b"x",
        whole.replace(b"payload", b"payroll", 1),
        json.dumps(other).encode() + b"\n" + payload,
        b"[" * 4000 + b"\n" + payload,
        b"x" * 100_000,
    ):
        path.write_bytes(wrong)
        assert cache.get(FACES, KEY) is None
        cache.entries()
    path.unlink()
    path.mkdir()
    assert cache.get(FACES, KEY) is None
    path.rmdir()
    if os.name == "posix":
        os.mkfifo(path)  # reading it would wait for ever
        assert cache.get(FACES, KEY) is None
    cache.put(FACES, KEY, b"again", "talk.mp4")
    assert cache.get(FACES, KEY) == b"again"


def test_the_longest_unused_goes_first(cache_folder: Path) -> None:
    cache = Cache(cache_folder, 100_000)
    keys = [f"{n:064x}" for n in range(4)]
    for n, key in enumerate(keys[:3]):
        cache.put(FACES, key, bytes(30_000), f"{n}.mp4")
        os.utime(cache_folder / "found" / f"faces-{key}.avse", (1e9 + n, 1e9 + n))
    assert cache.get(FACES, keys[0]) is not None  # ... which makes 1 the longest unused
    cache.put(FACES, keys[3], bytes(30_000), "3.mp4")
    assert [cache.get(FACES, key) is not None for key in keys] == [True, False, True, True]
    cache.put(FACES, keys[1], bytes(200_000), "large.mp4")
    assert cache.get(FACES, keys[1]) is None
    assert 0 < cache.bytes() <= 100_000


def test_what_a_killed_program_left_goes_and_what_is_being_written_stays(cache: Cache) -> None:
    cache.put(FACES, KEY, b"payload", "talk.mp4")
    old, new = (entry(cache).with_name(f".faces-ab.{n}.part.avse") for n in "12")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    cache.put(SYNC, KEY, b"payload", "talk.mp4")
    assert (old.exists(), new.exists()) == (False, True)


def test_clearing_removes_nothing_of_others(cache: Cache) -> None:
    cache.put(FACES, KEY, b"payload", "talk.mp4")
    mine = cache.folder / "found" / "letter.txt"
    mine.write_text("dear avse")
    above = cache.folder / f"faces-{KEY}.avse"
    above.write_text("elsewhere")
    assert cache.clear() > 7
    assert cache.entries() == []
    assert mine.exists()
    assert above.exists()


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVSE_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level("INFO", "avse"):
        assert len(look(short, Settings()).people) == 2
    assert len(caplog.messages) == 1
    assert "cannot be written" in caplog.messages[0]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AVSE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, "relative")
    if sys.platform == "linux":
        assert caching.cache_folder() == tmp_path / ".cache" / "avse"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert caching.cache_folder() == tmp_path / "xdg" / "avse"
    monkeypatch.setenv("AVSE_CACHE", "~/mine")
    assert caching.cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("AVSE_CACHE_GB", "0.5")
    assert open_cache() == Cache(tmp_path / "mine", 500_000_000)
    monkeypatch.setenv("AVSE_CACHE_GB", "0")
    assert open_cache() is None
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("AVSE_CACHE_GB", wrong)
        with pytest.raises(UsageError, match="AVSE_CACHE_GB"):
            open_cache()


def test_a_recording_is_hashed_once(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"one")
    settle(path)
    monkeypatch.setattr(caching, "_SETTLED_NS", 0)
    known = know_content(path, cache)
    assert known is not None
    with monkeypatch.context() as patched:
        patched.setattr(caching, "mark", lambda _: pytest.fail("hashed again"))
        assert know_content(path, cache) == known
    path.write_bytes(b"two")
    settle(path)  # neither size nor mtime tell
    again = know_content(path, cache)
    assert again is not None
    assert again.sha256 != known.sha256
    assert know_content(tmp_path, cache) is None


def test_the_hash_of_a_file_that_may_still_change_is_not_kept(cache: Cache, tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"one")
    know_content(path, cache)
    assert cache.bytes() == 0


def test_faces_are_looked_for_once(short: Path, looks: list[object], tmp_path: Path) -> None:
    told: list[str] = []
    first = look(short, Settings())
    again = look(short, Settings(), progress=lambda stage, *_: told.append(stage))
    assert (len(looks), told) == (1, [])
    assert same(again.people, first.people)
    assert (again.turned, again.origin, again.notes) == (0, first.origin, first.notes)
    moved = tmp_path / "another name.mp4"
    moved.write_bytes(short.read_bytes())
    assert [p.numbers for p in look(moved, Settings(same=((1, 2),))).people] == [(1, 2)]
    look(short, Settings(), backend=open_backend())
    look(short, Settings(model="other", track=0, gate=False))
    assert len(looks) == 1


@pytest.mark.parametrize("changes", [{"face_side": 500}, {"start": 0.4}, {"end": 1.2}])
def test_other_settings_look_again(
    short: Path, looks: list[object], changes: dict[str, Any]
) -> None:
    look(short, Settings())
    one = look(short, Settings(**changes))
    assert len(looks) == 2
    assert same(look(short, Settings(**changes)).people, one.people)
    assert len(looks) == 2


def test_other_versions_look_again(
    short: Path, looks: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(short, Settings())
    for name, value in (
        ("_FORMAT", 0),
        ("recogniser_version", lambda: "another"),
        ("code_digest", lambda *_: ""),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(avse.scene.face_analysis, name, value)
            look(short, Settings())
    with monkeypatch.context() as patched:
        patched.setattr(caching, "__version__", "99")
        look(short, Settings())
    with monkeypatch.context() as patched:
        patched.setattr(avse.scene.scene, "backend_version", lambda *_, **__: "another")
        look(short, Settings())
    assert len(looks) == 6
    look(short, Settings())
    assert len(looks) == 6


def test_another_content_looks_again(short: Path, looks: list[object], duet: Path) -> None:
    look(short, Settings())
    copy_beginning(duet, short, seconds=1.2)
    settle(short)
    look(short, Settings())
    assert len(looks) == 2


def test_without_the_cache_nothing_is_read_or_written(
    short: Path, looks: list[object], cache_folder: Path
) -> None:
    scene = look(short, Settings(cache=False))
    measure(scene, TorchNetwork(randomise(AVSENet(TINY))))
    assert not cache_folder.exists()
    look(short, Settings())
    look(short, Settings(cache=False))
    assert len(looks) == 3


def test_a_backend_of_others_is_asked_every_time(short: Path, looks: list[object]) -> None:
    class Mine:
        name, close_px = "mediapipe", None

        def __init__(self) -> None:
            self._backend = open_backend()

        def detect(self, images: Any) -> Any:
            return self._backend.detect(images)

        def landmarks(self, image: Any, boxes: Any) -> Any:
            return self._backend.landmarks(image, boxes)

    for _ in range(2):
        look(short, Settings(), backend=Mine())
    assert len(looks) == 2


def test_a_recording_that_changes_meanwhile_is_not_kept(short: Path, cache: Cache) -> None:
    look(short, Settings(), progress=lambda *_: settle(short))
    assert [one for one in cache.entries() if one.kind == FACES] == []


def test_a_damaged_entry_is_written_anew(short: Path, looks: list[object], cache: Cache) -> None:
    first = look(short, Settings())
    path = entry(cache)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + b"wrong")
    assert same(look(short, Settings()).people, first.people)
    assert path.read_bytes() == whole
    # Whole, and of the right key, but no people.
    key = path.stem.partition("-")[2]
    cache.put(FACES, key, b"something else", "short.mp4")
    assert same(look(short, Settings()).people, first.people)
    assert path.read_bytes() == whole
    assert len(looks) == 3


def test_the_offset_is_measured_once_for_lips_and_weights(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import avse.sync.measuring as measuring

    count: list[object] = []
    real = measuring._measure
    monkeypatch.setattr(measuring, "_measure", lambda *a: count.append(None) or real(*a))
    scene, network = look(short, Settings()), TorchNetwork(randomise(AVSENet(TINY)))
    first = measure(scene, network)
    assert same(measure(scene, network), first)
    assert same(measure(look(short, Settings()), network), first)
    assert len(count) == 1
    measure(scene, TorchNetwork(randomise(AVSENet(TINY), seed=1)))
    measure(without_lips(scene), network)
    measure(look(short, Settings(end=1.2)), network)
    assert len(count) == 4


def without_lips(scene: Scene) -> Scene:
    persons = (scene.people.persons[0].silenced(), *scene.people.persons[1:])
    return dataclasses.replace(scene, people=dataclasses.replace(scene.people, persons=persons))


def test_voices_are_the_same_to_the_bit(short: Path) -> None:
    network = randomise(AVSENet(TINY))
    wanted = avse.separate(short, network=network, cache=False).voices()
    for _ in range(2):
        np.testing.assert_array_equal(avse.separate(short, network=network).voices(), wanted)


WRITE = """
import sys
from pathlib import Path
from avse.scene.cache import Cache
cache = Cache(Path(sys.argv[1]), 400_000)
print("ready", flush=True)
for n in range(int(sys.argv[2])):
    key = f"{n % 7:064x}"
    payload = bytes([n % 7]) * 50_000
    cache.put("faces", key, payload, "talk.mp4")
    found = cache.get("faces", key)
    assert found is None or found == payload, "another payload"
    cache.entries()
    if n % 50 == 49:
        cache.clear()
"""


def writer(folder: Path, rounds: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, str(folder), str(rounds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_programs_at_once(cache_folder: Path) -> None:
    both = [writer(cache_folder, 120) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    cache = Cache(cache_folder, 400_000)
    found = [cache.get(FACES, f"{n:064x}") for n in range(7)]
    assert all(one is None or one == bytes([n]) * 50_000 for n, one in enumerate(found))
    assert any(found)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_kill_while_writing_leaves_whole_entries(cache_folder: Path) -> None:
    for wait_s in (0.01, 0.03):
        process = writer(cache_folder, 1_000_000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        cache = Cache(cache_folder, 400_000)
        for n in range(7):
            assert cache.get(FACES, f"{n:064x}") in (None, bytes([n]) * 50_000)
        cache.put(FACES, KEY, b"payload", "talk.mp4")
        assert cache.get(FACES, KEY) == b"payload"
