"""A node that stands still."""

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
    return nodes_held(run, window, "paused", "resumed")


@fault(evidence=_evidence, needs=("nodes",))
@contextmanager
def pause(environment: Environment, node: NodeSelector) -> Iterator[None]:
    """A node stands still and goes on where it was when the fault heals.

    Its connections stay open and new ones are still accepted by the kernel, as with a long garbage
    collection or a frozen virtual machine. Its clocks go on, so leases it held may have run out.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            environment.nodes.pause(each)
            stack.callback(environment.nodes.resume, each)
        yield
