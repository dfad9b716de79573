"""What the docker backend promises besides: who reaches whom, limits, and that nothing is left."""

from __future__ import annotations

import itertools
import operator
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import docker
import pytest

from payresil.core.protocols import EnvironmentBroke
from payresil.core.registry import faults
from payresil.core.values import Share, Size
from payresil.engine.prometheus.client import PrometheusClient

Until = Callable[[Callable[[], object]], None]

pytestmark = pytest.mark.docker

PYTHON = "/opt/payresil/bin/python"
#: A tenth of a second of CPU time, and how long that took.
SPIN = """
import time
began, end = time.monotonic(), time.process_time() + 0.1
while time.process_time() < end:
    pass
print(time.monotonic() - began)
"""
BOOKS = "/var/lib/payresil-data/shop.db"
#: Writes pairs of rows, the two of each in one transaction, for some seconds.
WRITE = f"""
import sqlite3, time
books = sqlite3.connect({BOOKS!r}, isolation_level=None)
books.executescript("pragma journal_mode = wal; create table pairs (n)")
books.execute("pragma wal_autocheckpoint = 5")
n, end = 0, time.monotonic() + 10
while time.monotonic() < end:
    books.execute("begin")
    books.execute("insert into pairs values (?)", [n])
    books.execute("insert into pairs values (?)", [n])
    books.execute("commit")
    n += 1
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return docker.from_env()


@pytest.fixture(scope="module", params=["docker"])
def shared(
    request: pytest.FixtureRequest,
    bring_up: Callable[..., AbstractContextManager[Any]],
    engine: docker.DockerClient,
) -> Any:
    """The one environment of this module, of which nothing is left: else its last test errs."""
    with bring_up(request.param, asks_prometheus=True) as up:
        (label,) = {each.labels["payresil.environment"] for each in containers(up, engine).values()}
        assert _labelled(engine, label) == (8, 4, 3)
        yield up
    assert _labelled(engine, label) == (0, 0, 0)


def containers(up: Any, engine: docker.DockerClient) -> dict[str, Any]:
    """The containers of an environment, by node."""
    started = {name: detail for _, name, what, detail in up.events if what == "started"}
    return {name: engine.containers.get(each["container"]) for name, each in started.items()}


def reaches(container: Any, host: str, port: int) -> bool:
    return bool(container.exec_run([PYTHON, "-c", CONNECT, host, str(port)]).exit_code == 0)


def test_everything_is_published_on_loopback_alone(up: Any, engine: docker.DockerClient) -> None:
    found = containers(up, engine)
    assert len(found) == 8
    for container in found.values():
        bindings = [each for bindings in container.ports.values() for each in bindings or ()]
        assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


def test_toxiproxy_is_the_only_way_from_one_network_to_another(
    up: Any, engine: docker.DockerClient
) -> None:
    found = containers(up, engine)
    service, psp = found["a/service.1"], found["psp"]
    assert reaches(service, "toxiproxy", 8474)
    for network in psp.attrs["NetworkSettings"]["Networks"].values():
        assert not reaches(service, network["IPAddress"], 12111)
    assert not reaches(service, "psp", 12111)


def test_a_prometheus_looks_at_every_node_past_its_links(up: Any, until: Until) -> None:
    endpoints = up.environment.endpoints
    with (
        up.environment.links.apply("service->db", [], down=True),
        up.environment.links.apply("router->lb", [], down=True),
        closing(PrometheusClient(endpoints.prometheus)) as client,
    ):

        def seen() -> set[str]:
            found = client.range("up == 1", client.last_moment())
            return {series.labels["node"] for series in found}

        until(lambda: seen() == endpoints.metrics.keys())


def test_a_node_that_is_started_again_is_published_where_it_was(
    up: Any, engine: docker.DockerClient
) -> None:
    before = containers(up, engine)["psp"].ports
    restart = faults.get("restart").call
    with restart(up.environment, node="psp"):
        pass
    assert containers(up, engine)["psp"].ports == before


def test_a_log_goes_on_where_it_was_when_a_node_is_started_again(up: Any, until: Until) -> None:
    def starts() -> int:
        text: str = (up.assembly.logs / "a.db.log").read_text()
        return text.count("database system is ready to accept connections")

    before = starts()
    with faults.get("crash").call(up.environment, node="db"):
        assert starts() == before > 0
    until(lambda: starts() == before + 1)


def test_a_share_of_a_core_is_all_that_a_node_gets(up: Any, engine: docker.DockerClient) -> None:
    service = containers(up, engine)["a/service.1"]
    limited = faults.get("cpu_limit").call
    with limited(up.environment, node="service.1", share=Share(0.1)):
        assert float(service.exec_run([PYTHON, "-S", "-c", SPIN]).output) > 0.7
    up.environment.check()
    assert service.client.api.inspect_container(service.id)["HostConfig"]["CpuQuota"] == -1


def test_one_that_wants_more_memory_than_it_may_have_is_killed_and_comes_back(
    up: Any, until: Until
) -> None:
    def killed() -> bool:
        up.ask("/eat")
        return any(detail.get("out_of_memory") for *_, detail in up.events)

    with faults.get("memory_limit").call(up.environment, node="service", limit=Size(100e6)):
        until(killed)
        up.environment.check()  # that is what the fault does
    up.environment.check()
    until(lambda: {up.ask("/who")[0] for _ in range(4)} == {"a/service.1", "a/service.2"})


def test_the_books_of_every_instance_are_copied_whole_while_they_are_written(
    up: Any, engine: docker.DockerClient, until: Until
) -> None:
    found = containers(up, engine)
    instances = [found["a/service.1"], found["a/service.2"]]
    for each in instances:
        each.exec_run([PYTHON, "-c", WRITE], detach=True)
    until(lambda: all(each.exec_run(["test", "-e", f"{BOOKS}-wal"]).exit_code == 0
                      for each in instances))  # fmt: skip
    counts = []
    for _ in range(4):
        copies = up.environment.endpoints.files("{data}/shop.db")
        assert len(set(copies)) == 2
        counts.append([_pairs(copy) for copy in copies])
    for before, after in itertools.pairwise(counts):
        assert all(map(operator.lt, before, after)), "the service stands still"
    up.environment.check()
    with pytest.raises(EnvironmentBroke, match=r"no file /nowhere.db in a/service\.1"):
        up.environment.endpoints.files("/nowhere.db")


def _pairs(file: Path) -> int:
    """How many there are; half of one would be a transaction that was torn."""
    with closing(sqlite3.connect(file)) as books:
        assert books.execute("pragma integrity_check").fetchone() == ("ok",)
        rows, pairs = books.execute("select count(*), count(distinct n) from pairs").fetchone()
    assert rows == 2 * pairs
    return int(pairs)


def _labelled(engine: docker.DockerClient, environment: str) -> tuple[int, int, int]:
    chosen = {"label": f"payresil.environment={environment}"}
    return (
        len(engine.containers.list(all=True, filters=chosen)),
        len(engine.networks.list(filters=chosen)),
        len(engine.volumes.list(filters=chosen)),
    )
