"""Runs on a team's own compose project, started for the run and driven as its system file says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

import payresil

pytestmark = [pytest.mark.docker, pytest.mark.alone, pytest.mark.timeout(900)]

TILL = Path(__file__).parent / "till"
OWN = os.environ.get("PAYRESIL_IMAGE") or "payresil:local"
PLAYED = ("PAYRESIL_POSTGRES_IMAGE", "PAYRESIL_CADDY_IMAGE", "PAYRESIL_TOXIPROXY_IMAGE")
ENVIRONMENT = {**os.environ, "PAYRESIL_IMAGE": OWN, **dict.fromkeys(PLAYED, OWN)}

PATIENCE_S = 120.0

#: Money checks only: objectives depend on how busy the machine is that runs the tests. Faults are
#: strong and far apart for the same reason: a crash may take seconds to heal.
SCENARIO = """
name: till
claim: A customer is charged once, whatever the team's own parts do.
system: SYSTEM
seed: 3
workload: {rate: 10/s, duration: 40s, journeys: {checkout: 1, impatient: 1}, warm_up: 8s}
faults:
  - {at: 6s, duration: 2s, crash: {node: service.1}}
  - {at: 17s, duration: 2s, pause: {node: db}}
  - {at: 24s, duration: 3s, latency: {link: service->db, delay: 500ms}}
  - {at: 31s, duration: 3s, psp_lost_answers: {share: 40%}}
checks: [idempotency, durability, reconciliation, double_entry, lifecycle, no_leaks]
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended, and what it left."""

    status: int
    said: str
    reports: Path

    @property
    def folder(self) -> Path:
        return next(self.reports.glob("*/latest")).resolve()

    @property
    def run(self) -> str:
        name: str = json.loads((self.folder / "run.json").read_text())["run"]
        return name

    def events(self) -> list[dict[str, Any]]:
        query = "select kind, name, what, detail from events order by at_ns"
        done = call(self.reports, "sql", str(self.folder), query, "--format", "json")
        found: list[dict[str, Any]] = json.loads(done.said)
        return found


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "payresil.cli", *arguments]


def call(reports: Path, *arguments: str, **environment: str) -> Ended:
    done = subprocess.run(
        command(*arguments),
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, reports)


def system(folder: Path, **changes: Any) -> Path:
    """The reference service's own file, with the till's way to start it."""
    file = Path(payresil.__file__).parent / "systems" / "refpay.yaml"
    described = yaml.safe_load(file.read_text())
    described["service"] = {
        "compose": str(TILL / "compose.yaml"),
        "service": "shop",
        "port": 8080,
        "nodes": {"db": "ledger:5432"},
        "ready": "/readyz",
        "metrics": "/metrics",
        "flaws": {
            "key-per-attempt": {
                "does": "Makes a new key for every attempt at the PSP.",
                "environment": {"FLAW": "key-per-attempt"},
            }
        },
        "environment": {
            **described["service"]["environment"],
            "DATABASE_URL": "postgresql://service:of-the-till@{db}/payments",
        },
        **changes,
    }
    described["name"] = "till"
    described["needs"] = {"database": "none"}
    described["books_from"] = {"database": "postgresql://auditor:auditor-of-the-till@{db}/payments"}
    del described["alerts"]
    path = folder / "system.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    return path


def scenario(folder: Path, **changes: Any) -> Path:
    system(folder, **changes)
    path = folder / "till.yaml"
    path.write_text(SCENARIO.replace("SYSTEM", "system.yaml"))
    return path


def run(folder: Path, file: Path, *options: str) -> Ended:
    reports = folder / "reports"
    return call(reports, "run", str(file), "--backend", "docker", "--out", str(reports), *options)


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return docker.from_env()


def labelled(engine: docker.DockerClient, label: str) -> dict[str, str]:
    """Whatever bears a label: its name, and which harness made it."""
    chosen = {"label": label}
    containers = engine.containers.list(all=True, filters=chosen, ignore_removed=True)
    others = (*engine.networks.list(filters=chosen), *engine.volumes.list(filters=chosen))
    return {
        **{str(one.name): one.labels["payresil.harness"] for one in containers},
        **{str(one.name): one.attrs["Labels"]["payresil.harness"] for one in others},
    }


def left(engine: docker.DockerClient, ended: Ended) -> list[str]:
    """What a run has left in the engine."""
    return list(labelled(engine, f"payresil.run={ended.run}"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A whole run on the till."""
    folder = tmp_path_factory.mktemp("till")
    return run(folder, scenario(folder))


def test_money_stays_right_whatever_the_teams_parts_do(ended: Ended) -> None:
    assert ended.status == 0, ended.said
    assert "All 6 checks held; 4 faults were shown to bite" in ended.said


def test_nothing_of_it_is_left(ended: Ended, engine: docker.DockerClient) -> None:
    assert left(engine, ended) == []


def test_what_faults_can_act_on_is_said_before(tmp_path: Path) -> None:
    file = scenario(tmp_path)
    said = " ".join(call(tmp_path, "explain", str(file), "--backend", "docker").said.split())
    assert "Nodes customers, router, a/lb, a/service.1, a/service.2, a/db, psp" in said
    assert "faults can act on a/service.1, a/service.2, a/db and on the links" in said
    assert "not on mailer, which service.nodes of the system file does not name" in said


def test_another_backend_that_cannot_start_it_says_which_can(tmp_path: Path) -> None:
    ended = call(tmp_path, "run", str(scenario(tmp_path)), "--out", str(tmp_path / "reports"))
    assert ended.status == 2
    assert "compose, which the backend process cannot start" in ended.said
    assert "--backend docker" in ended.said


@pytest.mark.parametrize("command", ["explain", "run"])
def test_what_is_not_the_runs_own_is_refused_before_anything_is_started(
    tmp_path: Path, command: str
) -> None:
    content = yaml.safe_load((TILL / "compose.yaml").read_text())
    content["services"]["ledger"]["volumes"] = ["./data:/var/lib/postgresql"]
    content["services"]["mailer"] = 3
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(content))
    file = scenario(tmp_path, compose="compose.yaml")
    ended = call(tmp_path, command, str(file), "--backend", "docker", DOCKER_HOST="tcp://none:1")
    assert ended.status == 2, ended.said
    assert "compose.yaml:" in ended.said
    assert "read the writable bind of './data', expected nothing of this machine" in ended.said
    assert "read '3', expected a mapping that describes the service" in ended.said
    assert not (tmp_path / "data").exists()


def test_a_project_is_started_beside_the_one_that_the_team_works_with(
    tmp_path: Path, engine: docker.DockerClient
) -> None:
    """Their network has the subnet and the address, their image the tag, that the file names."""
    theirs = f"till-theirs-{os.getpid()}"
    content = yaml.safe_load((TILL / "compose.yaml").read_text())
    subnet = "10.213.77.0/24"
    content["networks"]["back"]["ipam"] = {"config": [{"subnet": subnet}]}
    content["networks"]["wide"] = {"external": True, "name": theirs}
    services = content["services"]
    services["ledger"]["networks"] = {
        "default": None,
        "back": {"ipv4_address": "10.213.77.5"},
        "wide": {"aliases": ["ledger"]},
    }
    services["ledger"]["volumes"][1] = f"{TILL}/roles.sh:/docker-entrypoint-initdb.d/roles.sh:ro"
    services["mailer"]["build"]["context"] = str(TILL)
    services["mailer"]["image"] = f"{theirs}:dev"
    folder = tmp_path / "My Till"
    folder.mkdir()
    (folder / "compose.yaml").write_text(yaml.safe_dump(content))
    pool = docker.types.IPAMPool(subnet=subnet)
    network = engine.networks.create(theirs, ipam=docker.types.IPAMConfig(pool_configs=[pool]))
    image = engine.images.get(OWN)
    image.tag(theirs, "dev")
    try:
        file = system(tmp_path, compose=str(folder / "compose.yaml"))
        found = call(tmp_path, "doctor", str(file), "--backend", "docker")
        assert found.status == 0, found.said
        assert engine.images.get(f"{theirs}:dev").id == image.id
    finally:
        network.remove()
        engine.images.remove(f"{theirs}:dev", noprune=True)
        built = engine.images.list("payresil-my-till-*")
        for tag in (tag for one in built for tag in one.tags if tag.startswith("payresil-my-till")):
            engine.images.remove(tag, noprune=True)


def test_nodes_of_the_project_were_killed_paused_and_came_back(ended: Ended) -> None:
    told = [(one["name"], one["what"]) for one in ended.events() if one["kind"] == "node"]
    assert [what for name, what in told if name == "a/service.1"][:3] == [
        "started", "killed", "started",
    ]  # fmt: skip
    assert [what for name, what in told if name == "a/db"][:3] == ["started", "paused", "resumed"]


def test_logs_of_every_part_are_kept(ended: Ended) -> None:
    logs = {file.name: file.read_text() for file in (ended.folder / "logs").iterdir()}
    for name in ("compose.log", "compose.mailer.log", "a.service.1.log", "a.db.log"):
        assert logs[name], name
    assert "database system is ready to accept connections" in logs["a.db.log"]


def test_variables_of_the_file_stand_for_what_the_service_is_told(ended: Ended) -> None:
    assert "the PSP answers 401" in (ended.folder / "logs" / "compose.mailer.log").read_text()


def test_a_flaw_is_caught(tmp_path: Path) -> None:
    found = run(tmp_path, scenario(tmp_path), "--flaw", "key-per-attempt")
    assert found.status == 1, found.said
    assert "FAIL  till" in found.said


def test_the_doctor_tries_the_file_on_it(tmp_path: Path) -> None:
    found = call(tmp_path, "doctor", str(system(tmp_path)), "--backend", "docker")
    assert found.status == 0, found.said
    assert "till is as its file says" in found.said


def test_what_compose_says_is_told_when_it_does_not_come_up(
    tmp_path: Path, engine: docker.DockerClient
) -> None:
    content = yaml.safe_load((TILL / "compose.yaml").read_text())
    content["services"]["ledger"]["image"] = "localhost:9/no-ledger:1"
    content["services"]["mailer"] = {"image": OWN, "command": ["payresil"]}
    content["services"]["ledger"]["volumes"] = []
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(content))
    ended = run(tmp_path, scenario(tmp_path, compose="compose.yaml"))
    assert ended.status == 4
    said = " ".join(ended.said.split())  # where lines break depends on how long the path is
    assert "did not come up" in said
    assert "no-ledger" in said
    assert "Traceback" not in ended.said
    assert left(engine, ended) == []


def test_a_killed_run_leaves_nothing_that_clean_does_not_find(
    tmp_path: Path, engine: docker.DockerClient, until: Callable[[Callable[[], object]], None]
) -> None:
    reports = tmp_path / "reports"
    harness = subprocess.Popen(
        command("run", str(scenario(tmp_path)), "--backend", "docker", "--out", str(reports)),
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ours() -> list[str]:
        found = labelled(engine, "payresil.harness")
        return [name for name, made_by in found.items() if made_by.split()[3] == str(harness.pid)]

    try:
        until(lambda: any("mailer" in name for name in ours()))
    finally:
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    assert any("ledger" in name for name in ours())
    # What Compose was still at when it was killed ends in the engine by itself.
    until(lambda: call(tmp_path, "clean").status == 0 and not ours())


@pytest.fixture(scope="module")
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something holds that no event tells of."""

    def wait(holds: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline_s, "it never came to hold"
            time.sleep(0.2)

    return wait
