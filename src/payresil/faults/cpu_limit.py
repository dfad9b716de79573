"""A node with little CPU time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import NodeSelector
from payresil.core.values import Share
from payresil.faults.node_evidence import nodes_held


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return nodes_held(run, window, "cpu_limited", "cpu_lifted")


@fault(evidence=_evidence, needs=("limits",))
@contextmanager
def cpu_limit(environment: Environment, node: NodeSelector, share: Share) -> Iterator[None]:
    """A node gets a share of one core and no more, however idle the machine is.

    The kernel deals it out by tenths of a second: a node that has used its part stands still until
    the next one begins.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            stack.enter_context(environment.limits.cpu(each, float(share)))
        yield
