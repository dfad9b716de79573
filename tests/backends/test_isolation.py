"""Nodes that are cut off: faults may overlap and heal in any order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.backends.embedded.isolation import Isolation, silenced
from payresil.core.protocols import EnvironmentBroke, Toxic
from payresil.core.topology import Link, Node, Topology

DB, PSP = Node.parse("a/db"), Node.parse("psp")


class Cable:
    """Remembers which nodes are cut off."""

    def __init__(self) -> None:
        self.cut_off: list[Node] = []
        self.reports: list[tuple[Any, ...]] = []
        self.isolation = Isolation([DB, PSP], self._cut, lambda *what: self.reports.append(what))
        self.refuses = False

    @contextmanager
    def _cut(self, node: Node) -> Iterator[None]:
        if self.refuses:
            raise EnvironmentBroke("it will not")
        self.cut_off.append(node)
        try:
            yield
        finally:
            self.cut_off.remove(node)


def test_a_node_is_cut_off_while_the_context_lasts() -> None:
    cable = Cable()
    with cable.isolation.disconnect(DB):
        assert cable.cut_off == [DB]
    assert cable.cut_off == []
    whats = [("node", "a/db", "disconnected"), ("node", "a/db", "connected")]
    assert cable.reports == whats


@given(st.lists(st.sampled_from([DB, PSP]), max_size=6), st.randoms())
def test_a_node_is_cut_off_while_any_fault_wants_it(nodes: list[Node], random: Any) -> None:
    cable = Cable()
    faults = [(node, cable.isolation.disconnect(node)) for node in nodes]
    for _, fault in faults:
        fault.__enter__()
    random.shuffle(faults)
    while faults:
        assert set(cable.cut_off) == {node for node, _ in faults}
        assert len(cable.cut_off) == len(set(cable.cut_off))
        faults.pop()[1].__exit__(None, None, None)
    assert cable.cut_off == []


def test_heal_brings_all_back_and_what_heals_later_changes_nothing() -> None:
    cable = Cable()
    first, second = cable.isolation.disconnect(DB), cable.isolation.disconnect(PSP)
    first.__enter__()
    second.__enter__()
    cable.isolation.heal()
    assert cable.cut_off == []
    with cable.isolation.disconnect(DB):
        second.__exit__(None, None, None)
        assert cable.cut_off == [DB]
    first.__exit__(None, None, None)
    assert cable.cut_off == []


def test_one_that_cannot_be_cut_off_is_not_taken_for_cut_off() -> None:
    cable = Cable()
    cable.refuses = True
    with pytest.raises(EnvironmentBroke, match="will not"), cable.isolation.disconnect(DB):
        pytest.fail("it was cut off")
    assert cable.reports == []
    cable.refuses = False
    with cable.isolation.disconnect(DB):
        assert cable.cut_off == [DB]
    assert cable.cut_off == []


def test_only_nodes_that_run_can_be_cut_off() -> None:
    with (
        pytest.raises(EnvironmentBroke, match="customers is no node"),
        Cable().isolation.disconnect(Node.parse("customers")),
    ):
        pytest.fail("it was cut off")


def test_silence_is_on_every_link_of_a_node_and_on_no_other() -> None:
    links = [Link.parse(each) for each in ("a/service.1->a/db", "a/service.1->psp", "psp->router")]
    silent: list[str] = []

    class Links:
        @contextmanager
        def apply(self, selector: str, toxics: Any, *, down: bool = False) -> Iterator[None]:
            assert {toxic.stream for toxic in toxics} == {"upstream", "downstream"}
            assert all(toxic == Toxic("timeout", toxic.stream, {"timeout": 0}) for toxic in toxics)
            silent.append(selector)
            yield
            silent.remove(selector)

    with silenced(Links(), Topology((), tuple(links)), PSP):  # type: ignore[arg-type]
        assert silent == ["a/service.1->psp", "psp->router"]
    assert silent == []
