"""A node that ends without warning."""

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
    return nodes_held(run, window, "killed", "started")


@fault(evidence=_evidence, needs=("nodes",))
@contextmanager
def crash(environment: Environment, node: NodeSelector) -> Iterator[None]:
    """A node ends without warning, and is started again when the fault heals.

    All of its processes are killed at once, as when the machine runs out of memory; what it had
    written to disk is still there when it starts again, on its old address.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            environment.nodes.kill(each)
            stack.callback(environment.nodes.start, each)
        yield
