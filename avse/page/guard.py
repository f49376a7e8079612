"""Access control of the server: it answers only the page on this computer, which has the token."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = {
    "default-src": "'self'",
    "media-src": "'self' blob:",
    "img-src": "'self' blob: data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # browsers keep recordings in memory only
}
"""Headers of every answer."""

_REFUSED = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>avse: no access</title></head>
<body>
<h1>No access</h1>
<p>%s</p>
<p>Open the address that <code>avse open</code> printed in the terminal. It ends with
<code>?token=</code> and a token.</p>
</body>
</html>
"""
# A browser that follows a link from another site withholds the cookie during redirects.
_ONWARD = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>avse</title><meta http-equiv="refresh" content="0;url=/"></head>
<body><p><a href="/">Continue</a></p></body>
</html>
"""


class Guard:
    """ASGI middleware around the whole server: checks each request, and adds `HEADERS`.

    `Host` has to name this server, which an attacker's domain that resolves to 127.0.0.1 does not.
    `Origin` and `Sec-Fetch-Site`, if the browser sends them, have to name this page. The token is
    in the URL, or in the cookie that the answer to such a URL has set.

    Args:
        app: the application behind the checks.
        port: port of the server.
        token: access token, in ASCII.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app, self._token = app, token.encode("ascii")
        self._cookie = f"avse-{port}"  # cookies are not told apart by port
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:
            self._hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it to the application."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._check(scope)
        await (self._app if answer is None else answer)(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> Response | None:
        """The answer to a refused request; None for an allowed one."""
        headers = Headers(scope=scope)
        hosts, origin = headers.getlist("host"), headers.get("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return _refuse(scope, "The request was meant for another server.")
        if origin is not None and origin != f"http://{hosts[0].lower()}":
            return _refuse(scope, "The request came from another page.")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if given is not None:
            if not self._is_token(given[0]):
                return _refuse(scope, "The token is wrong, or from an earlier run.")
            return self._let_in(elsewhere) if scope["path"] == "/" else None
        if elsewhere:
            return _refuse(scope, "The request came from another page.")
        if not self._is_token(cookie_parser(headers.get("cookie", "")).get(self._cookie, "")):
            return _refuse(scope, "The token is missing, or from an earlier run.")
        return None

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token)

    def _let_in(self, elsewhere: bool) -> Response:
        answer = HTMLResponse(_ONWARD) if elsewhere else RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._token.decode(), httponly=True, samesite="strict")
        return answer


def _refuse(scope: Scope, why: str) -> Response:
    if scope["path"].startswith("/api/"):
        text = json.dumps({"error": why, "hint": "open the address that avse open printed"})
        return Response(text, 403, media_type="application/json")
    return HTMLResponse(_REFUSED % why, 403)
