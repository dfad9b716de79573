"""A standby that gets nothing any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import NodeSelector
from payresil.faults.directions import streams
from payresil.faults.evidence import parameters
from payresil.faults.replication_evidence import fell_behind, standbys_named


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return fell_behind(run, window, standbys_named(run, parameters(run, window)["standby"]))


@fault(evidence=_evidence, needs=("regions", "links"), unfelt=True)
@contextmanager
def replication_pause(
    environment: Environment, standby: NodeSelector, source: NodeSelector = "db"
) -> Iterator[None]:
    """What a database writes does not reach a standby; nobody is told, and it stays up.

    Every link over which it could stream from `source` is silent, both ways: from any database,
    unless it is named. What the standby has received by then, it keeps. It catches up when the
    fault heals.
    """
    silence = [Toxic("timeout", stream, {"timeout": 0}) for stream in streams("both")]
    with environment.links.apply(f"{standby}->{source}", silence):
        yield
