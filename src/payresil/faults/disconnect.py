"""A node without a network."""

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
    return nodes_held(run, window, "disconnected", "connected")


@fault(evidence=_evidence, needs=("networks",))
@contextmanager
def disconnect(environment: Environment, node: NodeSelector) -> Iterator[None]:
    """A node runs on and can neither reach anybody nor be reached, until the fault heals.

    As when a cable is pulled: every link to it and from it is cut at once. Open connections fall
    silent and are closed when the fault heals, since what was lost in them cannot be made up.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            stack.enter_context(environment.networks.disconnect(each))
        yield
