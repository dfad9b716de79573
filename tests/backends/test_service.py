"""How an instance of the service is started, from its system file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.backends.embedded.service import Service, filled
from payresil.core.protocols import EnvironmentBroke
from payresil.core.system import ServiceStart

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
