"""What is asked and answered."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import avse.page.requests
import avse.page.server
from avse.errors import UsageError
from avse.page.proxy import Proxy, UnwantedError
from avse.page.serving import bind

from .conftest import Served, eventually


def test_state_and_chunks(served: Served) -> None:
    assert served.ask("/api/state").json["file"]["name"] == "talk.mp4"
    assert served.ask("/api/faces/1?v=3").json == {"start": 4, "tracks": []}
    assert served.ask("/api/voices/0").json["start"] == 0
    for path in ("/api/faces/2", "/api/voices/2", "/api/sound/2/1", "/api/people/7/face.jpg"):
        answer = served.ask(path)
        assert (answer.status, answer.json) == (404, {"error": "not yet"})
    said = served.ask("/api/words").json
    assert said == {"1": [{"start": 0.5, "stop": 1.0, "text": "bin blue"}], "2": []}
    face = served.ask("/api/people/1/face.jpg?v=1")
    assert (face.headers["content-type"], face.body[:2]) == ("image/jpeg", b"\xff\xd8")


def test_sound_is_planar_little_endian_float(served: Served) -> None:
    answer = served.ask("/api/sound/1/rest?v=2")
    samples = np.frombuffer(answer.body, "<f4").reshape(2, -1)
    expected = served.session.sound(1, "rest")
    assert expected is not None
    assert np.array_equal(samples, expected.samples)
    heads = [
        answer.headers[f"x-{name}"] for name in ("start-sample", "samples", "channels", "rate")
    ]
    assert heads == ["32000", "32000", "2", "8000"]
    assert answer.headers["content-type"] == "application/octet-stream"


def test_addresses_that_name_nothing(served: Served) -> None:
    for path in (
        "/api/faces/-1",
        "/api/faces/x",
        "/api/faces/1.5",
        "/api/faces/" + "9" * 5000,
        "/api/faces/%D9%A3",
        "/api/sound/0/all",
        "/api/sound/0/01",
        "/api/sound/0/..",
        "/api/people/0x1/face.jpg",
        "/proxy/x.mp4",
        "/proxy/0.mp4?height=x",
        "/api/export/1/other.wav",
        "/api/export/2/talk.mp4",
    ):
        answer = served.ask(path)
        assert answer.status == 404, path
        assert "error" in answer.json


def test_media_in_ranges(served: Served, video: Path) -> None:
    data = video.read_bytes()
    whole = served.ask("/media")
    assert (whole.status, whole.body) == (200, data)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-type"] == "video/mp4"
    for asked, start, stop in (
        ("bytes=0-", 0, len(data)),
        ("bytes=10-19", 10, 20),
        (f"bytes=10-{len(data) * 2}", 10, len(data)),
        ("bytes=-5", len(data) - 5, len(data)),
        (f"bytes=-{len(data) * 2}", 0, len(data)),
        (f"bytes={len(data) - 1}-", len(data) - 1, len(data)),
    ):
        part = served.ask("/media", Range=asked)
        assert (part.status, part.body) == (206, data[start:stop]), asked
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(data)}"
    beyond = served.ask("/media", Range=f"bytes={len(data)}-")
    assert beyond.status == 416
    assert beyond.headers["content-range"] == f"bytes */{len(data)}"
    head = served.ask("/media", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(data))


def test_a_recording_that_was_taken_away_is_told(served: Served, tmp_path: Path) -> None:
    served.session.path = tmp_path / "gone.mp4"
    answer = served.ask("/media")
    assert answer.status == 422
    assert "gone.mp4" in answer.json["error"]
    assert served.defects == []


def test_the_picture_in_segments(served: Served) -> None:
    first = served.ask("/proxy/0.mp4?height=240")
    assert (first.status, first.headers["content-type"]) == (200, "video/mp4")
    assert first.body[4:8] == b"ftyp"
    assert served.ask("/proxy/1.mp4").status == 200
    assert served.ask("/proxy/2.mp4").status == 404
    for height in (0, 100000):
        assert served.ask(f"/proxy/0.mp4?height={height}").status == 422


def test_a_segment_that_nobody_waits_for_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, given_up = threading.Semaphore(0), threading.Semaphore(0)

    def segment(self: Proxy, number: int, *, height: int, wanted: Callable[[], bool]) -> None:
        begun.release()
        assert eventually(lambda: not wanted())
        given_up.release()
        raise UnwantedError

    monkeypatch.setattr(Proxy, "segment", segment)
    connections = [served.connect() for _ in range(2)]
    for connection in connections:
        connection.request("GET", "/proxy/0.mp4", headers=served.cookie)
        assert begun.acquire(timeout=5)
    connections[0].close()
    assert given_up.acquire(timeout=2)
    assert not given_up.acquire(timeout=0.3)
    served.server.stop()
    assert given_up.acquire(timeout=2)
    connections[1].close()
    assert served.defects == []


def test_what_is_asked_for_reaches_the_session(served: Served) -> None:
    playhead = {"time": 3, "playing": True, "wanted": [2, 1]}
    assert served.ask("/api/playhead", playhead).status == 204
    assert served.ask("/api/people/2", {"name": "Anna"}).json["people"][1]["name"] == "Anna"
    assert served.ask("/api/people/2", {"name": None}).json["people"][1]["name"] is None
    assert served.ask("/api/merge", {"ids": [1, 2]}).status == 200
    assert served.ask("/api/people/1/remove", {}).status == 200
    assert served.ask("/api/faces", {"time": 1.5, "box": [0, 0.25, 0.5, 0.75]}).status == 200
    assert served.ask("/api/offset", {"ms": -40}).status == 200
    assert served.ask("/api/offset", {"ms": None}).status == 200
    assert served.ask("/api/undo", b"").status == 200
    export = {"what": "mix", "format": "wav", "gains": {"1": 1, "rest": 0.5}, "bits": 24}
    assert served.ask("/api/export", export).json["id"] == 1
    assert served.ask("/api/export/1/cancel", {}).status == 200
    assert served.session.asked == [
        ("playhead", 3.0, True, (2, 1)),
        ("rename", 2, "Anna"),
        ("rename", 2, None),
        ("merge", (1, 2)),
        ("remove", 1),
        ("face", 1.5, (0.0, 0.25, 0.5, 0.75)),
        ("offset", -40.0),
        ("offset", None),
        ("undo",),
        ("export", {"people": [], "report": False} | export),
        ("cancel", 1),
    ]


def test_downloads_are_attachments(served: Served, video: Path) -> None:
    answer = served.ask("/api/export/1/talk.mp4")
    assert answer.body == video.read_bytes()
    assert answer.headers["content-disposition"] == 'attachment; filename="talk.mp4"'


_WRONG: list[tuple[str, object, int, str]] = [
    ("/api/playhead", b"{", 400, "not JSON"),
    ("/api/playhead", b"\xff\xfe", 400, "not JSON"),
    ("/api/playhead", b'{"time": NaN, "playing": true}', 400, "not JSON"),
    ("/api/playhead", b"[" * 30000, 400, "nested too deeply"),
    ("/api/playhead", b'{"time": 1e999}', 422, "time"),
    ("/api/playhead", {"time": -1}, 422, "out of range"),
    ("/api/playhead", {"time": "1"}, 422, "a number"),
    ("/api/playhead", {"time": True}, 422, "a number"),
    ("/api/playhead", {"playing": True}, 422, "has no time"),
    ("/api/playhead", {"time": 1, "wanted": [1.5]}, 422, "a whole number"),
    ("/api/playhead", [], 422, "a table"),
    ("/api/people/1", {"nam": "Anna"}, 422, "'nam'"),
    ("/api/people/9", {"name": "Anna"}, 422, "no person 9"),
    ("/api/merge", {"ids": [1, 1]}, 422, "two people"),
    ("/api/faces", {"time": 1, "box": [0.5, 0.5, 0.6, 0.1]}, 422, "is outside"),
    ("/api/faces", {"time": 1, "box": [0.5, 0.5, 0, 0.1]}, 422, "is outside"),
    ("/api/faces", {"time": 1, "box": [0.5, 0.5, 0.1]}, 422, "length 4"),
    ("/api/undo", {"all": True}, 422, "'all'"),
    ("/api/export", {"what": "all", "format": "wav"}, 422, "what"),
    ("/api/export", {"what": "mix", "format": "exe"}, 422, "format"),
    ("/api/export", {"what": "mix", "format": "wav", "bits": 8}, 422, "bits"),
    ("/api/export", {"what": "mix", "format": "wav", "gains": {"x": 1}}, 422, "gains"),
    ("/api/export", {"what": "mix", "format": "wav", "gains": {"1": -1}}, 422, "gains"),
    ("/api/undo", b" " * 70_000, 413, "too large"),
]


def test_bodies_that_are_wrong(served: Served) -> None:
    for path, body, status, says in _WRONG:
        answer = served.ask(path, body)
        assert answer.status == status, (path, says)
        assert says in answer.json["error"]
        assert answer.json["hint"]
    assert [asked for asked in served.session.asked if asked[0] != "rename"] == []


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_FIELDS = st.sampled_from(
    ["time", "playing", "wanted", "name", "ids", "box", "ms", "what", "format", "gains", "bits"]
)
_JSON = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_FIELDS, inner, max_size=4),
    max_leaves=8,
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=st.sampled_from(
        ["playhead", "people/1", "people/1/remove", "merge", "faces", "offset", "undo", "export"]
    ),
    body=st.binary(max_size=40) | _JSON.map(lambda value: json.dumps(value).encode()),
)
def test_any_body_is_answered(served: Served, path: str, body: bytes) -> None:
    answer = served.ask(f"/api/{path}", body)
    assert answer.status in (200, 204, 400, 422)
    assert served.defects == []


def test_a_defect_is_owned_up_to_and_shown_to_who_runs_it(served: Served) -> None:
    def fail() -> None:
        raise ZeroDivisionError("oh")

    served.session.do["state"] = fail
    answer = served.ask("/api/state")
    assert answer.status == 500
    assert "ZeroDivisionError" in answer.json["error"]
    assert "content-security-policy" in answer.headers
    assert [type(error) for error in served.defects] == [ZeroDivisionError]


def test_events_reach_every_tab(served: Served) -> None:
    tabs = [served.listen(), served.listen()]
    streams = [iter(tab) for tab in tabs]
    for stream in streams:
        assert next(stream) == ("state", served.session.state())
    served.session.tell("faces", {"chunk": 1, "version": 2})
    for stream in streams:
        assert next(stream) == ("faces", {"chunk": 1, "version": 2})
    tabs[0].close()
    assert eventually(lambda: len(served.session.listeners) == 1)
    served.session.tell("problem", {"error": "é\n", "hint": ""})
    assert next(streams[1]) == ("problem", {"error": "é\n", "hint": ""})
    tabs[1].close()
    assert eventually(lambda: not served.session.listeners)


def test_a_quiet_stream_is_kept_alive(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avse.page.server, "_HEARTBEAT_S", 0.1)
    tab = served.listen()
    stream = iter(tab)
    assert next(stream)[0] == "state"
    assert next(stream)[0] == "comment"
    assert next(stream)[0] == "comment"
    tab.close()


def test_a_defect_ends_a_stream_which_the_browser_opens_anew(served: Served) -> None:
    tab = served.listen()
    stream = iter(tab)
    assert next(stream)[0] == "state"
    served.session.tell("progress", {"left_s": float("nan")})
    assert list(stream) == []
    assert [type(error) for error in served.defects] == [ValueError]
    tab.close()
    assert served.session.listeners == []


def uploads(tmp_path: Path) -> list[Path]:
    while True:
        try:
            found = [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]
        except FileNotFoundError:  # a folder was removed while it was listed
            continue
        return [path for path in found if path.name != "in-use"]


def test_an_upload_takes_the_place_of_the_recording(
    served: Served, video: Path, tmp_path: Path
) -> None:
    tab = served.listen()
    stream = iter(tab)
    next(stream)
    data = video.read_bytes()
    assert served.ask("/proxy/0.mp4").status == 200
    answer = served.ask("/api/open?name=new%20%C3%A9.mp4", data)
    assert (answer.status, answer.json["file"]["name"]) == (200, "new é.mp4")
    assert served.session.closed
    assert video.exists()
    assert next(stream)[1]["file"]["name"] == "new é.mp4"
    (first,) = uploads(tmp_path)
    assert first.read_bytes() == data
    assert served.ask("/media").body == data
    assert served.ask("/api/open?name=again.mp4", data).status == 200
    assert [path.name for path in uploads(tmp_path)] == ["again.mp4"]
    assert [session.closed for session in served.sessions] == [True, False]
    tab.close()


def test_an_upload_of_no_use_changes_nothing(served: Served, tmp_path: Path) -> None:
    answer = served.ask("/api/open?name=talk.txt", b"this is not a video")
    assert answer.status == 422
    assert answer.json["error"] == "talk.txt: is not a video"
    assert not served.session.closed
    assert served.ask("/api/state").json["file"]["name"] == "talk.mp4"
    assert uploads(tmp_path) == []


def test_names_of_uploads_lead_nowhere(served: Served, video: Path, tmp_path: Path) -> None:
    names = ["", ".", "..", "../a.mp4", "a/b.mp4", "/etc/a.mp4", "..\\a.mp4", "a%00.mp4", "x" * 300]
    for name in names:
        answer = served.ask(f"/api/open?name={name}", video.read_bytes())
        assert answer.status == 422, name
        assert answer.json["hint"]
    assert uploads(tmp_path) == []
    assert served.sessions == []


def test_an_upload_leaves_room_on_the_disk(
    served: Served, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=avse.page.requests._SPARE + 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    answer = served.ask("/api/open?name=a.mp4", video.read_bytes())
    assert answer.status == 422
    assert "left" in answer.json["error"]
    assert uploads(tmp_path) == []


def test_an_upload_that_breaks_off_leaves_nothing(
    served: Served, video: Path, tmp_path: Path
) -> None:
    connection = served.connect()
    connection.putrequest("POST", "/api/open?name=a.mp4")
    for name, value in (served.cookie | {"Content-Length": "10000000"}).items():
        connection.putheader(name, value)
    connection.endheaders(video.read_bytes())
    assert eventually(lambda: uploads(tmp_path))
    busy = served.ask("/api/open?name=b.mp4", video.read_bytes())
    assert busy.status == 409
    connection.close()
    assert eventually(lambda: not uploads(tmp_path))
    assert served.ask("/api/open?name=b.mp4", video.read_bytes()).status == 200
    assert served.defects == []


def test_without_a_recording_the_page_is_there_to_choose_one(served: Served, video: Path) -> None:
    served.page._session = None
    state = served.ask("/api/state").json
    assert state["file"] is None
    assert state["people"] == state["exports"] == []
    for path in ("/media", "/proxy/0.mp4", "/api/faces/0"):
        assert served.ask(path).status == 409
    assert served.ask("/api/undo", {}).status == 409
    tab = served.listen()
    stream = iter(tab)
    assert next(stream) == ("state", state)
    assert served.ask("/api/open?name=a.mp4", video.read_bytes()).status == 200
    assert next(stream)[1]["file"]["name"] == "a.mp4"
    tab.close()


def test_the_end_leaves_no_thread_and_no_file(served: Served, video: Path, tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate()} - {served.thread.name}
    assert served.ask("/api/open?name=a.mp4", video.read_bytes()).status == 200
    assert uploads(tmp_path)
    tabs = [served.listen(), served.listen()]
    for tab in tabs:
        next(iter(tab))
    held = socket.create_connection(("127.0.0.1", served.port))  # asks and never reads on
    cookie = served.cookie["Cookie"]
    held.sendall(f"GET /media HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n".encode())
    held.sendall(f"Cookie: {cookie}\r\n\r\n".encode())
    sending = served.connect()
    sending.putrequest("POST", "/api/open?name=b.mp4")
    for name, value in (served.cookie | {"Content-Length": "10000000"}).items():
        sending.putheader(name, value)
    sending.endheaders(b"half")
    assert eventually(lambda: len(uploads(tmp_path)) == 2)
    began = time.monotonic()
    served.server.stop()
    for tab in tabs:
        assert list(tab) == []
    served.thread.join(5)
    served.page.close()
    assert time.monotonic() - began < 2
    assert not served.thread.is_alive()
    assert served.sessions[0].closed
    assert list((tmp_path / "uploads").iterdir()) == []
    left = {thread.name for thread in threading.enumerate() if not thread.daemon}
    assert left <= before
    for client in (held, sending, *tabs):
        client.close()


def test_a_taken_port_is_a_usage_error(served: Served) -> None:
    with pytest.raises(UsageError, match=f"port {served.port} is taken"):
        bind(served.port)


def test_only_this_computer_reaches_the_server() -> None:
    with bind() as bound:
        assert bound.getsockname()[0] == "127.0.0.1"
