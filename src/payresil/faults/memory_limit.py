"""A node with little memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import NodeSelector
from payresil.core.values import Size
from payresil.faults.node_evidence import nodes_held


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return nodes_held(run, window, "memory_limited", "memory_lifted")


@fault(evidence=_evidence, needs=("limits",))
@contextmanager
def memory_limit(environment: Environment, node: NodeSelector, limit: Size) -> Iterator[None]:
    """A node has so much memory and no more, and no swap.

    What it uses already counts. Where it wants more, the kernel takes back caches and then kills
    it, and it stays down until the fault heals.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            stack.enter_context(environment.limits.memory(each, round(float(limit))))
        yield
