"""A standby that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import NodeSelector
from payresil.faults.evidence import parameters
from payresil.faults.replication_evidence import fell_behind, standbys_named


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return fell_behind(run, window, standbys_named(run, parameters(run, window)["node"]))


@fault(evidence=_evidence, needs=("regions", "nodes"), unfelt=True)
@contextmanager
def standby_loss(environment: Environment, node: NodeSelector) -> Iterator[None]:
    """A standby ends without warning, and is started again when the fault heals.

    Customers need not notice, unless commits wait for it.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            environment.nodes.kill(each)
            stack.callback(environment.nodes.start, each)
        yield
