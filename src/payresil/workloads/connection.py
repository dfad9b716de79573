"""A small HTTP/1.1 client on asyncio: every phase in plain sight, one connection at a time."""

from __future__ import annotations

import asyncio
import ssl
from typing import Self
from urllib.parse import urlsplit

import httptools

from payresil.core.mapping import BODY_LIMIT, Request
from payresil.workloads.transport import Reply, error_name

_READ_SIZE = 65_536


class Address:
    """Where to connect, taken from a base URL."""

    def __init__(self, base_url: str, ca_file: str | None = None) -> None:
        """`ca_file` is the PEM of the CA to verify an https server against.

        Raises:
            ValueError: when `base_url` is no http or https URL with a host.
            OSError: when `ca_file` cannot be read.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is no address such as https://127.0.0.1:8443")
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self.authority = parts.netloc.rpartition("@")[2]


class _Answer:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.begun = False  # the header is complete
        self.complete = False

    def on_message_begin(self) -> None:
        """Another header follows: what came before was an interim 1xx."""
        self.headers.clear()
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field, as it came over the wire."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The body follows."""
        self.begun = True

    def on_body(self, data: bytes) -> None:
        """A piece of the body; what is beyond any sensible answer is dropped."""
        if len(self.body) <= BODY_LIMIT:
            self.body += data

    def on_message_complete(self) -> None:
        """All of it."""
        self.complete = True


class Connection:
    """One connection, for one request after another."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, request: Request, timeout_s: float) -> Reply:
        """The answer, or why there was none; connects first where it must. Never raises."""
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._exchange(request)
        except (OSError, httptools.HttpParserError, asyncio.IncompleteReadError) as error:
            self.close()
            malformed = isinstance(error, httptools.HttpParserError)
            return Reply(None, error="malformed" if malformed else error_name(error))
        if reply.error or reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def close(self) -> None:
        """Drop the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def _exchange(self, request: Request) -> Reply:
        reader, writer = await self._connect()
        writer.write(_encoded(request, self._address.authority))
        await writer.drain()
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        while not (answer.complete and parser.get_status_code() >= 200):
            data = await reader.read(_READ_SIZE)
            if not data:
                if answer.begun and _ends_with_connection(answer.headers):
                    break
                return Reply(None, error="closed")
            parser.feed_data(data)
        return Reply(parser.get_status_code(), answer.headers, bytes(answer.body))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                self._address.host, self._address.port, ssl=self._address.tls
            )
        return self._reader, self._writer


def _ends_with_connection(headers: dict[str, str]) -> bool:
    """RFC 9112 6.3: without a length, the end of the connection is the end of the body."""
    return "content-length" not in headers and "transfer-encoding" not in headers


def _encoded(request: Request, authority: str) -> bytes:
    fields = {"Host": authority, "Accept-Encoding": "identity", **request.headers}
    if request.body or request.method != "GET":
        fields["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + request.body
