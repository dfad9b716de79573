"""What databases held at moments of a run is kept as it is read, or refused as it is read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from payresil.core.protocols import Environment, EnvironmentBroke, Standing, Unreachable
from payresil.core.schemas import SCHEMAS
from payresil.core.system import System
from payresil.core.tables import read_folder
from payresil.core.topology import Node, Topology
from payresil.engine.journal import Journal
from payresil.engine.keeping import OWN_COLUMNS, SNAPSHOT_TABLES, Keeper
from payresil.engine.regional_books import read_regions
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

COMMIT = {"moment": "end", "node": "a/db", "payment": "p1", "intent": "r-1", "seq": 1, "epoch": 1}


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path, lambda: 1000)
    yield keeper
    keeper.close()


def test_the_tables_of_snapshots_are_there_with_the_harnesss_own_columns() -> None:
    for table in SNAPSHOT_TABLES:
        assert set(OWN_COLUMNS) <= set(SCHEMAS[table].names)


def test_rows_have_the_runs_time_and_nothing_where_they_say_nothing(
    keeper: Keeper, tmp_path: Path
) -> None:
    keeper.keep("commits", [COMMIT], 5000)
    (row,) = read_folder(tmp_path)["commits"].to_pylist()
    assert row["at_ns"] == 4000
    assert {name: row[name] for name in COMMIT} == COMMIT
    assert row["region"] is None


def test_snapshots_of_several_moments_are_one_table(keeper: Keeper, tmp_path: Path) -> None:
    keeper.keep("commits", [COMMIT], 5000)
    keeper.keep("commits", [], 6000)
    keeper.keep("commits", [{**COMMIT, "moment": "promoted"}, COMMIT], 7000)
    rows = read_folder(tmp_path)["commits"].to_pylist()
    assert [(row["moment"], row["at_ns"]) for row in rows] == [
        ("end", 4000), ("promoted", 6000), ("end", 6000),
    ]  # fmt: skip


def test_an_empty_snapshot_leaves_an_empty_table(keeper: Keeper, tmp_path: Path) -> None:
    """That nothing was there is another thing than that nobody looked."""
    keeper.keep("snapshots", [], 5000)
    assert read_folder(tmp_path)["snapshots"].num_rows == 0


def test_a_row_can_be_read_before_the_keeper_is_closed(keeper: Keeper, tmp_path: Path) -> None:
    keeper.keep("commits", [COMMIT], 5000)
    assert read_folder(tmp_path)["commits"].num_rows == 1


def test_an_unknown_column_is_named(keeper: Keeper, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBroke, match="snapshots: commits has no column amount, colour"):
        keeper.keep("commits", [COMMIT, {"colour": 1, "amount": 2}], 5000)
    assert "commits" not in read_folder(tmp_path)


@pytest.mark.parametrize("wrong", [{"seq": "one"}, {"epoch": object()}])
def test_a_value_of_another_type_names_the_query(keeper: Keeper, wrong: dict[str, Any]) -> None:
    with pytest.raises(EnvironmentBroke, match="snapshots: the query of commits: "):
        keeper.keep("commits", [{**COMMIT, **wrong}], 5000)


def test_two_at_one_time_lose_nothing(keeper: Keeper, tmp_path: Path) -> None:
    def keep() -> None:
        for _ in range(50):
            keeper.keep("commits", [COMMIT], 5000)

    threads = [threading.Thread(target=keep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keeper.close()
    assert read_folder(tmp_path)["commits"].num_rows == 200


def test_closing_twice_does_no_harm(keeper: Keeper) -> None:
    keeper.keep("commits", [COMMIT], 5000)
    keeper.close()
    keeper.close()


# --- the audit -------------------------------------------------------------------------------


class Regions:
    """An environment whose databases are read at the end."""

    def __init__(self, system: System) -> None:
        self.topology: Topology = topology_of(system)
        self.databases = self
        self.read: list[tuple[str, str]] = []
        self.away: set[str] = set()
        self.history: list[dict[str, Any]] = [{"epoch": 1, "region": "a", "taken_us": 5}]

    def nodes(self) -> list[Node]:
        return [node for node in self.topology.nodes if node.role == "db"]

    def snapshot(self, moment: str, node: Node) -> None:
        self._reach(node)
        self.read.append((moment, str(node)))

    def standing(self, node: Node) -> Standing:
        is_primary = str(node) == "a/db"
        return Standing(is_primary, 1, 9, 9, None if is_primary else "a/db")

    def rows(self, node: Node, sql: str) -> list[dict[str, Any]]:
        self._reach(node)
        assert sql == "select epoch, region, taken_us from lease_history()"
        return self.history

    def _reach(self, node: Node) -> None:
        if str(node) in self.away:
            raise Unreachable(f"{node} is away")


@pytest.fixture
def system() -> System:
    return load_system("refpay-two-regions")


def audit(folder: Path, system: System, regions: Regions) -> list[tuple[str, str, str]]:
    journal = Journal(folder)
    journal.set_zero(0)
    read_regions(folder, system, cast(Environment, regions), journal)
    journal.close()
    rows = read_folder(folder).get("events")
    found = [] if rows is None else rows.to_pylist()
    return [(row["name"], row["what"], row["detail"]) for row in found]


def test_every_database_is_read_and_the_witness(tmp_path: Path, system: System) -> None:
    regions = Regions(system)
    assert [
        (name, what, json.loads(detail)) for name, what, detail in audit(tmp_path, system, regions)
    ] == [
        ("a/db", "stands", {"role": "primary", "source": None}),
        ("a/db.2", "stands", {"role": "standby", "source": "a/db"}),
        ("b/db", "stands", {"role": "standby", "source": "a/db"}),
    ]
    assert regions.read == [("end", "a/db"), ("end", "a/db.2"), ("end", "b/db")]
    (row,) = read_folder(tmp_path)["epochs"].to_pylist()
    assert (row["epoch"], row["region"], row["taken_us"]) == (1, "a", 5)


def test_who_is_away_is_named_and_the_others_are_read(tmp_path: Path, system: System) -> None:
    regions = Regions(system)
    regions.away = {"a/db", "w/witness"}
    events = audit(tmp_path, system, regions)
    assert [each[:2] for each in events] == [
        ("a/db", "warning"), ("a/db.2", "stands"), ("b/db", "stands"), ("w/witness", "warning"),
    ]  # fmt: skip
    assert "not read at the end: a/db is away" in events[0][2]
    assert regions.read == [("end", "a/db.2"), ("end", "b/db")]
    assert "epochs" not in read_folder(tmp_path)


@pytest.mark.parametrize(
    "row", [{"epoch": "one", "region": "a", "taken_us": 5}, {"epoch": 1, "colour": "blue"}]
)
def test_a_history_that_does_not_fit_names_its_query(
    tmp_path: Path, system: System, row: dict[str, Any]
) -> None:
    regions = Regions(system)
    regions.history = [row]
    with pytest.raises(EnvironmentBroke, match="the query of epochs does not fit"):
        audit(tmp_path, system, regions)
