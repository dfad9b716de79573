"""Faults on nodes overlap and heal in any order."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from payresil.backends.embedded.control import NodeControl
from payresil.backends.embedded.node_process import NodeProcess
from payresil.core.protocols import EnvironmentBroke
from payresil.core.topology import Node

NODES = (Node.parse("psp"), Node.parse("a/db"))


class FakeProcess:
    """A node that remembers what it is, and does not put up with nonsense."""

    def __init__(self) -> None:
        self.state = "running"
        self.ended: str | None = None

    def kill(self) -> None:
        assert self.state in ("running", "paused")
        self.state = "down"
        self.ended = "killed"

    def stop(self) -> None:
        assert self.state in ("running", "paused")
        self.state = "down"
        self.ended = "stopped"

    def launch(self) -> None:
        assert self.state == "down"
        self.state = "launched"

    def await_ready(self) -> None:
        assert self.state == "launched"
        self.state = "running"

    def pause(self) -> None:
        assert self.state == "running"
        self.state = "paused"

    def resume(self) -> None:
        assert self.state == "paused"
        self.state = "running"


class Overlaps(RuleBasedStateMachine):
    """Faults come and go; a node is down while any wants it, else paused while any does."""

    def __init__(self) -> None:
        super().__init__()
        self.processes = {node: FakeProcess() for node in NODES}
        self.away = dict.fromkeys(NODES, False)
        self.control = NodeControl(
            cast(Any, self.processes),
            leaves=lambda node: self.away.update({node: True}),
            returns=lambda node: self.away.update({node: False}),
        )
        self.down = dict.fromkeys(NODES, 0)
        self.paused = dict.fromkeys(NODES, 0)
        self.held: list[tuple[Node, AbstractContextManager[None]]] = []

    @rule(node=st.sampled_from(NODES))
    def hold(self, node: Node) -> None:
        self.held.append((node, self.control.held(node)))
        self.held[-1][1].__enter__()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        one = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        one[1].__exit__(None, None, None)

    @rule(node=st.sampled_from(NODES))
    def kill(self, node: Node) -> None:
        self.control.kill(node)
        self.down[node] += 1

    @rule(node=st.sampled_from(NODES))
    def stop(self, node: Node) -> None:
        self.control.stop(node)
        self.down[node] += 1

    @rule(node=st.sampled_from(NODES))
    def pause(self, node: Node) -> None:
        self.control.pause(node)
        self.paused[node] += 1

    @precondition(lambda self: any(self.down.values()))
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from([node for node in NODES if self.down[node]]))
        self.control.start(node)
        self.down[node] -= 1

    @precondition(lambda self: any(self.paused.values()))
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from([node for node in NODES if self.paused[node]]))
        self.control.resume(node)
        self.paused[node] -= 1

    @rule()
    def heal(self) -> None:
        self.control.heal()
        self.down, self.paused = dict.fromkeys(NODES, 0), dict.fromkeys(NODES, 0)

    @rule(node=st.sampled_from(NODES))
    def late_exit(self, node: Node) -> None:
        """What a fault's context does after everything was healed."""
        if not self.down[node]:
            self.control.start(node)
        if not self.paused[node]:
            self.control.resume(node)

    @invariant()
    def every_node_is_as_its_faults_want_it(self) -> None:
        for node, process in self.processes.items():
            down = self.down[node] or any(held == node for held, _ in self.held)
            wanted = "down" if down else "paused" if self.paused[node] else "running"
            assert process.state == wanted
            assert self.control.runs(node) is (wanted == "running")
            assert self.away[node] == (wanted != "running")


def test_any_interleaving_leaves_every_node_as_its_faults_want_it() -> None:
    run_machine(Overlaps, settings=settings(max_examples=100, deadline=None))


@pytest.mark.parametrize(("first", "second"), [("kill", "stop"), ("stop", "kill")])
def test_how_a_node_ends_is_how_the_first_fault_wants_it(first: str, second: str) -> None:
    process = FakeProcess()
    db = NODES[1]
    control = NodeControl(cast(Any, {db: process}), leaves=lambda _: None, returns=lambda _: None)
    getattr(control, first)(db)
    getattr(control, second)(db)
    assert process.ended == {"kill": "killed", "stop": "stopped"}[first]
    control.start(db)
    assert process.state == "down"
    control.start(db)
    assert process.state == "running"


def one_node() -> tuple[NodeControl, FakeProcess, Node]:
    process, db = FakeProcess(), NODES[1]
    control = NodeControl(cast(Any, {db: process}), leaves=lambda _: None, returns=lambda _: None)
    return control, process, db


def test_healing_leaves_a_node_down_that_an_operator_works_on() -> None:
    control, process, db = one_node()
    control.kill(db)
    with control.held(db):
        control.heal()
        assert process.state == "down"
        control.start(db)  # the context of the fault ends after everything was healed
        assert process.state == "down"
    assert process.state == "running"


def test_a_node_that_a_fault_wants_down_stays_so_after_the_work() -> None:
    control, process, db = one_node()
    with control.held(db):
        assert process.ended == "stopped"
        control.kill(db)
    assert process.state == "down"
    assert not control.runs(db)


def test_work_that_fails_lets_the_node_go() -> None:
    control, process, db = one_node()
    with pytest.raises(OSError, match="the disk is full"), control.held(db):
        raise OSError("the disk is full")
    assert process.state == "running"


def test_what_is_no_node_of_the_backend_is_named() -> None:
    nothing: dict[Node, NodeProcess] = {}
    control = NodeControl(nothing, leaves=lambda _: None, returns=lambda _: None)
    with pytest.raises(EnvironmentBroke, match="customers is no node that this backend runs"):
        control.kill(Node.parse("customers"))
    with pytest.raises(EnvironmentBroke, match="customers is no node that this backend runs"):
        control.runs(Node.parse("customers"))
