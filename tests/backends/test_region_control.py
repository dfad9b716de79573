"""What an operator asks of regions and tells the router, over links that may be cut."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from payresil.backends.embedded.certificates import Certificates, make_certificates
from payresil.backends.embedded.regions import control
from payresil.backends.embedded.regions.control import RegionControl, RouterControl
from payresil.backends.embedded.regions.members import Members
from payresil.backends.embedded.regions.over_tls import answers, ask, knock
from payresil.core.protocols import Assembly, EnvironmentBroke, Unreachable
from payresil.core.system import System
from payresil.core.topology import Link, Node
from payresil.engine.sown import sow
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

#: Method, path, headers, body → status and body.
Answer = Callable[[str, str, dict[str, str], str], tuple[int, str]]
Serve = Callable[..., str]


class Asked:
    """Requests that came, and what they are answered."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[str] = []
        self.answer: tuple[int, str] = (200, "{}")

    def __call__(
        self, method: str, path: str, headers: dict[str, str], body: str
    ) -> tuple[int, str]:
        self.requests.append((method, path))
        self.headers.append(headers)
        self.bodies.append(body)
        return self.answer


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("control") / "tls")


@pytest.fixture
def serve(tls: Certificates) -> Iterator[Serve]:
    """Starts a server, with TLS unless it is `plain`; gives its ``host:port``."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(answer: Answer, *, plain: bool = False) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def _reply(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                status, said = answer(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(said.encode())))
                self.end_headers()
                self.wfile.write(said.encode())

            do_GET = do_POST = do_PATCH = _reply

            def log_message(self, *_: object) -> None:
                """Quiet: a test says what it found."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if not plain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.chain_file, tls.key_file)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """An address at which connections are made, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


class Ways:
    """`Members`, as far as an operator needs them: link → address."""

    def __init__(self) -> None:
        self.links = self
        self.addresses: dict[str, str] = {"router->b/lb": "127.0.0.1:4002"}

    def address(self, link: Link) -> str:
        return self.addresses[str(link)]

    def operators_url(self, node: Node, role: str) -> str:
        return f"postgresql://{role}@{node}"


class Operator:
    """A control, the ways it goes, and the servers at their ends."""

    def __init__(self, serve: Serve, tls: Certificates, system: System) -> None:
        self.ways = Ways()
        self.region, self.router = Asked(), Asked()
        self.ways.addresses["operator->a/lb"] = serve(self.region)
        self.reached = serve(self.router, plain=True)
        assembly = Assembly(
            run="r",
            system=system,
            topology=topology_of(system),
            secrets=replace(sow(), admin_token="admin"),
            seed=0,
            flaw=None,
            work=Path(),
            logs=Path(),
            on_event=lambda *_, **__: None,
        )  # fmt: skip
        self.control = RegionControl(
            assembly,
            cast(Members, self.ways),
            RouterControl("127.0.0.1:9", lambda: self.reached),
            tls.client_context(),
        )


@pytest.fixture(scope="module")
def system() -> System:
    return load_system("refpay-two-regions")


@pytest.fixture
def operator(serve: Serve, tls: Certificates, system: System) -> Operator:
    return Operator(serve, tls, system)


# --- whether a region serves -----------------------------------------------------------------


def test_a_region_serves_when_its_service_is_ready(operator: Operator, system: System) -> None:
    assert operator.control.serves("a")
    assert operator.region.requests == [("GET", system.service.ready)]


@pytest.mark.parametrize("status", [503, 502, 404, 302])
def test_a_region_that_is_not_ready_does_not_serve(operator: Operator, status: int) -> None:
    operator.region.answer = status, ""
    assert not operator.control.serves("a")


def test_what_cannot_be_reached_does_not_serve(
    operator: Operator, closed: str, silent: str, serve: Serve
) -> None:
    for address in (closed, silent, serve(operator.region, plain=True)):
        operator.ways.addresses["operator->a/lb"] = address
        assert not operator.control.serves("a")
    assert operator.region.requests == []


def test_the_way_is_open_whatever_is_found_behind_it(operator: Operator) -> None:
    for status in (200, 404, 500, 503):
        operator.region.answer = status, ""
        operator.control.knock("a")


def test_a_way_that_is_cut_is_told(operator: Operator, closed: str, silent: str) -> None:
    for address in (closed, silent):
        operator.ways.addresses["operator->a/lb"] = address
        with pytest.raises(Unreachable, match=f"no answer to GET / from {address}"):
            operator.control.knock("a")


# --- where customers go ----------------------------------------------------------------------


def test_customers_are_sent_to_the_active_region_first(operator: Operator) -> None:
    assert operator.control.active == "a"


def test_the_router_is_told_where_the_other_region_is(operator: Operator) -> None:
    operator.control.send_customers_to("b")
    ((method, path),) = operator.router.requests
    assert method == "PATCH"
    assert path == "/config/apps/http/servers/ingress/routes/0/handle/0/upstreams"
    assert json.loads(operator.router.bodies[0]) == [{"dial": "127.0.0.1:4002"}]
    assert operator.router.headers[0]["Host"] == "127.0.0.1:9"  # where it listens, past the link
    assert operator.control.active == "b"


def test_a_router_that_says_no_has_broken_and_customers_stay(operator: Operator) -> None:
    operator.router.answer = 400, "no such module"
    with pytest.raises(EnvironmentBroke, match=r"does not send customers to b: .*no such module"):
        operator.control.send_customers_to("b")
    assert operator.control.active == "a"


def test_a_router_out_of_reach_leaves_customers_where_they_are(
    operator: Operator, closed: str
) -> None:
    operator.reached = closed
    with pytest.raises(Unreachable):
        operator.control.send_customers_to("b")
    assert operator.control.active == "a"


# --- the lease -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"taken": True, "epoch": 2, "remaining_ms": 2000}, (2, 2000)),
        ({"taken": False, "epoch": 1, "remaining_ms": 1400}, (None, 1400)),
    ],
)
def test_the_witness_is_asked_for_the_lease_over_the_operators_link(
    operator: Operator,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    row: dict[str, Any],
    answer: tuple[int | None, int],
) -> None:
    asked: list[tuple[object, ...]] = []

    def witness(*question: object) -> list[dict[str, Any]]:
        asked.append(question)
        return [row]

    monkeypatch.setattr(control, "ask_database", witness)
    assert operator.control.take_lease("b") == answer
    assert system.lease is not None
    assert asked == [("postgresql://service@w/witness", system.lease.take, "b")]


# --- what the service says -------------------------------------------------------------------


COUNTERS = ("payments", "queue.refunds")


@pytest.fixture
def counted(serve: Serve, tls: Certificates, system: System) -> Operator:
    assert system.settle is not None
    settle = replace(system.settle, zero=("outbox", *COUNTERS), unknown=COUNTERS)
    return Operator(serve, tls, replace(system, settle=settle))


def test_what_is_unknown_is_read_by_the_paths_of_the_system_file(counted: Operator) -> None:
    counted.region.answer = 200, '{"payments": 3, "queue": {"refunds": 0}}'
    assert counted.control.unknown("a") == {"payments": 3, "queue.refunds": 0}
    assert "Bearer admin" in counted.region.headers[0].values()


def test_without_those_that_are_unknown_all_counters_are_read(
    serve: Serve, tls: Certificates, system: System
) -> None:
    assert system.settle is not None
    settle = replace(system.settle, zero=COUNTERS, unknown=())
    operator = Operator(serve, tls, replace(system, settle=settle))
    operator.region.answer = 200, '{"payments": 3, "queue": {"refunds": 0}}'
    assert operator.control.unknown("a") == {"payments": 3, "queue.refunds": 0}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, '{"payments": 3}', "how many queue.refunds, not None"),
        (200, '{"payments": "x", "queue": {"refunds": 0}}', "how many payments, not 'x'"),
        (200, "[]", "how many payments, not None"),
        (200, "not json", "in region a: "),
        (404, "{}", "in region a: status 404"),
        (401, "{}", "in region a: status 401"),
    ],
)
def test_an_answer_that_does_not_fit_is_a_defect_of_the_system_file(
    counted: Operator, status: int, body: str, words: str
) -> None:
    counted.region.answer = status, body
    with pytest.raises(EnvironmentBroke, match=words):
        counted.control.unknown("a")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_service_that_is_busy_is_out_of_reach(operator: Operator, status: int) -> None:
    operator.region.answer = status, "{}"
    with pytest.raises(Unreachable, match=f"in region a is answered {status}"):
        operator.control.unknown("a")
    with pytest.raises(Unreachable):
        operator.control.reconcile("a")


def test_the_services_own_reconciliation_is_started(operator: Operator, system: System) -> None:
    operator.region.answer = 200, '{"remedied": 2}'
    assert operator.control.reconcile("a") == {"remedied": 2}
    assert system.reconcile is not None
    assert " ".join(operator.region.requests[0]) == system.reconcile.request
    operator.region.answer = 200, "[1, 2]"
    assert operator.control.reconcile("a") == {"answer": [1, 2]}


def test_a_system_without_them_has_nothing_unknown_and_nothing_to_reconcile(
    serve: Serve, tls: Certificates, system: System
) -> None:
    without = Operator(serve, tls, replace(system, settle=None, reconcile=None))
    assert without.control.unknown("a") == {}
    assert without.control.reconcile("a") == {}
    assert without.region.requests == []


def test_a_system_of_one_region_has_no_control(
    serve: Serve, tls: Certificates, system: System
) -> None:
    with pytest.raises(EnvironmentBroke, match="needs `regions` and a `lease`"):
        Operator(serve, tls, replace(system, lease=None))


# --- one request -----------------------------------------------------------------------------


def test_a_certificate_of_somebody_else_is_not_trusted(serve: Serve, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "other")
    address = serve(Asked())
    with pytest.raises(Unreachable, match="certificate verify failed"):
        ask(address, other.client_context(), "GET /", {})


def test_an_answer_that_breaks_off_is_none(tls: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match=r"IncompleteRead|more expected"):
            ask(address, None, "GET /", {})
        thread.join()


def test_patience_has_an_end(silent: str) -> None:
    with pytest.raises(Unreachable, match="timed out"):
        ask(silent, None, "GET /", {}, timeout_s=0.05)


# --- who is at the end of a way --------------------------------------------------------------


def said(answer: bytes) -> Iterator[str]:
    """An address at which whoever comes is told this, and then the connection is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(8)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(("answer", "there"), [(b"N", True), (b"S", True), (b"", False)])
def test_a_database_is_there_when_it_says_something(answer: bytes, there: bool) -> None:
    for address in said(answer):
        assert answers(address) is there


def test_nobody_is_there_where_it_is_silent_or_refused(silent: str, closed: str) -> None:
    assert not answers(silent, timeout_s=0.05)
    assert not answers(closed)
    with pytest.raises(Unreachable, match=f"the way to {silent} is silent"):
        knock(silent, timeout_s=0.05)
    knock(closed)
