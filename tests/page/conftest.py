"""The page's server, running, with a session that is made up."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from avse.page.server import Page
from avse.page.serving import Server, bind

from ..media.media_files import Picture, Sound, write_media
from .fake_session import FakeSession, open_recording


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A server, and who asks it things."""

    page: Page
    server: Server
    session: FakeSession
    defects: list[Exception]
    port: int
    thread: threading.Thread
    sessions: list[FakeSession] = field(default_factory=list)

    @property
    def token(self) -> str:
        return self.server.address.partition("token=")[2]

    @property
    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"avse-{self.port}={self.token}"}

    def connect(self, timeout: float = 10) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str | None = None,
        known: bool = True,
        **headers: str,
    ) -> Answer:
        """Ask as the page does, or without the cookie; a body that is not bytes is sent as JSON."""
        sent = (self.cookie if known else {}) | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.putrequest(
                method or ("GET" if body is None else "POST"), path, skip_host="Host" in sent
            )
            if data is not None:
                sent.setdefault("Content-Length", str(len(data)))
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(data)
            answer = connection.getresponse()
            heads = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, heads, answer.read())
        finally:
            connection.close()

    def listen(self) -> Events:
        return Events(self)


class Events:
    """A tab that listens to events."""

    def __init__(self, served: Served) -> None:
        self.connection = served.connect()
        self.connection.request("GET", "/api/events", headers=served.cookie)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        assert self.answer.getheader("content-type", "").startswith("text/event-stream")

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        name = ""
        for raw in self.answer:
            line = raw.decode().rstrip("\n")
            if line.startswith(":"):
                yield "comment", line[1:].strip()
            elif line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def eventually(true: Callable[[], object], within_s: float = 5) -> bool:
    """Whether something becomes true."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return bool(true())


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds."""
    path = tmp_path_factory.mktemp("video") / "talk.mp4"
    return write_media(path, Picture(frames=125), Sound(seconds=5))  # type: ignore[arg-type]


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "below").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>", encoding="utf-8")
    (folder / "page.js").write_text("export {};", encoding="utf-8")
    (folder / "below" / "deep.js").write_text("export {};", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return folder


@pytest.fixture
def served(
    video: Path, static: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A server with a recording, whose uploads go to a folder `uploads` of the test."""
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(uploads))
    session, defects = FakeSession(video), []
    sessions: list[FakeSession] = []

    def open_session(path: Path) -> FakeSession:
        sessions.append(open_recording(path))
        return sessions[-1]

    page = Page(open_session, session, static=static, on_defect=defects.append)
    started = threading.Event()
    with bind() as bound:
        port = bound.getsockname()[1]
        server = Server(page, bound, ready=lambda address: started.set())
        thread = threading.Thread(target=server.serve_until_stopped)
        thread.start()
        assert started.wait(10)
        yield Served(page, server, session, defects, port, thread, sessions)
        server.stop()
        thread.join(10)
        page.close()
    assert not thread.is_alive()
