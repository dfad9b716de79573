"""Ports that a compose file publishes, in either of Compose's ways to write them."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from payresil.backends.containers.published import Published, is_taken, published
from payresil.core.protocols import EnvironmentBroke


@pytest.mark.parametrize(
    ("port", "wanted"),
    [
        ("127.0.0.1:8443:20001", ("127.0.0.1", 8443, 20001)),
        ("127.0.0.1:8443:20001/tcp", ("127.0.0.1", 8443, 20001)),
        ("[::1]:8443:20001", ("::1", 8443, 20001)),
        ("8443:20001", ("", 8443, 20001)),
        ("20001", ("", 0, 20001)),
        ("127.0.0.1::20001", ("127.0.0.1", 0, 20001)),
        (20001, ("", 0, 20001)),
        (
            {"host_ip": "127.0.0.1", "published": "8443", "target": 20001, "protocol": "tcp"},
            ("127.0.0.1", 8443, 20001),
        ),
        ({"published": 8443, "target": 20001}, ("", 8443, 20001)),
        ({"target": 20001}, ("", 0, 20001)),
    ],
)
def test_every_way_to_publish_a_port_is_read(port: Any, wanted: tuple[str, int, int]) -> None:
    (found,) = published({"services": {"shop": {"ports": [port]}}})
    assert (found.service, found.host, found.number, found.target) == ("shop", *wanted)


@pytest.mark.parametrize(
    "port",
    ["53:53/udp", "8000-8009:8000-8009", {"published": "53", "target": 53, "protocol": "udp"}],
)
def test_what_is_no_single_port_of_tcp_is_left_out(port: Any) -> None:
    assert list(published({"services": {"shop": {"ports": [port]}, "worker": {}}})) == []


def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = Published("shop", 80, "127.0.0.1", server.getsockname()[1])
        assert is_taken(port)
    assert not is_taken(port)


def test_any_free_port_is_never_taken() -> None:
    assert not is_taken(Published("shop", 80, "127.0.0.1", 0))


def test_an_address_that_is_not_of_this_machine_is_named() -> None:
    with pytest.raises(EnvironmentBroke, match=r"203\.0\.113\.1:8443 cannot be had"):
        is_taken(Published("shop", 80, "203.0.113.1", 8443))
