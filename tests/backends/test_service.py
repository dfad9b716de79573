"""How an instance of the service is started, from its system file."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.backends.embedded.service import Service, filled
from payresil.core.protocols import EnvironmentBroke
from payresil.core.system import Flaw, ServiceStart

VALUES = {"database_url": "postgresql://h:1/db", "psp_url": "http://h:2", "node": "a/service.1"}

START = ServiceStart(
    command=("{python}", "-m", "shop", "--port", "{port}", "--ready-file", "{ready_file}"),
    environment={"DB": "{database_url}", "PLAIN": "{}", "JSON": '{"a": 1}'},
    ready="/readyz",
    flaw_variable="FLAW",
)


def test_templates_are_filled_in(tmp_path: Path) -> None:
    program = Service(START, VALUES, tmp_path / "ready", flaw=None).program(0)
    ready = str(tmp_path / "ready")
    assert program.argv == (sys.executable, "-m", "shop", "--port", "0", "--ready-file", ready)
    assert program.env["DB"] == "postgresql://h:1/db"
    assert program.env["PLAIN"] == "{}"
    assert program.env["JSON"] == '{"a": 1}'


def test_a_second_start_is_on_the_same_port(tmp_path: Path) -> None:
    (tmp_path / "ready").write_text('{"port": 4001}')  # of the first start
    program = Service(START, VALUES, tmp_path / "ready", flaw=None).program(4001)
    assert program.argv[4] == "4001"
    assert program.port_when_ready(0) is None


def test_a_service_without_a_ready_file_is_given_a_free_port(tmp_path: Path) -> None:
    start = ServiceStart(command=("shop", "{port}"), environment={}, ready="/")
    first, second = (Service(start, {}, tmp_path / "r", flaw=None).program(0) for _ in range(2))
    assert 0 < int(first.argv[1]) != int(second.argv[1]) > 0


def test_the_flaw_is_what_was_asked_for_whatever_the_caller_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAW", "from-the-callers-shell")
    flawless = Service(START, VALUES, tmp_path / "r", flaw=None).program(0)
    assert "FLAW" not in flawless.env
    flawed = Service(START, VALUES, tmp_path / "r", flaw="key-per-attempt").program(0)
    assert flawed.env["FLAW"] == "key-per-attempt"


def test_a_flaw_of_a_system_that_has_none_is_an_error(tmp_path: Path) -> None:
    start = ServiceStart(command=("shop",), environment={}, ready="/")
    with pytest.raises(EnvironmentBroke, match="names no flaw_variable and no such flaw"):
        Service(start, {}, tmp_path / "r", flaw="x")


def test_no_web_proxy_gets_between_the_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "intranet")
    env = Service(START, VALUES, tmp_path / "r", flaw=None).program(0).env
    assert env["NO_PROXY"] == env["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_an_unknown_placeholder_says_what_was_meant() -> None:
    with pytest.raises(
        EnvironmentBroke, match=r"command: .*\{databas_url\}; did.*\{database_url\}"
    ):
        filled("{databas_url}", VALUES, "command")
    with pytest.raises(EnvironmentBroke, match="there are database_url, psp_url, node"):
        filled("{zzz}", VALUES, "command")


@given(st.text().filter(lambda text: "{" not in text), st.text())
def test_text_around_a_placeholder_is_left_alone(before: str, value: str) -> None:
    assert filled(before + "{node}" + before, {"node": value}, "x") == before + value + before


# --- whether it runs, and whether it may take payments ---------------------------------------


@pytest.fixture
def answering() -> Iterator[tuple[int, dict[str, int]]]:
    """A port, and what is answered there under which path."""
    statuses: dict[str, int] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path, 404))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, statuses
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("alive", "statuses", "up"),
    [
        (None, {"/readyz": 200}, True),
        (None, {"/readyz": 503, "/healthz": 200}, False),
        ("/healthz", {"/readyz": 503, "/healthz": 200}, True),
        ("/healthz", {"/readyz": 200, "/healthz": 500}, False),
        ("/healthz", {}, False),
    ],
)
def test_an_instance_is_up_when_it_runs_whether_it_may_take_payments_or_not(
    tmp_path: Path,
    answering: tuple[int, dict[str, int]],
    alive: str | None,
    statuses: dict[str, int],
    up: bool,
) -> None:
    """The instances of a region that stands by are not ready until it takes over."""
    port, answers = answering
    answers |= statuses
    start = ServiceStart(command=("shop", "{port}"), ready="/readyz", alive=alive)
    program = Service(start, {}, tmp_path / "r", flaw=None).program(port)
    assert program.port_when_ready(0) == (port if up else None)


# --- flaws that the system file describes ----------------------------------------------------

FLAWS = {
    "no-lease": Flaw("Takes payments whoever has the lease.", {"LEASE": "off"}),
    "first-standby": Flaw("Operators promote the first standby.", promotes="first"),
}
DESCRIBED = ServiceStart(
    command=("shop", "{port}"), ready="/", environment={"LEASE": "on"}, flaws=FLAWS
)


@pytest.mark.parametrize(
    ("flaw", "lease"), [(None, "on"), ("no-lease", "off"), ("first-standby", "on")]
)
def test_a_flaw_of_the_file_changes_what_it_says_and_nothing_else(
    tmp_path: Path, flaw: str | None, lease: str
) -> None:
    program = Service(DESCRIBED, {}, tmp_path / "r", flaw=flaw).program(1)
    assert program.env["LEASE"] == lease


def test_a_flaw_of_operators_is_not_told_to_a_service_with_flaws_of_its_own(
    tmp_path: Path,
) -> None:
    start = replace(DESCRIBED, flaw_variable="FLAW")
    of_operators = Service(start, {}, tmp_path / "r", flaw="first-standby").program(1)
    assert "FLAW" not in of_operators.env
    of_the_service = Service(start, {}, tmp_path / "r", flaw="double-entry").program(1)
    assert of_the_service.env["FLAW"] == "double-entry"


def test_an_unknown_flaw_is_refused_where_only_the_file_knows_any(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBroke, match="the flaw 'no-leese' cannot be switched on"):
        Service(DESCRIBED, {}, tmp_path / "r", flaw="no-leese")
