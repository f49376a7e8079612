"""Run the page's server on this computer until the user ends it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from avse.errors import UsageError
from avse.page.server import Page

HOST = "127.0.0.1"
_PATIENCE_S = 1  # seconds to wait for unfinished answers at the end of the server


def bind(port: int = 0) -> socket.socket:
    """Open a socket on the loopback address, which other computers cannot reach.

    Args:
        port: the port; 0 for any free one.

    Raises:
        UsageError: the port is taken or privileged.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # on Windows, it would share the port with another program
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        why = {errno.EADDRINUSE: "is taken", errno.EACCES: "may not be used"}
        reason = why.get(error.errno or 0, f"cannot be used: {error.strerror}")
        raise UsageError(
            f"port {port} {reason}", "choose another with --port, or leave it out for a free one"
        ) from error
    return bound


class Server(uvicorn.Server):
    """Serves a page; Ctrl-C, SIGTERM and a closed terminal end it cleanly.

    Args:
        page: the application to serve.
        bound: the socket, from `bind`.
        ready: called with the address to open, when the server answers.
        log: whether uvicorn logs requests.
    """

    def __init__(
        self,
        page: Page,
        bound: socket.socket,
        *,
        ready: Callable[[str], None] = lambda address: None,
        log: bool = False,
    ) -> None:
        port, token = bound.getsockname()[1], secrets.token_urlsafe(24)
        self.address = f"http://{HOST}:{port}/?token={token}"
        self._page, self._bound, self._ready = page, bound, ready
        super().__init__(
            uvicorn.Config(
                page.app(port=port, token=token),
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="info" if log else "critical",
                access_log=log,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_PATIENCE_S,
            )
        )

    def serve_until_stopped(self) -> None:
        """Serve the page; returns at most a second after the end was requested."""
        self.run([self._bound])

    def stop(self) -> None:
        """Request the end, from any thread."""
        self._page.stop()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer requests, and call `ready`."""
        await super().startup(sockets)
        self._ready(self.address)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Request the end at the first signal, and end at once at the second."""
        self.force_exit = self.should_exit
        self.stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals, also SIGHUP of a closed terminal unless the program ignores it."""
        hang_up = getattr(signal, "SIGHUP", None)
        main = threading.current_thread() is threading.main_thread()
        handle = main and hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN
        before = signal.signal(hang_up, self.handle_exit) if handle and hang_up else None
        try:
            with super().capture_signals():
                yield
        finally:
            if handle and hang_up:
                signal.signal(hang_up, before)
