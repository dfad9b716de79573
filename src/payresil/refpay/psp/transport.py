"""The SDK's requests on the wire: HTTP/1.1 with connections that are kept.

An HTTP client of our own, as the SDK provides for. Through the SDK's aiohttp client a raw call
took 0.41 ms of CPU and the import 150 ms, through its httpx client the typed call 1.5 ms; a
payment's whole budget of CPU in this service is below 2 ms.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from time import monotonic
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from payresil.refpay.psp.sdk import stripe

#: An idle connection is used for so long: well below what servers and proxies keep.
_KEEP_S = 15.0
_CONNECT_S = 1.0


class ConnectionBroken(stripe.APIConnectionError):
    """The connection ended before the answer: the request may have been executed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, should_retry=True)  # type: ignore[no-untyped-call]  # the SDK's


class ConnectionRefused(ConnectionBroken):
    """There was no connection, so certainly nothing was sent."""


class Transport(stripe.HTTPClient):
    """Sends to one server: ``url`` is its scheme, host and port."""

    name = "payresil"

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        secure = parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._ssl = ssl.create_default_context() if secure else None
        self._fixed = f" HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
        self._idle: list[_Exchange] = []

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Body, status and headers of the answer. Raises stripe.APIConnectionError.

        Time-outs are the caller's; one that comes from outside ends the connection, as its
        answer may still come.
        """
        message = self._message(method, url, headers, post_data)
        exchange = await self._connection()
        try:
            answer = await exchange.send(message)
        except OSError as error:
            raise ConnectionBroken(type(error).__name__) from error
        finally:
            if exchange.reusable:
                self._idle.append(exchange)
            else:
                exchange.close()
        return answer

    async def close_async(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _message(self, method: str, url: str, headers: Mapping[str, str], post_data: Any) -> bytes:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        body: bytes = post_data.encode() if isinstance(post_data, str) else (post_data or b"")
        lines = [method.upper(), " ", target, self._fixed]
        for name, value in headers.items():
            if "\n" in value or "\r" in value:
                raise ValueError(f"a line break in the header {name}")
            lines += (name, ": ", value, "\r\n")
        if method != "get":
            lines.append(f"Content-Length: {len(body)}\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1") + body

    async def _connection(self) -> _Exchange:
        oldest = monotonic() - _KEEP_S
        while self._idle:
            exchange = self._idle.pop()
            if exchange.reusable and exchange.used > oldest:
                return exchange
            exchange.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, made = await loop.create_connection(
                    _Exchange, self._host, self._port, ssl=self._ssl
                )
        except OSError as error:  # a time-out is one
            raise ConnectionRefused(type(error).__name__) from error
        return made


class _Exchange(asyncio.Protocol):
    """A connection, and the one request that is on it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[bytes, int, Mapping[str, str]]] | None = None
        self._parser: Any = None
        self._body: list[bytes] = []
        self._headers: dict[str, str] = {}
        self.reusable = False
        self.used = 0.0

    async def send(self, message: bytes) -> tuple[bytes, int, Mapping[str, str]]:
        """Raises OSError when the connection ends, or what comes is not HTTP."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self.reusable = False  # until the answer is there
        self._body = []
        self._headers = _Headers()
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return await self._answer

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked: nothing on it can be trusted any more
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionAbortedError(str(error)))

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        self._fail(ConnectionResetError("the connection ended before the answer"))

    def _fail(self, error: OSError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # httptools

    def on_message_begin(self) -> None:
        if self._answer is not None and self._answer.done():
            self.reusable = False  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1")] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._answer is None or self._answer.done():
            return
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer: the real one follows
            self._headers = _Headers()
            return
        self.reusable = self._parser.should_keep_alive()
        self.used = monotonic()
        self._answer.set_result((b"".join(self._body), status, self._headers))


class _Headers(dict[str, str]):
    """Headers by name in any case: the SDK looks for ``Request-Id`` and ``stripe-should-retry``."""

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name.lower(), value)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)
