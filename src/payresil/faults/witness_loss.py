"""The third place that decides who takes payments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import NodeSelector
from payresil.faults.evidence import failed_or_slow

_WITNESS = "w/witness"


def _is_the_witness(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """There is one; the loss of another node is a crash."""
    if given["node"] != _WITNESS:
        yield "node", f"{_WITNESS}, or leave it out; for another node there is the fault crash"


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return failed_or_slow(run, window)


@fault(evidence=_evidence, needs=("regions", "nodes"), bounds=_is_the_witness)
@contextmanager
def witness_loss(environment: Environment, node: NodeSelector = _WITNESS) -> Iterator[None]:
    """The witness ends without warning, and is started again when the fault heals.

    No region can renew its lease then, so that none takes payments once it has run out: better
    nobody than two.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            environment.nodes.kill(each)
            stack.callback(environment.nodes.start, each)
        yield
