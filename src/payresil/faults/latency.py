"""A slow link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import LinkSelector
from payresil.core.values import Duration
from payresil.faults import evidence
from payresil.faults.directions import Direction, streams


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    """Whoever waited for the link waited for the delay, less its jitter, once at least."""
    given = evidence.parameters(run, window)
    delay_ns = evidence.duration_ns(given["delay"])
    jitter_ns = evidence.duration_ns(given.get("jitter", 0))
    return evidence.delayed(run, window, max(delay_ns - jitter_ns, delay_ns // 2))


@fault(evidence=_evidence, needs=("links",))
@contextmanager
def latency(
    environment: Environment,
    link: LinkSelector,
    delay: Duration,
    jitter: Duration = Duration(0),  # noqa: B008 - a value, never changed
    direction: Direction = "downstream",
) -> Iterator[None]:
    """What is sent over a link arrives later.

    By `delay`, give or take up to `jitter`, in one direction or in both: a request and its answer
    over a link that is slow in `both` take twice as long. Making a connection is not slowed, and
    neither is throughput. Open connections are slow at once; what is under way when the fault heals
    arrives at once.
    """
    attributes = {"latency": delay.ms, "jitter": jitter.ms}
    toxics = [Toxic("latency", stream, attributes) for stream in streams(direction)]
    with environment.links.apply(link, toxics):
        yield
