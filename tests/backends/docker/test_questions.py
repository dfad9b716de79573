"""Whether a container serves: a connection that is taken says nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from payresil.backends.containers.questions import answers_200, takes_clients

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that answers whatever it is asked with the same bytes, and its address."""
    listeners: list[socket.socket] = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer_one() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        threading.Thread(target=answer_one, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 503 Not Yet\r\nContent-Length: 0\r\n\r\n", False),
        (b"", False),
        (b"nonsense", False),
    ],
)
def test_a_service_is_ready_when_it_answers_200(serve: Serve, answer: bytes, ready: bool) -> None:
    assert answers_200(f"http://{serve(answer)}/readyz") is ready


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00", True),
        (b"E\x00\x00\x00\x05\x00", False),  # the database system is starting up
        (b"", False),
    ],
)
def test_a_database_is_ready_when_it_asks_for_a_password(
    serve: Serve, answer: bytes, ready: bool
) -> None:
    assert takes_clients(serve(answer), "auditor", "payments") is ready


def test_where_nobody_listens_nobody_is_ready() -> None:
    assert not answers_200("http://127.0.0.1:9/")
    assert not takes_clients("127.0.0.1:9", "auditor", "payments")
