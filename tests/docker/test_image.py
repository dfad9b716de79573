"""One image, every role: each starts, becomes healthy, and stops when it is asked to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

CADDY = {
    "admin": {"disabled": True, "config": {"persist": False}},
    "apps": {
        "http": {
            "servers": {
                "metrics": {"listen": [":2019"], "routes": [{"handle": [{"handler": "metrics"}]}]}
            }
        }
    },
}
SERVICE = {
    "DATABASE_URL": "postgresql://postgres:of-the-tests@127.0.0.1:5432/postgres",
    "PSP_URL": "http://127.0.0.1:9",
    "PSP_API_KEY": "sk_test_image",
    "WEBHOOK_SECRET": "whsec_image",
    "API_TOKEN": "api",
    "ADMIN_TOKEN": "admin",
}


class Containers:
    """Containers of the image, by role; all are removed in the end."""

    def __init__(self, run: Callable[..., str], image: str) -> None:
        self._run = run
        self._image = image
        self.ids: dict[str, str] = {}

    def start(self, role: str, *options: str, docker: tuple[str, ...] = ()) -> str:
        argv = ("docker", "run", "--detach", "--init", *docker, self._image, role, *options)
        self.ids[role] = self._run(*argv).split()[-1]
        return self.ids[role]

    def inspect(self, role: str) -> dict[str, Any]:
        (found,) = json.loads(self._run("docker", "inspect", self.ids[role]))
        state: dict[str, Any] = found["State"]
        return state

    def healthy(self, role: str) -> bool:
        state = self.inspect(role)
        assert state["Running"], self._run("docker", "logs", self.ids[role])
        return bool(state["Health"]["Status"] == "healthy")

    def remove(self) -> None:
        if self.ids:
            self._run("docker", "rm", "--force", "--volumes", *self.ids.values())


@pytest.fixture(scope="module")
def containers(
    run: Callable[..., str], image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Containers]:
    """One container for each role that serves, or that waits for work."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "caddy.json").write_text(json.dumps(CADDY))
    os.mkfifo(folder / "spec")
    (folder / "spec").chmod(0o644)
    started = Containers(run, image)
    try:
        started.start("toxiproxy")
        started.start("psp", docker=("--env", "STUB_PSP_CONTROL_TOKEN=of-the-tests"))
        database = started.start("postgres", docker=("--env", "POSTGRES_PASSWORD=of-the-tests"))
        settings = [part for pair in SERVICE.items() for part in ("--env", "=".join(pair))]
        started.start("service", docker=("--network", f"container:{database}", *settings))
        config = ("--volume", f"{folder / 'caddy.json'}:/etc/caddy/caddy.json:ro")
        started.start("caddy", "run", "--config", "/etc/caddy/caddy.json", docker=config)
        spec = ("--volume", f"{folder / 'spec'}:/spec")
        started.start("locust-worker", "--spec", "/spec", docker=spec)
        yield started
    finally:
        started.remove()


ROLES = ["toxiproxy", "psp", "postgres", "service", "caddy", "locust-worker"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_becomes_healthy(
    containers: Containers, role: str, until: Callable[[Callable[[], object]], None]
) -> None:
    until(lambda: containers.healthy(role))


def test_a_service_whose_database_is_away_is_not_healthy(run: Callable[..., str], image: str,
    until: Callable[[Callable[[], object]], None]) -> None:  # fmt: skip
    alone = Containers(run, image)
    settings = [part for pair in SERVICE.items() for part in ("--env", "=".join(pair))]
    quick = ("--health-interval=1s", "--health-start-period=1s", "--health-retries=2")
    try:
        alone.start("service", docker=(*settings, *quick))
        until(lambda: alone.inspect("service")["Health"]["Status"] == "unhealthy")
    finally:
        alone.remove()


def test_nothing_runs_as_root(run: Callable[..., str], image: str) -> None:
    argv = ("docker", "run", "--rm", "--entrypoint", "python", image, "-c")
    assert int(run(*argv, "import os; print(os.getuid())")) > 0


def test_a_read_only_container_needs_a_tmpfs_and_no_more(
    run: Callable[..., str], image: str, until: Callable[[Callable[[], object]], None]
) -> None:
    closed = Containers(run, image)
    try:
        closed.start("toxiproxy", docker=("--read-only", "--tmpfs", "/run/payresil:mode=1777"))
        until(lambda: closed.healthy("toxiproxy"))
    finally:
        closed.remove()


def test_payresil_itself_works(run: Callable[..., str], image: str) -> None:
    explain = ("payresil", "explain", "scenarios/gate/psp-lost-answers.yaml")
    said = run("docker", "run", "--rm", "--init", image, *explain)
    assert "A customer is charged once" in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["databse"], "there is no role 'databse'; there are service, psp"),
        (["postgres"], "set POSTGRES_PASSWORD"),
        (["service"], "DATABASE_URL is not set"),
        (["psp"], "set STUB_PSP_CONTROL_TOKEN"),
    ],
)
def test_what_cannot_be_played_is_said_and_ends_with_2(
    image: str, arguments: list[str], reason: str
) -> None:
    argv = ["docker", "run", "--rm", image, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_an_owner_other_than_the_default_and_scripts_make_the_database(
    run: Callable[..., str], image: str, until: Callable[[Callable[[], object]], None]
) -> None:
    script = Path(__file__).parents[2] / "containers" / "stack" / "roles.sh"
    settings = {
        "POSTGRES_USER": "owner", "POSTGRES_PASSWORD": "it's", "POSTGRES_DB": "payments",
        "SERVICE_PASSWORD": "one'; drop", "AUDITOR_PASSWORD": "two",
    }  # fmt: skip
    given = [part for pair in settings.items() for part in ("--env", "=".join(pair))]
    mounted = ("--volume", f"{script}:/docker-entrypoint-initdb.d/roles.sh:ro")
    made = Containers(run, image)
    try:
        database = made.start("postgres", docker=(*given, *mounted))
        until(lambda: made.healthy("postgres"))
        ask = ("docker", "exec", "--env", "PGPASSWORD=one'; drop", database, "psql", "-At")
        service = (*ask, "-h", "127.0.0.1", "-U", "service", "-d", "payments")
        assert run(*service, "-c", "create table mine (); select current_user").split()[-1] == (
            "service"
        )
    finally:
        made.remove()


# The last of the module: it stops what the others look at.
def test_every_role_stops_quickly_when_it_is_asked_to(
    containers: Containers, run: Callable[..., str]
) -> None:
    for role in ROLES:
        # PostgreSQL would wait for every connection to end; the stack sends it SIGINT.
        number = "SIGINT" if role == "postgres" else "SIGTERM"
        run("docker", "kill", "--signal", number, containers.ids[role])
    statuses = {
        role: run("timeout", "10", "docker", "wait", containers.ids[role]) for role in ROLES
    }
    assert {role: int(status) for role, status in statuses.items()} == dict.fromkeys(ROLES, 0)
