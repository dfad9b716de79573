"""A narrow link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import LinkSelector
from payresil.core.values import Size
from payresil.faults.directions import Direction, streams
from payresil.faults.evidence import failed_or_slow


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return failed_or_slow(run, window)


@fault(evidence=_evidence, needs=("links",))
@contextmanager
def bandwidth(
    environment: Environment,
    link: LinkSelector,
    per_second: Size,
    direction: Direction = "both",
) -> Iterator[None]:
    """A link carries so much a second and no more.

    Every connection has `per_second` to itself, in each direction; at least 1KB, and to the whole
    KB. Open connections are slowed at once; what waits when the fault heals is sent at once.
    """
    kilobytes = round(float(per_second) / 1000)
    if kilobytes < 1:
        raise ValueError(f"per_second: {per_second} is less than 1KB; a partition lets nothing by")
    toxics = [Toxic("bandwidth", stream, {"rate": kilobytes}) for stream in streams(direction)]
    with environment.links.apply(link, toxics):
        yield
