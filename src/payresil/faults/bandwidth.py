"""A narrow link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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


def _bounds(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if _kilobytes(given["per_second"]) < 1:
        yield "per_second", "1KB at least; a partition lets nothing by"


def _kilobytes(size: Size) -> int:
    return round(float(size) / 1000)


@fault(evidence=_evidence, needs=("links",), bounds=_bounds)
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
    rate = {"rate": _kilobytes(per_second)}
    toxics = [Toxic("bandwidth", stream, rate) for stream in streams(direction)]
    with environment.links.apply(link, toxics):
        yield
