"""Answers of the page's server: JSON, events and errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from avse import __version__
from avse.errors import AvseError
from avse.page.proxy import SEGMENT_S
from avse.page.requests import NotJsonError
from avse.utils.schema import RecordError

NO_RECORDING: dict[str, Any] = {
    "version": __version__,
    "file": None,
    "chunk_s": float(SEGMENT_S),
    "revision": 0,
    "people": [],
    "stems": [],
    "faces_ready": {},
    "voices_ready": {},
    "offset": {"measured_ms": None, "sure": False, "set_ms": None},
    "can_undo": False,
    "progress": {
        kind: {"done_s": 0.0, "total_s": 0.0, "left_s": None, "here": False}
        for kind in ("faces", "voices")
    }
    | {"doing": ""},
    "exports": [],
    "formats": {"sound": [], "video": [], "text": []},
    "transcriber": None,
}
"""The state without a recording."""


def as_json(value: object, status: int = 200) -> Response:
    """Make a JSON response, in ASCII, which can represent file names that are not valid text."""
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")


def as_event(name: str, value: object) -> str:
    """Format a server-sent event."""
    return f"event: {name}\ndata: {json.dumps(value, allow_nan=False)}\n\n"


async def unless_left(
    request: Request,
    left: threading.Event,
    work: Callable[[], bytes | None],
    limiter: anyio.CapacityLimiter,
) -> bytes | None:
    """Run `work` in a thread, and set `left` when the client disconnects, or when it is done.

    Args:
        request: of the client.
        left: `work` has to stop when it is set.
        work: the function to run.
        limiter: limits the number of threads.

    Returns:
        The result of `work`.
    """

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left.set()

    outcome: list[bytes | None] = []
    trouble: list[Exception] = []
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            try:
                outcome.append(await run_sync(work, limiter=limiter))
            except Exception as error:  # raised below, so that it is not in an ExceptionGroup
                trouble.append(error)
            group.cancel_scope.cancel()
    finally:
        left.set()
    if trouble:
        raise trouble[0]
    return outcome[0]


async def cannot(request: Request, error: Exception) -> Response:
    """Answer with an `AvseError`."""
    assert isinstance(error, AvseError)
    return as_json({"error": error.message, "hint": error.hint}, 422)


async def malformed(request: Request, error: Exception) -> Response:
    """Answer an invalid request: 400 if it is not JSON, 422 if the JSON does not fit."""
    assert isinstance(error, RecordError)
    status = 400 if isinstance(error, NotJsonError) else 422
    return as_json({"error": error.message, "hint": error.hint or "check the request"}, status)


async def refused(request: Request, error: Exception) -> Response:
    """Answer with the status and the text of an `HTTPException`."""
    assert isinstance(error, HTTPException)
    hints = {409: "choose a file", 413: "send less", 405: "use another method"}
    hint = hints.get(error.status_code, "check the address")
    answer = as_json({"error": error.detail.lower(), "hint": hint}, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def gone(request: Request, error: Exception) -> Response:
    """Answer a client that has disconnected; nobody reads this."""
    return Response(status_code=503)
