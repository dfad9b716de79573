"""A standby that is behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import NodeSelector
from payresil.core.values import Duration
from payresil.faults.evidence import parameters
from payresil.faults.replication_evidence import fell_behind, standbys_named


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return fell_behind(run, window, standbys_named(run, parameters(run, window)["standby"]))


@fault(evidence=_evidence, needs=("regions", "links"), unfelt=True)
@contextmanager
def replication_lag(
    environment: Environment, standby: NodeSelector, delay: Duration
) -> Iterator[None]:
    """What the databases write reaches a standby only `delay` later.

    Every link over which it could stream is slow towards it. Commits that wait for it wait that
    long. It catches up when the fault heals. A standby gives up a connection that is silent for
    2.5 s: with a longer delay nothing reaches it at all, as with `replication_pause`.
    """
    slow = [Toxic("latency", "downstream", {"latency": delay.ms, "jitter": 0})]
    with environment.links.apply(f"{standby}->db", slow):
        yield
