"""Real connections through the real server: data, ends, failures, counters."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]


def test_it_forwards(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    with proxy.connect() as client:
        client.exchange()
        client.exchange(b"x" * 100_000)


def test_a_server_that_speaks_first(upstream: Make, proxied: Make) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(b"hello")

    client = proxied(upstream(greet).address).connect()
    assert client.receive(5) == b"hello"
    client.assert_closed()


def test_half_close_is_preserved(upstream: Make, proxied: Make) -> None:
    def answer_at_the_end(connection: socket.socket) -> None:
        total = 0
        while data := connection.recv(65536):
            total += len(data)
        connection.sendall(str(total).encode())

    client = proxied(upstream(answer_at_the_end).address).connect()
    client.sendall(b"x" * 1_000_000)
    client.shutdown(socket.SHUT_WR)
    assert client.receive(7) == b"1000000"
    client.assert_closed()


def test_a_large_transfer_arrives_whole_through_toxics(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    proxy.toxic("latency", latency=20)
    proxy.toxic("slicer", stream="upstream", average_size=5000, size_variation=2000)
    client = proxy.connect()
    payload = bytes(range(256)) * 8192
    sender = threading.Thread(target=client.sendall, args=(payload,))
    sender.start()
    assert client.receive(len(payload)) == payload
    sender.join()


def test_a_reader_that_stalls_holds_the_sender_back(upstream: Make, proxied: Make) -> None:
    release = threading.Event()

    def stall(connection: socket.socket) -> None:
        release.wait(20)
        while connection.recv(65536):
            pass

    proxy = proxied(upstream(stall).address)
    client = proxy.connect()
    client.setblocking(False)
    sent = 0
    # Socket buffers on the way take megabytes; the proxy itself must not take the rest.
    while select.select([], [client], [], 0.5)[1]:
        sent += client.send(b"x" * 65536)
        assert sent < 200_000_000
    release.set()
    client.setblocking(True)
    client.shutdown(socket.SHUT_WR)
    client.assert_closed()
    assert proxy.stats()["upstream_bytes"] == sent


def test_an_upstream_that_refuses(server: Any, proxied: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    proxy = proxied(address)
    client = proxy.connect()
    client.assert_closed()
    server.wait_for(lambda: proxy.stats()["dial_failures"] == 1)
    assert proxy.stats()["connections_open"] == 0
    reasons = [line["reason"] for line in server.log() if line["event"] == "dial_failed"]
    assert reasons[-1] == f"dial tcp {address}: connect: connection refused"


def test_an_upstream_name_that_does_not_resolve(proxied: Make) -> None:
    proxied("no-such-host.invalid:80").connect().assert_closed()


def test_an_upstream_by_name(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address.replace("127.0.0.1", "localhost"))
    proxy.connect().exchange()


def test_a_dial_that_hangs_holds_nothing_up(server: Any, proxied: Make) -> None:
    with socket.socket() as deaf:
        # A full backlog: the kernel answers nobody further.
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        proxy = proxied(f"127.0.0.1:{address[1]}")
        clients = [proxy.connect() for _ in range(5)]
        server.wait_for(lambda: proxy.stats()["connections_open"] == 5)
        server.ok("PATCH", proxy.path, {"enabled": False})
        for client in clients:
            client.assert_closed()
        assert proxy.stats()["connections_open"] == 0
        for filler in fillers:
            filler.close()


def test_down_closes_connections_and_refuses_then_comes_back(
    server: Any, upstream: Make, proxied: Make
) -> None:
    proxy = proxied(upstream().address)
    client = proxy.connect()
    client.exchange()
    server.ok("PATCH", proxy.path, {"enabled": False})
    client.assert_closed()
    with pytest.raises(ConnectionRefusedError):
        proxy.connect()
    assert proxy.stats()["connections_open"] == 0
    server.ok("PATCH", proxy.path, {"enabled": True})
    proxy.connect().exchange()


def test_a_new_upstream_drops_connections_and_serves_new_ones(
    server: Any, upstream: Make, proxied: Make
) -> None:
    def other(connection: socket.socket) -> None:
        connection.sendall(b"other")

    proxy = proxied(upstream().address)
    client = proxy.connect()
    client.exchange()
    server.ok("PATCH", proxy.path, {"upstream": upstream(other).address})
    client.assert_closed()
    assert proxy.connect().receive(5) == b"other"


def test_delete_closes_connections(server: Any, upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    client = proxy.connect()
    client.exchange()
    server.ok("DELETE", proxy.path)
    client.assert_closed()


def test_a_client_reset_reaches_the_upstream(upstream: Make, proxied: Make) -> None:
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(100):
            connection.sendall(data)
        over.set()

    client = proxied(upstream(serve).address).connect()
    client.exchange()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert over.wait(20)


def test_stats_count_live_connections(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    client = proxy.connect()
    client.exchange(b"12345")
    stats = proxy.stats()
    assert (stats["connections_total"], stats["connections_open"]) == (1, 1)
    assert (stats["upstream_bytes"], stats["downstream_bytes"]) == (5, 5)


def test_counters_survive_the_connection(server: Any, upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    with proxy.connect() as client:
        client.exchange(b"12345")
    server.wait_for(lambda: proxy.stats()["connections_open"] == 0)
    stats = proxy.stats()
    assert (stats["upstream_bytes"], stats["downstream_bytes"]) == (5, 5)
    assert stats["connections_total"] == 1


def test_connections_that_come_and_go_while_the_proxy_is_toggled(
    server: Any, upstream: Make, proxied: Make
) -> None:
    proxy = proxied(upstream().address)
    stop = threading.Event()
    stuck: list[Exception] = []

    def churn() -> None:
        while not stop.is_set():
            try:
                with proxy.connect() as client:
                    client.sendall(b"x")
                    client.recv(1)
            except TimeoutError as error:
                stuck.append(error)
            except ConnectionError:
                stop.wait(0.001)

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for round_number in range(40):
        server.ok("PATCH", proxy.path, {"enabled": bool(round_number % 2)})
    stop.set()
    for thread in threads:
        thread.join()
    assert not stuck
    server.ok("PATCH", proxy.path, {"enabled": True})
    proxy.connect().exchange()
    server.wait_for(lambda: proxy.stats()["connections_open"] == 1)
