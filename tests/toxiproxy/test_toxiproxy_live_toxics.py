"""Toxics on real connections. Times are lower bounds only: machines are slow at times."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from payresil.toxiproxy.toxicity import draw

Make = Callable[..., Any]


def test_latency_delays_and_its_removal_ends_it(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    client = proxy.connect()
    client.exchange()
    toxic = proxy.toxic("latency", latency=150)
    assert client.exchange() >= 0.149
    proxy.remove(toxic)
    client.exchange()


def test_removal_flushes_what_waits(server: Any, upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    client = proxy.connect()
    toxic = proxy.toxic("latency", latency=3_600_000)
    client.sendall(b"held")
    server.wait_for(lambda: proxy.stats()["toxics"][toxic]["bytes"] == 4)
    proxy.remove(toxic)
    assert client.receive(4) == b"held"


def test_bandwidth(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    proxy.toxic("bandwidth", rate=100)
    assert proxy.connect().exchange(b"x" * 50_000) >= 0.49


def test_bandwidth_zero_loses_nothing(server: Any, upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    toxic = proxy.toxic("bandwidth", rate=0)
    client = proxy.connect()
    client.sendall(b"held")
    server.wait_for(lambda: proxy.stats()["toxics"][toxic]["hits"])
    proxy.remove(toxic)
    assert client.receive(4) == b"held"


def test_timeout_is_a_black_hole_and_its_removal_closes(
    server: Any, upstream: Make, proxied: Make
) -> None:
    proxy = proxied(upstream().address)
    client = proxy.connect()
    client.exchange()
    toxic = proxy.toxic("timeout", timeout=0)
    client.sendall(b"lost")
    server.wait_for(lambda: proxy.stats()["toxics"][toxic]["dropped_bytes"] == 4)
    proxy.remove(toxic)
    client.assert_closed()
    proxy.connect().exchange()


def test_timeout_closes_idle_connections(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    client = proxy.connect()
    client.exchange()
    proxy.toxic("timeout", timeout=50)
    client.assert_closed()


def test_a_client_that_gives_up_frees_a_black_hole(
    server: Any, upstream: Make, proxied: Make
) -> None:
    proxy = proxied(upstream().address)
    proxy.toxic("timeout", timeout=0)
    client = proxy.connect()
    client.sendall(b"lost")
    client.close()
    server.wait_for(lambda: proxy.stats()["connections_open"] == 0)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_reset_peer_resets_new_connections(upstream: Make, proxied: Make, stream: str) -> None:
    proxy = proxied(upstream().address)
    proxy.toxic("reset_peer", stream=stream, timeout=0)
    client = proxy.connect()
    client.sendall(b"x")
    client.assert_reset()


def test_reset_peer_resets_both_sides_of_open_connections(upstream: Make, proxied: Make) -> None:
    errors: list[type[BaseException]] = []
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        try:
            while data := connection.recv(100):
                connection.sendall(data)
        except OSError as error:
            errors.append(type(error))
        over.set()

    proxy = proxied(upstream(serve).address)
    client = proxy.connect()
    client.exchange()
    proxy.toxic("reset_peer", timeout=10)
    client.sendall(b"x")
    client.assert_reset()
    assert over.wait(20)
    assert errors == [ConnectionResetError]


def test_limit_data(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    proxy.toxic("limit_data", bytes=25)
    client = proxy.connect()
    client.exchange(b"x" * 10)
    client.sendall(b"y" * 40)
    assert client.receive(100) == b"y" * 15
    assert proxy.stats()["toxics"]["limit_data_downstream"]["closed_connections"] == 1


def test_slow_close(upstream: Make, proxied: Make) -> None:
    def bye(connection: socket.socket) -> None:
        connection.sendall(b"bye")

    proxy = proxied(upstream(bye).address)
    proxy.toxic("slow_close", delay=200)
    start = time.monotonic()
    client = proxy.connect()
    assert client.receive(3) == b"bye"
    client.assert_closed()
    assert time.monotonic() - start >= 0.199


def test_slicer_sends_pieces(upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    proxy.toxic("slicer", average_size=10, delay=20_000)
    client = proxy.connect()
    client.sendall(b"x" * 40)
    pieces = [client.recv(100)]
    assert len(pieces[0]) < 40
    assert len(client.receive(40 - len(pieces[0]))) == 40 - len(pieces[0])


def touched(server: Any, proxy: Any, toxicity: float, clients: int) -> list[bool]:
    """Which connections a black hole is on, by the order they were opened."""
    body = {"type": "timeout", "name": "t", "toxicity": toxicity, "attributes": {"timeout": 1}}
    opened = []
    for _ in range(clients):
        client = proxy.connect()
        client.exchange()
        opened.append(client)
    server.ok("POST", f"{proxy.path}/toxics", body)
    server.ok("PATCH", f"{proxy.path}/toxics/t", {})
    server.wait_for(lambda: proxy.stats()["toxics"]["t"]["connections"] == clients_hit(proxy))
    result = []
    for client in opened:
        try:
            client.sendall(b"x")
            result.append(client.recv(1) == b"")
        except ConnectionError:
            result.append(True)
    return result


def clients_hit(proxy: Any) -> int:
    hit: int = proxy.stats()["toxics"]["t"]["closed_connections"]
    return hit


def test_toxicity_is_drawn_from_the_seed(server: Any, upstream: Make, proxied: Make) -> None:
    proxy = proxied(upstream().address)
    expected = [draw(7, proxy.name, number, "t") < 0.5 for number in range(1, 21)]
    assert touched(server, proxy, 0.5, 20) == expected
    assert len(set(expected)) == 2
