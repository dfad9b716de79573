"""Backups that stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import NodeSelector
from payresil.faults.replication_evidence import fell_behind

_ARCHIVE = "w/archive"


def _is_the_archive(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """There is one; the loss of another node is a crash."""
    if given["node"] != _ARCHIVE:
        yield "node", f"{_ARCHIVE}, or leave it out; for another node there is the fault crash"


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return fell_behind(run, window, [_ARCHIVE], "archive")


@fault(evidence=_evidence, needs=("regions", "nodes"), bounds=_is_the_archive, unfelt=True)
@contextmanager
def archive_loss(environment: Environment, node: NodeSelector = _ARCHIVE) -> Iterator[None]:
    """The archive takes no write-ahead log any more, and goes on when the fault heals.

    Payments do not wait for it; what could be restored meanwhile is older with every second.
    """
    with ExitStack() as stack:
        for each in environment.topology.select_nodes(node):
            environment.nodes.kill(each)
            stack.callback(environment.nodes.start, each)
        yield
