"""Two listening ports in one event loop, from the first request to SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvicorn

from stub_psp.wire import OpenProtocol

#: How long requests in progress may take to finish once the stub is asked to stop. Those that
#: a fault holds end at once; what is left then is a client that stopped in mid-request.
GRACE_S = 0.4


class ListenError(Exception):
    """The address cannot be listened on; the message says which."""


class Server(uvicorn.Server):
    """uvicorn's server, that leaves signals to the caller and says when it serves."""

    def __init__(self, app: object, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]  # ASGI 3; our message types are plain mappings
                http=OpenProtocol,
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                date_header=False,
                backlog=2048,
                # Longer than a client keeps an idle connection, so that it is the client who
                # ends it and no request meets a closing one.
                timeout_keep_alive=600,
            )
        )
        self._listener = listener
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def run_until_stopped(self) -> None:
        await self.serve([self._listener])


def listen(host: str, port: int) -> socket.socket:
    """Bind, port 0 to any free one. Raises ListenError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def write_ready(path: Path, ports: dict[str, int]) -> None:
    """Tell where we serve; the file appears whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(msgspec.json.encode(ports))
    partial.replace(path)


async def serve(
    servers: list[Server], ready: Path | None, ports: dict[str, int], stopping: asyncio.Event
) -> None:
    """Serve until SIGTERM or SIGINT; ``stopping`` is then set, and held requests end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    tasks = [asyncio.create_task(server.run_until_stopped()) for server in servers]
    for server in servers:
        await server.ready.wait()
    if ready is not None:
        write_ready(ready, ports)
    await stopping.wait()
    for server in servers:
        server.should_exit = True
        loop.call_later(GRACE_S, setattr, server, "force_exit", True)
    await asyncio.gather(*tasks)
