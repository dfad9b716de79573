from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.topology import Link, Node, SelectorError, Topology

NODES = ["customers", "router", "a/lb", "a/service.1", "a/service.2", "b/service.1", "a/db", "psp"]
LINKS = [
    "customers->router",
    "router->a/lb",
    "a/lb->a/service.1",
    "a/lb->a/service.2",
    "a/service.1->a/db",
    "a/service.2->a/db",
    "a/service.1->psp",
    "b/service.1->psp",
    "psp->router",
]

nodes = st.builds(
    Node,
    st.none() | st.from_regex(r"[a-z0-9-]{1,5}", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True),
    st.none() | st.integers(0, 999_999),
)


@pytest.fixture
def topology() -> Topology:
    return Topology(tuple(map(Node.parse, NODES)), tuple(map(Link.parse, LINKS)))


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("service", ["a/service.1", "a/service.2", "b/service.1"]),
        ("a/service", ["a/service.1", "a/service.2"]),
        ("service.1", ["a/service.1", "b/service.1"]),
        ("a/service.1", ["a/service.1"]),
        ("psp", ["psp"]),
        ("db", ["a/db"]),
    ],
)
def test_a_node_selector_may_leave_parts_out(
    topology: Topology, selector: str, found: list[str]
) -> None:
    assert [str(node) for node in topology.select_nodes(selector)] == found


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("service->psp", ["a/service.1->psp", "b/service.1->psp"]),
        ("a/service->psp", ["a/service.1->psp"]),
        ("lb->service.2", ["a/lb->a/service.2"]),
        ("service->db", ["a/service.1->a/db", "a/service.2->a/db"]),
        ("psp->router", ["psp->router"]),
    ],
)
def test_a_link_selector_may_leave_parts_out(
    topology: Topology, selector: str, found: list[str]
) -> None:
    assert [str(link) for link in topology.select_links(selector)] == found


@pytest.mark.parametrize("selector", ["servce", "c/service", "service.3", "a/psp"])
def test_a_selector_that_matches_nothing_names_what_there_is(
    topology: Topology, selector: str
) -> None:
    with pytest.raises(SelectorError, match=r"matches no node; there are a/db, a/lb, .*router"):
        topology.select_nodes(selector)


@pytest.mark.parametrize(
    "text",
    ["", "A/db", "a//db", "a/", "/db", "db.", "db.x", "db.1.2", "a/db/x", "d b", "db.9999999"],
)
def test_what_is_no_node_is_an_error(text: str) -> None:
    with pytest.raises(SelectorError, match="no node name such as"):
        Node.parse(text)


@pytest.mark.parametrize("text", ["", "psp", "a->", "->a", "a->b->c", "a>b"])
def test_what_is_no_link_is_an_error(text: str) -> None:
    with pytest.raises(SelectorError):
        Link.parse(text)


@given(nodes)
def test_a_node_is_read_back_from_its_name(node: Node) -> None:
    assert Node.parse(str(node)) == node
    assert node.matches(node)


@given(nodes, nodes)
def test_a_link_is_read_back_from_its_name(source: Node, target: Node) -> None:
    assert Link.parse(str(Link(source, target))) == Link(source, target)


@given(st.lists(nodes))
def test_nodes_sort_with_and_without_region_or_number(found: list[Node]) -> None:
    ordered = sorted(found)
    assert sorted(ordered) == ordered
    links = [Link(node, node) for node in found]
    assert sorted(links) == [Link(node, node) for node in ordered]


def test_the_tenth_instance_sorts_after_the_second() -> None:
    names = ["a/service.10", "a/service.2", "psp"]
    assert [str(n) for n in sorted(map(Node.parse, names))] == [
        "psp",
        "a/service.2",
        "a/service.10",
    ]


@given(st.text(max_size=20))
def test_any_text_is_a_selector_or_a_selector_error(text: str) -> None:
    for parse in (Node.parse, Link.parse):
        try:
            parse(text)
        except SelectorError:
            continue


def test_a_whole_name_means_that_one_alone() -> None:
    names = ["a/db", "a/db.2", "b/db", "a/service.1"]
    links = ["a/service.1->a/db", "a/service.1->a/db.2", "b/db->a/db", "b/db->a/db.2"]
    topology = Topology(tuple(map(Node.parse, names)), tuple(map(Link.parse, links)))
    assert [str(node) for node in topology.select_nodes("a/db")] == ["a/db"]
    assert [str(node) for node in topology.select_nodes("db")] == ["a/db", "a/db.2", "b/db"]
    assert [str(link) for link in topology.select_links("b/db->a/db")] == ["b/db->a/db"]
    assert [str(link) for link in topology.select_links("service->a/db")] == ["a/service.1->a/db"]
    assert [str(link) for link in topology.select_links("a/service->db")] == links[:2]
