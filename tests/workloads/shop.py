"""A tiny payment service for tests: one process, behaviour chosen while it runs.

    python shop.py [CERT KEY]

It prints its port, then one line for every payment request: ``N HELD``, how many there were and
how many of them are being held back. ``POST /control`` with a JSON object sets ``mode``;
``GET /control`` tells what was seen.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import struct
import sys
from typing import Any


class Shop:
    """What it does, and what it saw."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.go = asyncio.Event()
        self.held = 0
        self.connections = 0
        self.seen: list[dict[str, Any]] = []
        self.payments: dict[str, dict[str, Any]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client went away, as clients do
        finally:
            writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.strip().split("\r\n")
        method, path, _ = line.split()
        headers = {k.lower(): v for k, v in (field.split(": ", 1) for field in fields)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path == "/control":
            self.connections -= 1  # counts those that carry payments
            answer(writer, 200, self.control(method, body))
        elif method == "GET":
            self.read(writer, path)
        else:
            return await self.pay(writer, path, headers, json.loads(body))
        await writer.drain()
        return True

    def control(self, method: str, body: bytes) -> dict[str, Any]:
        if method == "POST":
            self.mode = json.loads(body)["mode"]
            self.go.set()
            self.go = asyncio.Event()
        return {"seen": self.seen, "connections": self.connections}

    def read(self, writer: asyncio.StreamWriter, path: str) -> None:
        wanted = path.rpartition("=")[2] if "?" in path else path.rpartition("/")[2]
        for payment in self.payments.values():
            if wanted in (payment["id"], payment["reference"]):
                payment["reads"] += 1
                if payment["reads"] > 1:
                    payment["state"] = "succeeded"
                answer(writer, 200, payment)
                return
        answer(writer, 404, {"error": "no such payment"})

    async def pay(
        self,
        writer: asyncio.StreamWriter,
        path: str,
        headers: dict[str, str],
        body: dict[str, Any],
    ) -> bool:
        key, mode = headers["idempotency-key"], self.mode
        authorization = headers.get("authorization")
        self.seen.append({"key": key, "path": path, "authorization": authorization, **body})
        self.held += mode == "hang"
        print(len(self.seen), self.held, flush=True)
        if mode == "hang":
            await self.go.wait()
            self.held -= 1
            mode = self.mode
        replayed = key in self.payments
        state = {"decline": "declined", "processing": "processing"}.get(mode, "succeeded")
        fresh = {"id": f"pay_{len(self.payments)}", "reference": body["reference"], "reads": 0,
                 "state": state}  # fmt: skip
        payment = self.payments.setdefault(key, fresh)
        return await self.respond(writer, mode, payment, replayed)

    async def respond(
        self, writer: asyncio.StreamWriter, mode: str, payment: dict[str, Any], replayed: bool
    ) -> bool:
        more = "Idempotent-Replayed: true\r\n" if replayed else ""
        if mode == "drop":
            return False
        if mode == "reset":
            linger = struct.pack("ii", 1, 0)  # closing then sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return False
        if mode == "cut":
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n" + b'{"id": "x"')
            return False
        if mode == "garbage":
            writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            return False
        if mode == "until-close":
            writer.write(b"HTTP/1.1 201 Created\r\n\r\n" + json.dumps(payment).encode())
            return False
        if mode == "gzip":
            packed = gzip.compress(json.dumps(payment).encode())
            raw(writer, 201, packed, "Content-Encoding: gzip\r\n")
        elif mode == "strange":
            raw(writer, 201, b"?", "Content-Encoding: rot13\r\n")
        elif mode == "decline":  # in two pieces, as a slow link delivers it
            whole = message(402, json.dumps(payment).encode(), more)
            writer.write(whole[:-10])
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(whole[-10:])
        elif mode == "chunked":
            text = json.dumps(payment).encode()
            writer.write(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))
        else:
            status = int(mode) if mode.isdecimal() else 202 if mode == "processing" else 201
            answer(writer, status, payment, more)
        await writer.drain()
        return True


def message(status: int, body: bytes, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def raw(writer: asyncio.StreamWriter, status: int, body: bytes, more: str) -> None:
    writer.write(message(status, body, more))


def answer(writer: asyncio.StreamWriter, status: int, content: Any, more: str = "") -> None:
    writer.write(message(status, json.dumps(content).encode(), more))


async def main() -> None:
    context = None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(
        Shop().serve, "127.0.0.1", 0, ssl=context, backlog=1024, limit=1 << 20
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
