"""What faults of regions do: to which links, in which direction, to which nodes, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from payresil.core.problems import InvalidScenario
from payresil.core.protocols import Environment, EnvironmentBroke, Toxic
from payresil.core.registry import faults
from payresil.core.topology import Node
from payresil.core.values import Duration
from payresil.engine.scenario_file import load_scenario
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

UP, DOWN = (Toxic("timeout", stream, {"timeout": 0}) for stream in ("upstream", "downstream"))


class TwoRegions:
    """Remembers what was done to it, in order; `links` has what is in force on which link."""

    def __init__(self) -> None:
        self.topology = topology_of(load_system("refpay-two-regions"))
        self.links = self.nodes = self
        self.silent: dict[str, tuple[Toxic, ...]] = {}
        self.done: list[str] = []
        self.refuses = ""

    @contextmanager
    def apply(self, selector: str, toxics: Sequence[Toxic]) -> Iterator[None]:
        if selector == self.refuses:
            raise EnvironmentBroke(f"{selector} refuses")
        chosen = [str(link) for link in self.topology.select_links(selector)]
        assert not set(chosen) & self.silent.keys()
        self.silent |= dict.fromkeys(chosen, tuple(toxics))
        try:
            yield
        finally:
            for link in chosen:
                del self.silent[link]

    def kill(self, node: Node) -> None:
        if str(node) == self.refuses:
            raise EnvironmentBroke(f"{node} refuses")
        self.done.append(f"kill {node}")

    def start(self, node: Node) -> None:
        self.done.append(f"start {node}")


@pytest.fixture
def environment() -> TwoRegions:
    return TwoRegions()


@contextmanager
def injected(environment: TwoRegions, name: str, **parameters: Any) -> Iterator[None]:
    with faults.get(name).call(cast(Environment, environment), **parameters):
        yield


# --- a region --------------------------------------------------------------------------------


def test_a_region_that_dies_ends_all_of_it_and_starts_as_it_fell_in_reverse(
    environment: TwoRegions,
) -> None:
    nodes = ["a/lb", "a/service.1", "a/service.2", "a/db", "a/db.2"]
    with injected(environment, "region_loss", region="a"):
        assert environment.done == [f"kill {node}" for node in nodes]
        assert environment.silent == {}
    assert environment.done[5:] == [f"start {node}" for node in reversed(nodes)]


def test_a_region_that_is_cut_off_runs_on_behind_a_silent_border(environment: TwoRegions) -> None:
    with injected(environment, "region_loss", region="b", how="cut_off"):
        assert set(environment.silent) == {
            "router->b/lb", "operator->b/lb", "operator->b/db", "w/archive->b/db",
            "b/service.1->psp", "b/service.2->psp", "b/service.1->w/witness",
            "b/service.2->w/witness", "a/db->b/db", "a/db.2->b/db", "b/db->a/db", "b/db->a/db.2",
        }  # fmt: skip
        assert all(each == (UP, DOWN) for each in environment.silent.values())
    assert environment.silent == {}
    assert environment.done == []


def test_a_region_that_there_is_not_is_no_region_that_is_lost(environment: TwoRegions) -> None:
    with (
        pytest.raises(EnvironmentBroke, match="there is no region c"),
        injected(environment, "region_loss", region="c"),
    ):
        pass


def test_what_was_ended_by_then_is_started_when_the_rest_cannot_be(
    environment: TwoRegions,
) -> None:
    environment.refuses = "a/service.2"
    with (
        pytest.raises(EnvironmentBroke, match=r"a/service\.2 refuses"),
        injected(environment, "region_loss", region="a"),
    ):
        pass
    assert environment.done == [
        "kill a/lb", "kill a/service.1", "start a/service.1", "start a/lb",
    ]  # fmt: skip


def test_a_border_that_cannot_be_closed_is_opened_again(environment: TwoRegions) -> None:
    environment.refuses = "operator->a/lb"
    with (
        pytest.raises(EnvironmentBroke),
        injected(environment, "region_loss", region="a", how="cut_off"),
    ):
        pass
    assert environment.silent == {}


# --- between two -----------------------------------------------------------------------------

BETWEEN = {"a/db->b/db", "a/db.2->b/db", "b/db->a/db", "b/db->a/db.2"}


def test_a_partition_is_of_the_links_between_both_and_no_others(environment: TwoRegions) -> None:
    with injected(environment, "region_partition", region="a", others=["b"]):
        assert set(environment.silent) == BETWEEN
        for each in environment.silent.values():
            assert sorted(each, key=str) == sorted((UP, DOWN), key=str)
    assert environment.silent == {}


@pytest.mark.parametrize("lost", ["sent", "received"])
def test_one_way_is_one_way_whoever_connected(environment: TwoRegions, lost: str) -> None:
    """A link from b to a carries what a sends downstream."""
    with injected(environment, "region_partition", region="a", others=["b"], lost=lost):
        from_a = UP if lost == "sent" else DOWN
        from_b = DOWN if lost == "sent" else UP
        assert environment.silent == {
            "a/db->b/db": (from_a,),
            "a/db.2->b/db": (from_a,),
            "b/db->a/db": (from_b,),
            "b/db->a/db.2": (from_b,),
        }


@pytest.mark.parametrize("lost", ["sent", "received"])
def test_one_way_is_the_same_said_from_either_side(lost: str) -> None:
    one, two = TwoRegions(), TwoRegions()
    other_way = {"sent": "received", "received": "sent"}[lost]
    with (
        injected(one, "region_partition", region="a", others=["b"], lost=lost),
        injected(two, "region_partition", region="b", others=["a"], lost=other_way),
    ):
        assert one.silent == two.silent


def test_a_region_can_be_parted_from_the_third_place(environment: TwoRegions) -> None:
    with injected(environment, "region_partition", region="a", others=["w"]):
        assert set(environment.silent) == {
            "a/service.1->w/witness", "a/service.2->w/witness", "w/archive->a/db",
            "w/archive->a/db.2",
        }  # fmt: skip


def test_regions_without_a_link_cannot_be_parted(environment: TwoRegions) -> None:
    with (
        pytest.raises(EnvironmentBroke, match="there is no link between a and c"),
        injected(environment, "region_partition", region="a", others=["c"]),
    ):
        pass


def test_a_border_has_two_sides(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("""\
name: x
claim: y
system: refpay-two-regions
workload: {rate: 50/s, duration: 40s, journeys: {impatient: 1}}
faults:
  - {at: 10s, duration: 8s, region_partition: {region: a, others: [b, a]}}
checks: [idempotency]
""")
    with pytest.raises(InvalidScenario, match="expected other regions than `region`, or pla"):
        load_scenario(path)


# --- replication -----------------------------------------------------------------------------


def test_a_paused_standby_gets_nothing_from_whoever_is_primary(environment: TwoRegions) -> None:
    with injected(environment, "replication_pause", standby="b/db"):
        assert environment.silent == dict.fromkeys(["b/db->a/db", "b/db->a/db.2"], (UP, DOWN))
    assert environment.silent == {}


def test_a_standby_whose_name_begins_alike_is_left_alone(environment: TwoRegions) -> None:
    with injected(environment, "replication_pause", standby="a/db"):
        assert set(environment.silent) == {"a/db->b/db", "a/db->a/db.2"}


def test_a_lagging_standby_gets_everything_later(environment: TwoRegions) -> None:
    slow = Toxic("latency", "downstream", {"latency": 1500, "jitter": 0})
    with injected(environment, "replication_lag", standby="a/db.2", delay=Duration(1.5)):
        assert environment.silent == dict.fromkeys(["a/db.2->a/db", "a/db.2->b/db"], (slow,))
    assert environment.silent == {}


@pytest.mark.parametrize(
    ("name", "parameters", "nodes"),
    [
        ("standby_loss", {"node": "a/db.2"}, ["a/db.2"]),
        ("standby_loss", {"node": "b/db"}, ["b/db"]),
        ("archive_loss", {}, ["w/archive"]),
        ("witness_loss", {}, ["w/witness"]),
    ],
)
def test_what_is_lost_ends_and_starts_again(
    environment: TwoRegions, name: str, parameters: dict[str, Any], nodes: list[str]
) -> None:
    with injected(environment, name, **parameters):
        assert environment.done == [f"kill {node}" for node in nodes]
    assert environment.done == [
        *(f"kill {node}" for node in nodes),
        *(f"start {node}" for node in reversed(nodes)),
    ]


@pytest.mark.parametrize("name", ["archive_loss", "witness_loss"])
def test_it_starts_again_though_the_run_was_stopped(environment: TwoRegions, name: str) -> None:
    with pytest.raises(KeyboardInterrupt), injected(environment, name):
        raise KeyboardInterrupt
    assert environment.done[-1].startswith("start w/")


@pytest.mark.parametrize(
    "name",
    [
        "region_loss", "region_partition", "replication_lag", "replication_pause", "standby_loss",
        "archive_loss", "witness_loss",
    ],
)  # fmt: skip
def test_all_of_them_need_regions(name: str) -> None:
    assert "regions" in faults.get(name).traits["needs"]
    assert faults.get(name).claim.endswith(".")
