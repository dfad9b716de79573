"""The real server with real sockets around it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

PATIENCE_S = 20.0
TARGET = "127.0.0.1:9"  # nothing is sent there


class Server:
    """The server as a process of its own, and its API."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.ready_file = folder / "ready.json"
        self._log = folder / "log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "payresil.toxiproxy", "--port", "0"]
            command += ["--ready-file", str(self.ready_file), *arguments]
            self.process = subprocess.Popen(command, stderr=log)
        self.wait_for(lambda: self.ready_file.exists() or self.process.poll() is not None)
        if self.process.returncode is None:
            self.ready = json.loads(self.ready_file.read_text())
            self.port: int = self.ready["port"]

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)

    def request(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any, http.client.HTTPResponse]:
        """Status, body (decoded where it is JSON) and the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            text = response.read().decode()
        try:
            return response.status, json.loads(text), response
        except ValueError:
            return response.status, text, response

    def ok(self, method: str, path: str, body: object = None) -> Any:
        status, answer, _response = self.request(method, path, body)
        assert status < 300, answer
        return answer

    def error(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status and text of a refused request."""
        status, answer, response = self.request(method, path, body)
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert answer["status"] == status
        return status, answer["error"]

    def log(self) -> list[dict[str, Any]]:
        """The complete lines so far."""
        lines = self._log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server with arguments of one's own."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def start(*arguments: str) -> Server:
            folder = tmp_path / f"server-{next(numbers)}"
            folder.mkdir()
            server = Server(folder, *arguments)
            stack.callback(server.process.wait)
            stack.callback(server.process.kill)
            return server

        yield start


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("toxiproxy"), "--seed", "7")
    yield server
    assert server.process.poll() is None, "a test killed the server"
    assert server.stop() == 0
    assert not [line for line in server.log() if "exception" in line]


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """One server for the whole session, empty for every test."""
    yield shared_server
    shared_server.ok("DELETE", "/lease")
    for name in shared_server.ok("GET", "/proxies"):
        if "/" not in name:
            shared_server.request("DELETE", f"/proxies/{quote(name, safe='')}")


@pytest.fixture
def proxy(server: Server) -> Any:
    """A proxy named p that nobody connects to, as the API shows it."""
    return server.ok("POST", "/proxies", {"name": "p", "upstream": TARGET})


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


class Upstream:
    """A server on a real socket; what it does with a connection is the test's."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._listening.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        # A reset is what some tests are about.
        with connection, contextlib.suppress(OSError):
            self._serve(connection)

    def close(self) -> None:
        # shutdown() wakes the accepting thread, close() alone does not.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def _echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


@pytest.fixture
def upstream() -> Iterator[Callable[..., Upstream]]:
    """Start upstream servers; an echo without an argument."""
    with contextlib.ExitStack() as stack:

        def start(serve: Callable[[socket.socket], None] = _echo) -> Upstream:
            server = Upstream(serve)
            stack.callback(server.close)
            return server

        yield start


class Client(socket.socket):
    """A client's end of a connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.settimeout(PATIENCE_S)
        self.connect(address)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self, size: int) -> bytes:
        """So many bytes, or fewer where the stream ends."""
        data = b""
        while len(data) < size:
            part = self.recv(size - len(data))
            if not part:
                break
            data += part
        return data

    def exchange(self, data: bytes = b"ping") -> float:
        """Send and get the same back; returns seconds."""
        start = time.monotonic()
        self.sendall(data)
        assert self.receive(len(data)) == data
        return time.monotonic() - start

    def assert_closed(self) -> None:
        assert self.recv(1) == b""

    def assert_reset(self) -> None:
        with pytest.raises(ConnectionResetError):
            self.recv(1)


class Proxied:
    """A proxy of the server under test and clients of it."""

    def __init__(self, server: Server, name: str, upstream: str, stack: contextlib.ExitStack):
        self._server = server
        self._stack = stack
        self.path = f"/proxies/{name}"
        self.name = name
        shown = server.ok("POST", "/proxies", {"name": name, "upstream": upstream})
        self.listen: str = shown["listen"]
        host, _colon, port = self.listen.rpartition(":")
        self.address = (host, int(port))

    def connect(self) -> Client:
        return self._stack.enter_context(Client(self.address))

    def toxic(self, kind: str, stream: str = "downstream", **attributes: int) -> str:
        body = {"type": kind, "stream": stream, "attributes": attributes}
        return str(self._server.ok("POST", f"{self.path}/toxics", body)["name"])

    def remove(self, toxic: str) -> None:
        self._server.ok("DELETE", f"{self.path}/toxics/{toxic}")

    def stats(self) -> Any:
        return self._server.ok("GET", "/stats")[self.name]


@pytest.fixture
def proxied(server: Server) -> Iterator[Callable[[str], Proxied]]:
    """Make a proxy in front of an address."""
    with contextlib.ExitStack() as stack:
        names = (f"proxy-{number}" for number in itertools.count())
        yield lambda upstream: Proxied(server, next(names), upstream, stack)
