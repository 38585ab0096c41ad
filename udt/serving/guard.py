"""Who may ask: a token, or a browser page of this machine; and the count of all requests."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from udt.serving.account import Account

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/", "/health")
"""Answered without the token: they tell nothing of data or model but that it is there."""


class Guard:
    """Refuses strangers and counts requests, in front of everything else.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    account : Account
        Where requests are counted.
    token : str or None
        What ``Authorization: Bearer`` has to hold; None = nothing.
    hosts : frozenset of str
        Names under which the server may be addressed; empty = any. On the loopback interface this
        keeps out pages of strangers whose domain was pointed to this machine (DNS rebinding).
    """

    def __init__(
        self, app: ASGIApp, account: Account, token: str | None, hosts: frozenset[str]
    ) -> None:
        self._app, self._account, self._hosts = app, account, hosts
        self._bearer = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, note_status)
            else:
                await _refuse(note_status, *refusal)
        finally:
            self._account.answered(scope["path"], status, time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and sentence for what may not pass."""
        headers = dict(scope["headers"])
        if self._hosts:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            if _without_port(host) not in self._hosts:
                return 421, (
                    f"This server is not {host[:100]!r}. It was expected to be addressed as one of "
                    f"{', '.join(sorted(self._hosts))}; set a token to serve under other names."
                )
        if self._bearer is None or scope["path"] in OPEN_PATHS:
            return None
        given = headers.get(b"authorization", b"")
        if hmac.compare_digest(given, self._bearer):  # takes as long wherever they differ
            return None
        how = "does not have the right token" if given else "has no token"
        return 401, f"The request {how}. Expected the header Authorization: Bearer and the token."


def _without_port(host: str) -> str:
    """Return the name in a Host header.

    Examples
    --------
    >>> _without_port("localhost:8000"), _without_port("[::1]:8000"), _without_port("::1")
    ('localhost', '[::1]', '::1')
    """
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not name.endswith(":") else host


async def _refuse(send: Send, status: int, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
