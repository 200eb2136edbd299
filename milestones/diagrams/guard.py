"""Who may ask: pages of this very server, and no page of another site, nor a name that was made to point here."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class Guard:
    """`host` is what the server was told to listen on, `port` where it does.

    A request's Host must be `localhost`, an address (a loopback one where `host` is), or `host` itself, with the right port:
    DNS rebinding needs a name. Its Origin, if it has one, must be the same.
    """

    host: str
    port: int

    def problem(self, headers: Headers) -> str | None:
        """Why a request is refused, or None."""
        host = headers.get("host", "")
        if not self._ours(host):
            return "the Host header names another server"
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            return "the request comes from a page of another site"
        return None

    def around(self, app: ASGIApp) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """The app behind this guard: what is refused gets 403 and one line."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            problem = self.problem(Headers(scope=scope)) if scope["type"] == "http" else None
            if problem is not None:
                await JSONResponse({"error": problem}, 403)(scope, receive, send)
            elif scope["type"] in ("http", "lifespan"):
                await app(scope, receive, send)

        return guarded

    def _ours(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname, parts.port or 80
        except ValueError:
            return False
        if name is None or port != self.port or "@" in host or parts.path:
            return False
        if name in ("localhost", self.host.lower()):
            return True
        try:
            address, bound = ipaddress.ip_address(name), ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return address.is_loopback or not bound.is_loopback
