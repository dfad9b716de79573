"""A held port goes to the node that names it, and to nobody else."""

from __future__ import annotations

import socket

import pytest

from payresil.backends.ports import HeldPort


def test_a_server_that_reuses_addresses_gets_it_and_nobody_after_it() -> None:
    held = HeldPort()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", held.number))
        server.listen()
        with (
            socket.create_connection(("127.0.0.1", held.number)),
            socket.socket() as other,
        ):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", held.number))
    held.release()


def test_nobody_connects_to_a_port_that_is_only_held() -> None:
    held = HeldPort()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", held.number))
    held.release()


def test_held_ports_differ() -> None:
    held = [HeldPort() for _ in range(50)]
    assert len({port.number for port in held}) == 50
    assert held[0].address == f"127.0.0.1:{held[0].number}"
    for port in held:
        port.release()
