"""Where things are of two regions: in the one that takes payments now."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from payresil.backends.embedded.regions.members import Members
from payresil.backends.embedded.regions.regional import RegionalControl
from payresil.backends.embedded.replication import operating
from payresil.core.protocols import (
    Assembly,
    Endpoints,
    EnvironmentBroke,
    Nodes,
    Standing,
    Unreachable,
)
from payresil.core.topology import Node
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

AT_START = Endpoints("https://customers", None, "http://at-start", "at-start", {"a/lb": "metrics"})


class Postgres:
    """The part of a database that is asked for its URL."""

    def url(self, role: str, address: str) -> str:
        return f"{role}@{address}"


class Regions:
    """Two regions whose databases are as a test says, reached past every link."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nodes = topology_of(load_system("refpay-two-regions")).nodes
        parts = {node: SimpleNamespace(address=f"at:{node}") for node in nodes}
        members = Members(
            cast(Any, {node: Postgres() for node in nodes if node.role == "db"}),
            cast(Any, Postgres()),
            cast(Any, parts),
            cast(Any, None),  # there is no way over a link here
        )
        self.active = SimpleNamespace(active="a", knock=lambda region: None)
        startup = SimpleNamespace(control=self.active, members=members, archiving=None)
        self.primaries = {"a/db"}
        self.trouble: dict[str, Exception] = {}
        monkeypatch.setattr(operating, "standing", self.standing)
        self.control = RegionalControl(cast(Assembly, None), cast(Any, startup), cast(Nodes, None))

    def standing(self, url: str) -> Standing:
        role, _, node = url.partition("@at:")
        assert role == "operator"
        if node in self.trouble:
            raise self.trouble[node]
        return Standing(node in self.primaries, 1, 9, 9, None)

    @property
    def now(self) -> Endpoints:
        return self.control.endpoints(AT_START)


@pytest.fixture
def regions(monkeypatch: pytest.MonkeyPatch) -> Regions:
    return Regions(monkeypatch)


def test_at_first_things_are_in_the_active_region(regions: Regions) -> None:
    assert regions.now.admin == "http://at:a/service.1"
    assert regions.now.books == "auditor@at:a/db"
    assert regions.now.customers == AT_START.customers
    assert regions.now.metrics == AT_START.metrics


def test_after_a_failover_they_are_in_the_other_one(regions: Regions) -> None:
    regions.active.active = "b"
    regions.primaries = {"a/db", "b/db"}
    assert regions.now.admin == "http://at:b/service.1"
    assert regions.now.books == "auditor@at:b/db"


def test_the_books_are_those_of_the_primary_of_the_region(regions: Regions) -> None:
    regions.primaries = {"a/db.2"}
    assert regions.now.books == "auditor@at:a/db.2"


@pytest.mark.parametrize("error", [Unreachable("away"), EnvironmentBroke("no such role")])
def test_a_database_that_cannot_be_asked_is_no_primary(regions: Regions, error: Exception) -> None:
    regions.primaries = {"a/db", "a/db.2"}
    regions.trouble = {"a/db": error}
    assert regions.now.books == "auditor@at:a/db.2"


def test_without_a_primary_they_are_those_of_the_first_database(regions: Regions) -> None:
    regions.primaries = set()
    regions.active.active = "b"
    assert regions.now.books == "auditor@at:b/db"


def test_readings_are_of_databases_and_archive(
    regions: Regions, monkeypatch: pytest.MonkeyPatch
) -> None:
    lag = regions.control._lag
    monkeypatch.setattr(lag, "samples", lambda: [("b/db", "replication_connected", 1.0)])
    assert regions.now.readings is not None
    (reading,) = regions.now.readings()
    assert (reading.node, reading.metric, reading.value) == ("b/db", "replication_connected", 1.0)
    assert Node.parse(reading.node).role == "db"
