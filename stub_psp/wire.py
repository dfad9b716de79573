"""HTTP in and out, and what HTTP servers will not do for you: to drop a connection on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stub_psp.exchange import Answer, Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 1 << 20
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time at all: close sends RST


class CorkedTransport:
    """A transport that can hold small writes back, to make one system call of them."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] | None = None

    def write(self, data: bytes) -> None:
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(data)

    def cork(self) -> None:
        self._held = []

    def uncork(self) -> None:
        held, self._held = self._held, None
        if held:
            self._transport.write(b"".join(held))

    def close(self) -> None:
        self.uncork()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OpenProtocol(HttpToolsProtocol):
    """uvicorn's protocol, that lets the application have its transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        corked = CorkedTransport(transport)
        super().connection_made(corked)  # type: ignore[arg-type]  # all of it that is used
        self.app_state = {"transport": corked}


class ClientGoneError(Exception):
    """The client went away before its request was complete."""


class BodyTooLargeError(Exception):
    """The body has more than ``MAX_BODY`` bytes."""


class Connection:
    """One request on one connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._stopping = stopping

    async def request(self) -> Request:
        """Read it whole. Raises ClientGoneError, BodyTooLargeError."""
        body = b""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                raise BodyTooLargeError
            if not message.get("more_body"):
                break
        scope = self._scope
        return Request(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=dict(scope["headers"]),
            body=body,
        )

    async def send(self, answer: Answer, headers: list[tuple[bytes, bytes]]) -> bool:
        """Send an answer; False where there is nobody left to send it to."""
        if self._transport.is_closing():
            return False
        headers = [*headers, (b"content-length", b"%d" % len(answer.body))]
        self._transport.cork()  # uvicorn writes head and body apart
        await self._send(
            {"type": "http.response.start", "status": answer.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": answer.body})
        self._transport.uncork()
        return True

    async def stream(self, chunks: Iterable[bytes], headers: list[tuple[bytes, bytes]]) -> None:
        """Send a 200 in chunks, as far as there is somebody to send it to."""
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in chunks:
            if self._transport.is_closing():
                return
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)  # a long table must not keep others waiting
        await self._send({"type": "http.response.body", "body": b""})

    async def reset(self) -> None:
        """Drop the connection with a TCP RST."""
        opened: socket.socket = self._transport.get_extra_info("socket")
        # A connection the client has closed already may refuse the option; then there is
        # nothing left to reset.
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
        await self._gone()

    async def close(self) -> None:
        """End the connection in good order, without an answer."""
        self._transport.close()
        await self._gone()

    async def pause(self, ms: int) -> None:
        """Wait that long; less if the client goes away or the stub stops."""
        waits = [asyncio.ensure_future(self._gone()), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def delay(self, ms: int) -> None:
        """Wait that long whether the client stays or not; less if the stub stops."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), ms / 1000)

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    @property
    def _transport(self) -> CorkedTransport:
        transport: CorkedTransport = self._scope["state"]["transport"]
        return transport
