"""The package toxiproxy-python, as it is, drives the server."""

from __future__ import annotations

import importlib
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Make = Callable[..., Any]


@pytest.fixture
def client(server: Any) -> Iterator[Any]:
    """The client keeps its server in a class attribute; put it back."""
    api = importlib.import_module("toxiproxy.api").APIConsumer
    before = api.host, api.port
    toxiproxy = importlib.import_module("toxiproxy").Toxiproxy()
    toxiproxy.update_api_consumer("127.0.0.1", server.port)
    yield toxiproxy
    api.host, api.port = before


def exceptions() -> Any:
    return importlib.import_module("toxiproxy.exceptions")


def refuses(listen: str) -> bool:
    host, port = listen.split(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return True
    return False


def test_it_sees_the_server(client: Any) -> None:
    assert client.running()
    assert json.loads(client.version())["version"].startswith("2.12.0")
    assert client.proxies() == {}


def test_it_creates_and_destroys(client: Any) -> None:
    proxy = client.create(upstream="127.0.0.1:9", name="a->b")
    assert proxy.listen.startswith("127.0.0.1:")
    assert proxy.enabled
    assert list(client.proxies()) == ["a->b"]
    assert client.get_proxy("a->b").upstream == "127.0.0.1:9"
    assert client.destroy(proxy)
    assert client.get_proxy("a->b") is None


def test_names_that_it_does_not_encode(client: Any) -> None:
    """It puts names into the URL as they are; requests encodes what has to be."""
    for name in ("a service.1", "münchen", "a+b", "region:a"):
        proxy = client.create(upstream="127.0.0.1:9", name=name)
        proxy.add_toxic(type="latency", attributes={"latency": 1})
        assert list(proxy.toxics()) == ["latency_downstream"]
        assert proxy.destroy()


def test_it_raises_for_errors(client: Any) -> None:
    proxy = client.create(upstream="127.0.0.1:9", name="p")
    with pytest.raises(exceptions().ProxyExists):
        client.create(upstream="127.0.0.1:9", name="p")
    with pytest.raises(exceptions().InvalidToxic):
        proxy.add_toxic(type="nope")
    with pytest.raises(exceptions().InvalidToxic):
        proxy.add_toxic(type="latency", attributes={"latancy": 5})
    proxy.destroy()
    with pytest.raises(exceptions().NotFound):
        proxy.toxics()


def test_toxics(client: Any) -> None:
    proxy = client.create(upstream="127.0.0.1:9", name="p")
    proxy.add_toxic(type="latency", stream="upstream", toxicity=0.5, attributes={"latency": 9})
    proxy.add_toxic(type="bandwidth", name="narrow", attributes={"rate": 10})
    assert set(proxy.toxics()) == {"latency_upstream", "narrow"}
    toxic = proxy.get_toxic("latency_upstream")
    assert (toxic.type, toxic.stream, toxic.toxicity) == ("latency", "upstream", 0.5)
    assert toxic.attributes == {"latency": 9, "jitter": 0}
    assert proxy.get_toxic("none") is None
    assert proxy.destroy_toxic("narrow")
    assert set(proxy.toxics()) == {"latency_upstream"}


def test_down_and_reset(client: Any) -> None:
    proxy = client.create(upstream="127.0.0.1:9", name="p")
    with proxy.down():
        assert refuses(proxy.listen)
        assert client.get_proxy("p").enabled is False
    assert not refuses(proxy.listen)
    proxy.add_toxic(type="timeout", attributes={"timeout": 5})
    proxy.disable()
    assert client.reset()
    assert client.get_proxy("p").enabled
    assert proxy.toxics() == {}


def test_populate_and_destroy_all(client: Any) -> None:
    wanted: list[dict[str, Any]] = [
        {"name": "a", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0"},
        {"name": "b", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0", "enabled": False},
    ]
    assert [proxy.name for proxy in client.populate(wanted)] == ["a", "b"]
    same = [{**wanted[0], "listen": client.get_proxy("a").listen}]
    assert client.populate(same) == []
    client.destroy_all()
    assert client.proxies() == {}


def test_data_flows_through_what_it_made(client: Any, upstream: Make) -> None:
    proxy = client.create(upstream=upstream().address, name="p")
    host, port = proxy.listen.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"ping")
        assert connection.recv(4) == b"ping"
