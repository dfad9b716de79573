"""The package ``toxiproxy-python`` through its adapter: its defects do not show."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest
import requests
import toxiproxy.api
from toxiproxy.api import APIConsumer

from payresil.backends import proxies as adapter
from payresil.backends.proxies import PackageProxies, ProxyState
from payresil.core.protocols import EnvironmentBroke, Toxic

LATENCY = Toxic("latency", "downstream", {"latency": 50, "jitter": 0})


def test_a_toxic_comes_back_as_it_was_set(toxiproxy: PackageProxies) -> None:
    toxiproxy.create("round-trip", "127.0.0.1:9")
    toxiproxy.add("round-trip", "one", LATENCY)
    assert toxiproxy.state("round-trip") == ProxyState(True, {"one": LATENCY})
    toxiproxy.enable("round-trip", False)
    assert toxiproxy.state("round-trip") == ProxyState(False, {"one": LATENCY})
    toxiproxy.remove("round-trip", "one")
    toxiproxy.enable("round-trip", True)
    assert toxiproxy.state("round-trip") == ProxyState()


def test_a_proxy_listens_on_loopback_and_reaches_its_upstream(toxiproxy: PackageProxies) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        upstream = f"127.0.0.1:{server.getsockname()[1]}"
        host, port = toxiproxy.create("reach", upstream).split(":")
        assert host == "127.0.0.1"
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"hello")
            accepted, _ = server.accept()
            with accepted:
                assert accepted.recv(5) == b"hello"


def test_what_is_refused_says_what_and_why(toxiproxy: PackageProxies) -> None:
    toxiproxy.create("taken", "127.0.0.1:9")
    with pytest.raises(EnvironmentBroke, match=r"cannot create taken.*already exists"):
        toxiproxy.create("taken", "127.0.0.1:9")
    with pytest.raises(EnvironmentBroke, match="there is no proxy nowhere"):
        toxiproxy.state("nowhere")
    with pytest.raises(EnvironmentBroke, match=r"cannot add smoke to taken.*invalid toxic type"):
        toxiproxy.add("taken", "x", Toxic("smoke", "downstream", {}))


def test_a_lease_that_runs_out_heals(toxiproxy: PackageProxies) -> None:
    toxiproxy.create("leased", "127.0.0.1:9")
    toxiproxy.add("leased", "one", LATENCY)
    toxiproxy.renew_lease(1)
    while toxiproxy.state("leased") != ProxyState():
        pass  # the server needs a moment, and every look at it is one


def test_the_package_has_time_outs_and_does_not_keep_connections() -> None:
    session = toxiproxy.api.requests
    assert isinstance(session, requests.Session)
    assert session.headers["Connection"] == "close"
    assert session.trust_env is False


class _Answer(http.server.BaseHTTPRequestHandler):
    """What a broken server may say: each path has its answer."""

    answers: ClassVar[dict[str, tuple[int, str]]] = {}

    def do_GET(self) -> None:
        status, body = self.answers.get(self.path, (404, "{}"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(**answers: tuple[int, str]) -> Iterator[PackageProxies]:
    kind = type("Answering", (_Answer,), {"answers": {f"/{k}": v for k, v in answers.items()}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield PackageProxies("127.0.0.1", server.server_port)
        finally:
            server.shutdown()
            thread.join()


def test_a_failing_server_is_not_taken_for_an_answer() -> None:
    with (
        answering(proxies=(500, '{"error":"listen: address in use"}')) as broken,
        pytest.raises(EnvironmentBroke, match=r"500.*address in use"),
    ):
        broken.create("x", "127.0.0.1:9")


def test_only_the_own_server_keeps_leases(toxiproxy: PackageProxies) -> None:
    assert toxiproxy.keeps_leases()
    with answering(version=(200, "{}"), lease=(404, "404 page not found")) as official:
        assert not official.keeps_leases()


def test_a_proxy_listens_where_it_is_told_to(toxiproxy: PackageProxies) -> None:
    host, port = toxiproxy.create("placed", "127.0.0.1:9", "127.0.0.1:0").split(":")
    assert (host, int(port) > 0) == ("127.0.0.1", True)


def test_an_answer_without_its_fields_is_an_error() -> None:
    with (
        answering(proxies=(200, json.dumps({"x": {"name": "x"}}))) as broken,
        pytest.raises(EnvironmentBroke, match="cannot read x"),
    ):
        broken.state("x")


def test_no_answer_is_an_error_and_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_TIMEOUTS_S", (0.05, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(EnvironmentBroke, match="timed out"):
            PackageProxies("127.0.0.1", port).reset()
    with pytest.raises(EnvironmentBroke, match="refused"):
        PackageProxies("127.0.0.1", port).reset()


def test_two_servers_are_not_mixed_up(toxiproxy: PackageProxies) -> None:
    toxiproxy.create("mine", "127.0.0.1:9")
    with answering(proxies=(200, "{}")) as other:
        with pytest.raises(EnvironmentBroke, match="there is no proxy mine"):
            other.state("mine")
        assert toxiproxy.state("mine") == ProxyState()
        APIConsumer.port = 1  # whoever else uses the package
        assert toxiproxy.state("mine") == ProxyState()
