"""A node that is stopped in order, and started again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import NodeSelector
from payresil.faults.node_evidence import nodes_held


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return nodes_held(run, window, "stopped", "started")


@fault(evidence=_evidence, needs=("nodes",))
@contextmanager
def restart(environment: Environment, node: NodeSelector) -> Iterator[None]:
    """A node is stopped in order, as a deployment does, and started again when the fault heals.

    It is asked to end, may finish what it has begun, and is killed where that takes more than a few
    seconds. Several nodes are stopped one after the other, and are down together until the fault
    heals. Each starts again on its old address, with what it had written to disk.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            environment.nodes.stop(each)
            stack.callback(environment.nodes.start, each)
        yield
