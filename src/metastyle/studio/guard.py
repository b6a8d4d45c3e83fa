"""Who may talk to the studio: host, origin and token are checked before anything else sees a request."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from metastyle.studio.settings import StudioSettings, is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "metastyle_token"
_SAFE = {"GET", "HEAD", "OPTIONS"}

UPLOADS = {"/api/pictures", "/api/clips", "/api/styles"}
"""Where files are sent to; other requests are small."""

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self' blob: data:",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(self)",
}
"""On every answer. Isolation across origins is what gives WebAssembly its threads."""

FOR_GOOD = "public, max-age=31536000, immutable"
"""The cache-control of files whose names change with their content."""


class Guard:
    """ASGI middleware: refuses foreign hosts, foreign origins and callers without the token."""

    def __init__(self, app: App, settings: StudioSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        token = self._offered(scope)
        if token == self._settings.token is not None and scope["method"] == "GET" and scope["path"] == "/":
            # The token leaves the address bar, and later requests of the page carry it as a cookie.
            cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(send, 303, "", {"location": "/", "set-cookie": cookie})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {key.lower() for key, _ in message.get("headers", ())}
                extra = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in own]
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        name = _host_name(host)
        if self._settings.private and not is_loopback(name) and name != self._settings.host:
            return 421, f"this studio is not {name or 'there'}: open http://127.0.0.1:{self._settings.port}"
        if scope["method"] not in _SAFE:
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != host:
                return 403, "requests from other sites are refused"
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return 403, "requests from other sites are refused"
        if self._settings.token is not None and not self._known(scope, headers):
            return 401, "a token is required: open the address that 'metastyle studio' has printed"
        if scope["path"] not in UPLOADS:  # those count their own bytes while they arrive
            if "transfer-encoding" in headers:
                return 411, "this request has to state its length"
            stated = headers.get("content-length", "0")
            if not stated.isdigit() or int(stated) > self._settings.limits.request_bytes:
                return (
                    413,
                    f"larger than {self._settings.limits.request_bytes / 1e6:.0f} MB, which is the limit",
                )
        return None

    def _known(self, scope: Scope, headers: dict[str, str]) -> bool:
        offered = [headers.get("authorization", "").removeprefix("Bearer ")]
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            morsel = None
        if morsel is not None:
            offered.append(morsel.value)
        if (in_address := self._offered(scope)) is not None:
            offered.append(in_address)
        token = (self._settings.token or "").encode()
        return any(hmac.compare_digest(one.encode(), token) for one in offered)

    def _offered(self, scope: Scope) -> str | None:
        """The token in the address, where the studio has one."""
        if self._settings.token is None:
            return None
        return next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("token", ())), None)


def _host_name(host: str) -> str:
    """The host without its port; empty if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _answer(send: Send, status: int, error: str, more: dict[str, str] | None = None) -> None:
    body = json.dumps({"error": error}).encode() if error else b""
    headers = {
        **HEADERS,
        "content-type": "application/json",
        "content-length": str(len(body)),
        **(more or {}),
    }
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
