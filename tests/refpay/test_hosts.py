"""A database on several hosts: one that is gone or silent leaves time for the next."""

import asyncio
import socket
import threading
import time
from contextlib import closing, suppress

import pytest

from payresil.refpay.books.database import Database, DatabaseDownError
from payresil.refpay.books.hosts import Hosts
from payresil.refpay.books.urls import one_host_each


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://u:p@h1:1/d", ["postgresql://u:p@h1:1/d"]),
        (
            "postgresql://u:p@h1:1,h2:2/d?target_session_attrs=primary",
            [
                "postgresql://u:p@h1:1/d?target_session_attrs=primary",
                "postgresql://u:p@h2:2/d?target_session_attrs=primary",
            ],
        ),
        ("postgres://h1,[::1]:5?x=/", ["postgres://h1?x=/", "postgres://[::1]:5?x=/"]),
    ],
)
def test_a_url_is_taken_apart(url, each):
    assert one_host_each(url) == each


@pytest.mark.parametrize("url", ["h1:1/d", "postgresql://u@/d", "postgresql://h1,,h2/d"])
def test_a_url_without_a_host_is_an_error(url):
    with pytest.raises(ValueError, match="a host is missing"):
        one_host_each(url)


class _Servers:
    """Opens connections to hosts, unless they are down; notes who was asked, and for how long."""

    def __init__(self, *down):
        self.down = set(down)
        self.asked = []

    async def open(self, url, seconds):
        host = url.removeprefix("postgresql://").removesuffix("/d")
        self.asked.append((host, seconds))
        if host in self.down:
            raise ConnectionRefusedError
        return host


def test_the_host_that_worked_last_is_asked_first():
    servers = _Servers("one")
    hosts = Hosts("postgresql://one,two,three/d")

    async def main():
        assert [await hosts.connect(3.0, servers.open) for _ in range(2)] == ["two", "two"]
        servers.down = {"one", "two"}
        assert await hosts.connect(3.0, servers.open) == "three"

    asyncio.run(main())
    assert [host for host, _ in servers.asked] == ["one", "two", "two", "two", "three"]


def test_each_host_has_its_share_of_the_time():
    servers = _Servers("one", "two", "three")

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(Hosts("postgresql://one,two,three/d").connect(3.0, servers.open))

    shares = [seconds for _, seconds in servers.asked]
    # None took any time, so that all of it is left for the last.
    assert shares == pytest.approx([1.0, 1.5, 3.0], abs=0.1)


@pytest.fixture
def closing_port():
    """A port that accepts and closes, as a proxy does whose server is gone."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def accept():
            with suppress(OSError):  # closed
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.fixture
def silent_port():
    """A port that accepts, and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def _one(port, postgres, timeout_ms=2000):
    """The answer to a question, through a database whose first host is at ``port``."""

    async def main():
        url = f"postgresql://payments@127.0.0.1:{port},127.0.0.1:{postgres.port}/postgres"
        database = Database(
            f"{url}?target_session_attrs=primary", name="test", connections=2,
            timeout_ms=timeout_ms, settings={},
        )  # fmt: skip
        try:
            return (await database.row("select 1 as one"))["one"]
        finally:
            database.close()

    return asyncio.run(main())


@pytest.mark.parametrize("first", ["dead_port", "closing_port", "silent_port"])
def test_the_second_host_is_reached_in_time(postgres, request, first):
    began = time.monotonic()

    assert _one(request.getfixturevalue(first), postgres) == 1
    assert time.monotonic() - began < 2


@pytest.fixture
def dead_port(dead_database):
    return int(dead_database.rpartition(":")[2].split("/")[0])


def test_no_host_at_all_is_a_database_that_is_down(dead_port):
    class Gone:
        port = dead_port

    with pytest.raises(DatabaseDownError):
        _one(dead_port, Gone)
