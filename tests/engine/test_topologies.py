"""The nodes and links of one region and of two."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from payresil.core.system import Regions, System
from payresil.core.topology import Link, Node, Topology
from payresil.engine.system_file import load_system
from payresil.engine.topologies import ARCHIVE, WITNESS, topology_of
from payresil.faults.region_borders import between, border_of, nodes_of, regions_of


@pytest.fixture(scope="module")
def two() -> Topology:
    return topology_of(load_system("refpay-two-regions"))


def systems() -> list[System]:
    one, two = load_system("refpay"), load_system("refpay-two-regions")
    three_instances = replace(two, service=replace(two.service, instances=3))
    return [one, two, three_instances, replace(two, regions=Regions("north", "south-2"))]


@pytest.mark.parametrize("n", range(4))
def test_names_are_unique_and_every_link_has_two_ends(n: int) -> None:
    topology = topology_of(systems()[n])
    nodes, links = [str(x) for x in topology.nodes], [str(x) for x in topology.links]
    assert len(set(nodes)) == len(nodes)
    assert len(set(links)) == len(links)
    for link in topology.links:
        assert link.source in topology.nodes
        assert link.target in topology.nodes
        assert link.source != link.target


@pytest.mark.parametrize("n", range(4))
def test_every_whole_name_selects_itself_alone(n: int) -> None:
    topology = topology_of(systems()[n])
    for node in topology.nodes:
        assert topology.select_nodes(str(node)) == (node,)
    for link in topology.links:
        assert topology.select_links(str(link)) == (link,)


@pytest.mark.parametrize("n", range(4))
def test_names_of_proxies_are_unique_and_can_stand_in_a_path(n: int) -> None:
    names = [str(link) for link in topology_of(systems()[n]).links]
    assert len({name.replace("/", ".") for name in names}) == len(names)


def test_the_nodes_of_two_regions(two: Topology) -> None:
    assert [str(node) for node in two.nodes] == [
        "customers", "operator", "router",
        "a/lb", "a/service.1", "a/service.2", "a/db", "a/db.2",
        "b/lb", "b/service.1", "b/service.2", "b/db",
        "w/witness", "w/archive", "psp",
    ]  # fmt: skip


def test_every_database_can_stream_from_every_other(two: Topology) -> None:
    links = {str(link) for link in two.links}
    pairs = list(permutations(["a/db", "a/db.2", "b/db"], 2))
    assert len(pairs) == 6
    assert {f"{standby}->{source}" for standby, source in pairs} <= links


def test_services_reach_the_databases_of_their_own_region_the_witness_and_the_psp(
    two: Topology,
) -> None:
    called = {str(link.target) for link in two.select_links("a/service.1->db")}
    assert called == {"a/db", "a/db.2"}
    assert [str(x.target) for x in two.select_links("b/service.2->db")] == ["b/db"]
    assert len(two.select_links("service->witness")) == 4
    assert len(two.select_links("service->psp")) == 4


def test_an_operator_reaches_all_that_a_remedy_needs_and_no_instance(two: Topology) -> None:
    reached = {str(link.target) for link in two.links if link.source == Node(None, "operator")}
    assert reached == {"router", "a/lb", "b/lb", "a/db", "a/db.2", "b/db", "w/witness"}


def test_the_archive_pulls_from_every_database(two: Topology) -> None:
    assert {str(x.target) for x in two.select_links("archive->db")} == {"a/db", "a/db.2", "b/db"}


def test_the_standby_region_has_one_database_whatever_its_name() -> None:
    topology = topology_of(replace(systems()[1], regions=Regions("b", "a")))
    databases = [str(node) for node in topology.nodes if node.role == "db"]
    assert databases == ["b/db", "b/db.2", "a/db"]


def test_one_region_is_as_it_was() -> None:
    topology = topology_of(load_system("refpay"))
    assert regions_of(topology) == ["a"]
    assert {node.role for node in topology.nodes} == {
        "customers", "router", "lb", "service", "db", "psp",
    }  # fmt: skip


# --- borders ---------------------------------------------------------------------------------


def test_the_border_of_a_region_is_what_crosses_it(two: Topology) -> None:
    border = {str(link) for link in border_of(two, "b")}
    assert {"router->b/lb", "operator->b/lb", "b/db->a/db", "a/db->b/db", "b/service.1->psp",
            "b/service.1->w/witness", "operator->b/db", "w/archive->b/db"} <= border  # fmt: skip
    assert not {"b/lb->b/service.1", "b/service.1->b/db", "a/db->a/db.2"} & border
    inside = [x for x in two.links if x.source.region == x.target.region == "b"]
    assert not border & {str(link) for link in inside}


def test_between_two_regions_there_is_replication_alone(two: Topology) -> None:
    assert {str(link) for link in between(two, "a", ["b"])} == {
        "b/db->a/db", "b/db->a/db.2", "a/db->b/db", "a/db.2->b/db",
    }  # fmt: skip
    assert between(two, "a", ["b"]) == between(two, "b", ["a"])


def test_between_a_region_and_the_third_place_are_witness_and_archive(two: Topology) -> None:
    assert {str(link) for link in between(two, "a", ["w"])} == {
        "a/service.1->w/witness", "a/service.2->w/witness", "w/archive->a/db", "w/archive->a/db.2",
    }  # fmt: skip


def test_a_region_can_be_parted_from_places_outside_of_any(two: Topology) -> None:
    assert {str(link) for link in between(two, "b", ["psp", "operator", "a"])} == {
        "b/service.1->psp", "b/service.2->psp", "operator->b/lb", "operator->b/db",
        "b/db->a/db", "b/db->a/db.2", "a/db->b/db", "a/db.2->b/db",
    }  # fmt: skip
    assert between(two, "b", []) == []


def test_the_nodes_of_a_region_in_order_of_who_calls_whom(two: Topology) -> None:
    names = [str(node) for node in nodes_of(two, "a")]
    assert names == ["a/lb", "a/service.1", "a/service.2", "a/db", "a/db.2"]
    assert nodes_of(two, "c") == []
    assert regions_of(two) == ["a", "b", "w"]


def test_witness_and_archive_are_at_the_third_place(two: Topology) -> None:
    assert two.select_nodes("witness") == (Node.parse(WITNESS),)
    assert two.select_nodes("archive") == (Node.parse(ARCHIVE),)
    assert Link.parse("a/db->psp") not in two.links
