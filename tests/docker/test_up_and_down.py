"""``payresil up`` and ``payresil down`` on a real engine."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

PROJECT = f"payresil-up-{os.getpid()}"
PORTS = ("CUSTOMERS", "TOXIPROXY", "ADMIN", "BOOKS", "PSP_CONTROL", "PROMETHEUS", "GRAFANA")
PLAYED = ("POSTGRES", "CADDY", "TOXIPROXY")


@dataclass
class Payresil:
    """The command line, with a project and ports of the tests' own."""

    settings: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, **settings: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "payresil.cli", *arguments],
            env={**os.environ, **self.settings, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def payresil(image: str) -> Iterator[Payresil]:
    called = Payresil(
        {
            "PAYRESIL_PROJECT": PROJECT,
            **{f"{name}_PORT": "0" for name in PORTS},
            **{f"PAYRESIL_{name}_IMAGE": image for name in PLAYED},
        }
    )
    yield called
    called("down", "--volumes")


@pytest.fixture(scope="module")
def up(payresil: Payresil) -> str:
    status, said = payresil("up")
    assert status == 0, said
    return said


def address(said: str, what: str) -> str:
    found = re.search(rf"^  {re.escape(what)} +(?:\w+://)?(\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1]


def test_everything_is_healthy_when_it_returns(up: str, run: Callable[..., str]) -> None:
    ids = run("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}")
    states = run(
        "docker", "inspect", "--format",
        "{{.State.Status}} {{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{end}}",
        *ids.split(),
    ).splitlines()  # fmt: skip
    serving = [state for state in states if state.startswith("running")]
    assert len(serving) == 8
    assert set(serving) == {"running 0 healthy"}
    assert {state.rsplit(" ", 1)[0] for state in states if state not in serving} == {"exited 0"}


def test_the_addresses_that_it_prints_answer(up: str) -> None:
    service, api = address(up, "a service, past the links"), address(up, "Toxiproxy's API")
    with urllib.request.urlopen(f"http://{service}/readyz") as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"http://{api}/proxies") as answer:
        assert b"a.service.1--psp" in answer.read()
    for what in ("customers, through their link", "the books (PostgreSQL)"):
        host, _, port = address(up, what).rpartition(":")
        socket.create_connection((host, int(port)), 5).close()


def test_once_more_changes_nothing(payresil: Payresil, up: str) -> None:
    status, said = payresil("up")
    assert status == 0, said
    what = "customers, through their link"
    assert address(said, what) == address(up, what)


def test_a_port_that_is_taken_is_named_with_its_setting(payresil: Payresil, up: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        status, said = payresil("up", CUSTOMERS_PORT=port)
    assert status == 4
    assert f"taken already: 127.0.0.1:{port} (customers" in said
    assert "set CUSTOMERS_PORT" in said


def test_an_image_that_is_missing_is_named_with_how_to_build_it(payresil: Payresil) -> None:
    missing = "localhost:9/payresil:none"
    status, said = payresil("up", PAYRESIL_IMAGE=missing)
    assert status == 4
    assert f"there is no image {missing} (PAYRESIL_IMAGE)" in said
    assert f"build {missing} with containers/build.sh" in said


def test_a_file_that_compose_refuses_is_refused_in_its_words(
    payresil: Payresil, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("services: {shop: {imagee: x}}\n")
    status, said = payresil("up", "--file", str(file))
    assert status == 4
    assert f"{file} cannot be used" in said
    assert "imagee" in said


def test_a_part_that_ends_is_named_with_what_it_said_last(
    payresil: Payresil, image: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"services: {{shop: {{image: '{image}', "
        "entrypoint: [sh, -c, 'echo no ledger; exit 3']}}\n"
    )
    project = f"{PROJECT}-ends"
    try:
        status, said = payresil("up", "--file", str(file), PAYRESIL_PROJECT=project)
        assert status == 4
        assert "shop ended with status 3" in said
        assert "  no ledger" in said
    finally:
        status, said = payresil("down", "--file", str(file), PAYRESIL_PROJECT=project)
    assert status == 0, said


def test_down_removes_it_and_keeps_what_it_stored_until_told(payresil: Payresil, up: str) -> None:
    status, said = payresil("down")
    assert status == 0, said
    assert "kept what it has stored, which --volumes removes" in said
    status, said = payresil("down", "--volumes")
    assert status == 0, said
    assert payresil("down", "--volumes") == (0, f"nothing of the stack {PROJECT} is there\n")


@dataclass(frozen=True)
class Team:
    """What somebody else runs with Compose, under a project of theirs."""

    project: str
    file: Path
    run: Callable[..., str]

    def there(self) -> list[str]:
        ours = ("--filter", f"label=com.docker.compose.project={self.project}")
        lists = (
            ("ps", "--all", "--format", "{{.Names}}"),
            ("network", "ls", "--format", "{{.Name}}"),
            ("volume", "ls", "--format", "{{.Name}}"),
        )
        return [self.run("docker", *one, *ours).strip() for one in lists]

    def compose(self, *arguments: str) -> None:
        self.run("docker-compose", "-p", self.project, "-f", str(self.file), *arguments)


@pytest.fixture
def team(run: Callable[..., str], image: str, tmp_path: Path) -> Iterator[Team]:
    """Their volume is named as one of the stack's is."""
    file = tmp_path / "shop.yaml"
    file.write_text(
        f"services: {{shop: {{image: '{image}', entrypoint: [sleep, '600'], init: true, "
        "healthcheck: {disable: true}, volumes: ['database:/data']}}\nvolumes: {database: {}}\n"
    )
    theirs = Team(f"{PROJECT}-team", file, run)
    theirs.compose("up", "--detach")
    yield theirs
    theirs.compose("down", "--volumes")


COMMANDS = (("up",), ("down",), ("down", "--volumes"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_a_team_runs_under_the_name_of_a_project_is_refused(
    payresil: Payresil, team: Team, command: tuple[str, ...]
) -> None:
    before = team.there()
    assert all(before)
    status, said = payresil(*command, "--project", team.project)
    assert status == 2, said
    for name in before:
        assert name in said
    assert str(team.file) in said
    assert team.there() == before


def test_volumes_that_a_team_has_kept_are_refused(payresil: Payresil, team: Team) -> None:
    team.compose("down")
    before = team.there()
    for command in ("up",), ("down", "--volumes"):
        status, said = payresil(*command, PAYRESIL_PROJECT=team.project)
        assert status == 2, said
        assert f"the volume {team.project}_database" in said
    assert team.there() == before


def test_the_project_that_a_team_exports_is_not_looked_at(payresil: Payresil, team: Team) -> None:
    before = team.there()
    mine = f"{PROJECT}-none"
    settings = {"COMPOSE_PROJECT_NAME": team.project, "PAYRESIL_PROJECT": mine}
    status, said = payresil("down", "--volumes", **settings)
    assert (status, said) == (0, f"nothing of the stack {mine} is there\n")
    assert team.there() == before


def test_a_stack_of_a_file_of_ones_own_keeps_its_volumes_and_comes_back(
    payresil: Payresil, team: Team
) -> None:
    named = ("--file", str(team.file), "--project", team.project)
    for command in ("down",), ("up",), ("down", "--volumes"):
        status, said = payresil(*command, *named)
        assert status == 0, said
    assert not any(team.there())


def test_the_package_in_the_image_brings_the_stack(run: Callable[..., str], image: str) -> None:
    code = "from payresil.engine.stack import stack_file; print(stack_file())"
    python = ("--entrypoint", "/opt/payresil/bin/python")
    said = run("docker", "run", "--rm", *python, image, "-c", code)
    assert said.strip().endswith("/site-packages/payresil/stack/docker-compose.yml")
