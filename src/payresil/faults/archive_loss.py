"""Backups that stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.faults.replication_evidence import fell_behind

_ARCHIVE = "w/archive"


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return fell_behind(run, window, [_ARCHIVE], "archive")


@fault(evidence=_evidence, needs=("regions", "nodes"), unfelt=True)
@contextmanager
def archive_loss(environment: Environment) -> Iterator[None]:
    """The archive takes no write-ahead log any more, and goes on when the fault heals.

    Payments do not wait for it; what could be restored meanwhile is older with every second.
    """
    (node,) = environment.topology.select_nodes(_ARCHIVE)
    environment.nodes.kill(node)
    try:
        yield
    finally:
        environment.nodes.start(node)
