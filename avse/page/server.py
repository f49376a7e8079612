"""The server of the page: it validates requests, and passes them to the session.

Slow work runs in threads. An `AvseError` of the session becomes an answer with the error and the
hint.
"""

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from avse.errors import AvseError, InputError
from avse.media.atomic_files import writing
from avse.page.answers import (
    NO_RECORDING,
    as_event,
    as_json,
    cannot,
    gone,
    malformed,
    refused,
    unless_left,
)
from avse.page.guard import Guard
from avse.page.protocol import Event, Session
from avse.page.proxy import HEIGHT, LARGEST_HEIGHT, LEAST_HEIGHT, Proxy, UnwantedError
from avse.page.requests import (
    STEM,
    Export,
    Merge,
    MissedFace,
    Nothing,
    Offset,
    Playhead,
    Rename,
    check_time,
    number,
    read,
    receive,
)
from avse.page.scratch import Scratch
from avse.utils.schema import RecordError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

STATIC = Path(__file__).with_name("static")
"""The page's own files."""

_POLL_S, _HEARTBEAT_S = 0.05, 15.0  # of event streams
_ENCODERS = 8  # maximum number of threads with requests for video segments
_TYPES = {  # the system's table of types may be wrong
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


class Page:
    """State that all tabs share: the open recording, if any, and the uploaded files.

    Args:
        open_session: opens a recording; raises `AvseError` if this is not possible.
        session: session of a recording that is open from the start.
        picture: number of the moving picture that is shown.
        static: folder of the page's own files.
        on_defect: called with every unexpected exception.
    """

    def __init__(
        self,
        open_session: Callable[[Path], Session],
        session: Session | None = None,
        *,
        picture: int = 0,
        static: Path = STATIC,
        on_defect: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._open_session, self._session, self._picture = open_session, session, picture
        self._static = {file.name: file for file in static.glob("*") if file.is_file()}
        self._on_defect = on_defect
        self._lock = threading.Lock()  # of the session, its proxy and the folder of uploads
        self._proxy: Proxy | None = None
        self._folder: Scratch | None = None
        self._stopping = self._uploading = False
        self._encoders = anyio.CapacityLimiter(_ENCODERS)

    def app(self, *, port: int, token: str) -> ASGIApp:
        """Make the ASGI application.

        Args:
            port: of the server.
            token: the access token; see `Guard`.
        """
        get = {
            "/": self._index,
            "/static/{name}": self._static_file,
            "/media": self._media,
            "/proxy/{chunk}.mp4": self._segment,
            "/api/state": self._get_state,
            "/api/events": self._events,
            "/api/faces/{chunk}": self._faces,
            "/api/voices/{chunk}": self._voices,
            "/api/sound/{chunk}/{stem}": self._sound,
            "/api/people/{person}/face.jpg": self._thumbnail,
            "/api/words": self._words,
            "/api/export/{export}/{name}": self._download,
        }
        post = {
            "/api/open": self._upload,
            "/api/playhead": self._playhead,
            "/api/people/{person}": self._rename,
            "/api/people/{person}/remove": self._remove,
            "/api/merge": self._merge,
            "/api/faces": self._add_face,
            "/api/offset": self._offset,
            "/api/undo": self._undo,
            "/api/export": self._export,
            "/api/export/{export}/cancel": self._cancel,
        }
        app = Starlette(
            routes=[
                *(Route(path, answer, methods=["GET"]) for path, answer in get.items()),
                *(Route(path, answer, methods=["POST"]) for path, answer in post.items()),
            ],
            exception_handlers={
                AvseError: cannot,
                RecordError: malformed,
                HTTPException: refused,
                ClientDisconnect: gone,
                UnwantedError: gone,
                Exception: self._defect,
            },
        )
        return Guard(app, port=port, token=token)

    def stop(self) -> None:
        """Request the end of event streams and encoding; safe to call from a signal handler."""
        self._stopping = True

    def close(self) -> None:
        """Close the recording, and remove uploaded files."""
        self.stop()
        with self._lock:
            session, proxy, folder = self._session, self._proxy, self._folder
            self._session = self._proxy = self._folder = None
        try:
            if proxy is not None:
                proxy.close()
            if session is not None:
                session.close()
        finally:
            if folder is not None:
                folder.close()

    # The page and the recording.

    async def _index(self, request: Request) -> Response:
        return self._own_file("index.html")

    async def _static_file(self, request: Request) -> Response:
        return self._own_file(request.path_params["name"])

    def _own_file(self, name: str) -> Response:
        file = self._static.get(name)
        if file is None:
            raise HTTPException(404)
        kind = _TYPES.get(file.suffix, "application/octet-stream")
        return FileResponse(file, media_type=kind)

    async def _media(self, request: Request) -> Response:
        path = self._current().path
        kinds = {".webm": "video/webm", ".mkv": "video/x-matroska", ".avi": "video/x-msvideo"}
        kind = kinds.get(path.suffix.lower(), "video/mp4")
        if not await run_sync(path.is_file):
            raise InputError(f"{path.name}: is not there any more", "put it back, or open another")
        return FileResponse(path, media_type=kind)

    async def _segment(self, request: Request) -> Response:
        chunk = number(request, "chunk")
        height = number(request.query_params, "height", HEIGHT)
        if not LEAST_HEIGHT <= height <= LARGEST_HEIGHT:
            hint = f"choose {LEAST_HEIGHT} to {LARGEST_HEIGHT}"
            raise RecordError(f"a height of {height} is out of range", hint)
        self._current()
        left = threading.Event()

        def make() -> bytes | None:
            return self._find_proxy().segment(
                chunk, height=height, wanted=lambda: not (left.is_set() or self._stopping)
            )

        data = await unless_left(request, left, make, self._encoders)
        if data is None:
            raise HTTPException(404, "the recording ends before")
        return Response(data, media_type="video/mp4")

    def _find_proxy(self) -> Proxy:
        with self._lock:
            if self._proxy is None:
                self._proxy = Proxy(self._current().path, picture=self._picture)
            return self._proxy

    async def _upload(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        if self._uploading:
            raise HTTPException(409, "another file is being opened")
        self._uploading = True
        folder: Path | None = None
        try:
            folder = await run_sync(self._new_folder)
            path = await receive(request, folder, name)
            await run_sync(self._switch, path)
            folder = None
        finally:
            self._uploading = False
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        return await self._state_now()

    def _new_folder(self) -> Path:
        """Make a folder for an upload."""
        with self._lock:
            if self._stopping:
                raise UnwantedError
            if self._folder is None:
                self._folder = Scratch()
            with writing(self._folder.path):
                return Path(tempfile.mkdtemp(dir=self._folder.path))

    def _switch(self, path: Path) -> None:
        """Open an uploaded recording in place of the current one."""
        try:
            session = self._open_session(path)
        except AvseError as error:
            shown = error.message.replace(str(path), path.name)
            raise InputError(shown, error.hint) from error
        with self._lock:
            before, proxy = self._session, self._proxy
            if self._stopping:
                before, proxy = session, None
            else:
                self._session, self._proxy = session, None
        if proxy is not None:
            proxy.close()
        if before is not None:
            before.close()
            folder = self._folder
            if folder is not None and before.path.is_relative_to(folder.path):
                shutil.rmtree(before.path.parent, ignore_errors=True)

    def _current(self) -> Session:
        session = self._session
        if session is None:
            raise HTTPException(409, "no recording is open")
        return session

    # Results so far.

    async def _get_state(self, request: Request) -> Response:
        return await self._state_now()

    async def _state_now(self) -> Response:
        return as_json(await run_sync(self._state, self._session))

    @staticmethod
    def _state(session: Session | None) -> dict[str, Any]:
        return NO_RECORDING if session is None else session.state()

    async def _events(self, request: Request) -> Response:
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        """Events of the open recording, beginning with its state each time one is opened."""
        last = time.monotonic()
        yield "retry: 1000\n\n"
        while not self._stopping:
            session = self._session
            events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
            try:
                if session is not None:
                    events = await run_sync(session.subscribe)
                yield as_event("state", await run_sync(self._state, session))
                while not self._stopping and self._session is session:
                    try:
                        event = events.get_nowait()
                    except queue.Empty:
                        if time.monotonic() - last >= _HEARTBEAT_S:
                            last = time.monotonic()
                            yield ": still here\n\n"
                        await anyio.sleep(_POLL_S)
                        continue
                    if event is None:
                        break
                    last = time.monotonic()
                    yield as_event(*event)
            except AvseError:  # the recording was closed in the meantime
                pass
            except Exception as error:  # too late for an error answer: the stream just ends
                self._on_defect(error)
                return
            finally:
                if session is not None:
                    session.unsubscribe(events)
            await anyio.sleep(_POLL_S)

    async def _faces(self, request: Request) -> Response:
        found = await run_sync(self._current().faces, number(request, "chunk"))
        return as_json({"error": "not yet"}, 404) if found is None else as_json(found)

    async def _voices(self, request: Request) -> Response:
        found = await run_sync(self._current().voices, number(request, "chunk"))
        return as_json({"error": "not yet"}, 404) if found is None else as_json(found)

    async def _sound(self, request: Request) -> Response:
        chunk, stem, session = (
            number(request, "chunk"),
            request.path_params["stem"],
            self._current(),
        )
        if not STEM.fullmatch(stem):
            raise HTTPException(404)

        def pack() -> Response | None:
            sound = session.sound(chunk, stem)
            if sound is None:
                return None
            about = {
                "X-Start-Sample": sound.start,
                "X-Samples": sound.samples.shape[1],
                "X-Channels": sound.samples.shape[0],
                "X-Rate": sound.rate,
            }
            return Response(
                sound.samples.astype("<f4", copy=False).tobytes(),
                media_type="application/octet-stream",
                headers={name: str(value) for name, value in about.items()},
            )

        answer = await run_sync(pack)
        return as_json({"error": "not yet"}, 404) if answer is None else answer

    async def _thumbnail(self, request: Request) -> Response:
        picture = await run_sync(self._current().thumbnail, number(request, "person"))
        if picture is None:
            return as_json({"error": "not yet"}, 404)
        return Response(picture, media_type="image/jpeg")

    async def _words(self, request: Request) -> Response:
        return as_json(await run_sync(self._current().words))

    # Actions of the user.

    async def _playhead(self, request: Request) -> Response:
        body = await read(request, Playhead)
        check_time(body.time)
        session = self._current()
        await run_sync(
            lambda: session.set_playhead(body.time, playing=body.playing, wanted=body.wanted)
        )
        return Response(status_code=204)

    async def _rename(self, request: Request) -> Response:
        body, person = await read(request, Rename), number(request, "person")
        return await self._correct(lambda session: session.rename(person, body.name))

    async def _remove(self, request: Request) -> Response:
        await read(request, Nothing)
        person = number(request, "person")
        return await self._correct(lambda session: session.remove(person))

    async def _merge(self, request: Request) -> Response:
        body = await read(request, Merge)
        if len(set(body.ids)) < 2:
            raise RecordError("ids must contain two people or more", "such as: [1, 3]")
        return await self._correct(lambda session: session.merge(body.ids))

    async def _add_face(self, request: Request) -> Response:
        body = await read(request, MissedFace)
        check_time(body.time)
        x, y, width, height = body.box
        if min(x, y) < 0 or min(width, height) <= 0 or max(x + width, y + height) > 1.001:
            hint = "give left, top, width and height as fractions of the picture"
            raise RecordError("the box is outside the picture", hint)
        return await self._correct(lambda session: session.add_face(body.time, body.box))

    async def _offset(self, request: Request) -> Response:
        body = await read(request, Offset)
        return await self._correct(lambda session: session.set_offset(body.ms))

    async def _undo(self, request: Request) -> Response:
        await read(request, Nothing)
        return await self._correct(lambda session: session.undo())

    async def _correct(self, correct: Callable[[Session], None]) -> Response:
        session = self._current()
        await run_sync(correct, session)
        return as_json(await run_sync(session.state))

    async def _export(self, request: Request) -> Response:
        wanted = asdict(await read(request, Export))
        wanted["people"] = list(wanted["people"])
        for stem, gain in wanted["gains"].items():
            if not STEM.fullmatch(stem) or gain < 0:
                raise RecordError(f"gains cannot have {stem!r}: {gain:g}", "such as: {'1': 0.5}")
        return as_json(await run_sync(self._current().export, wanted))

    async def _cancel(self, request: Request) -> Response:
        await read(request, Nothing)
        await run_sync(self._current().cancel, number(request, "export"))
        return await self._state_now()

    async def _download(self, request: Request) -> Response:
        export, name = number(request, "export"), request.path_params["name"]
        path = await run_sync(self._current().export_file, export, name)
        if path is None or not await run_sync(path.is_file):
            raise HTTPException(404)
        shown = path.name.encode("utf-8", "replace").decode()
        return FileResponse(path, filename=shown, media_type="application/octet-stream")

    async def _defect(self, request: Request, error: Exception) -> Response:
        self._on_defect(error)
        what = f"internal error: {type(error).__name__}: {error}"
        return as_json({"error": what, "hint": "report it with the output of `avse doctor`"}, 500)
