"""Two regions that do not hear each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

from payresil.core.protocols import Environment, EnvironmentBroke, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Doubt, Measure, Result
from payresil.core.run import Run
from payresil.core.schema import PlaceName, RegionName
from payresil.core.topology import Link
from payresil.faults.evidence import failed_or_slow, parameters
from payresil.faults.region_borders import are_apart, between
from payresil.faults.replication_evidence import fell_behind


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    """Standbys on one side whose source is on the other, or customers, must have noticed."""
    given = parameters(run, window)
    region, others = str(given["region"]), set(given["others"])
    links = [Link.parse(name) for name in run.meta.get("links", ())]
    standbys = {
        str(x.source)
        for x in links
        if x.source.role == x.target.role == "db"
        and (
            (x.source.region == region and x.target.region in others)
            or (x.target.region == region and x.source.region in others)
        )
    }
    results = [list(fell_behind(run, window, [node])) for node in sorted(standbys)]
    results.append(list(failed_or_slow(run, window)))
    for each in results:
        yield from (result for result in each if isinstance(result, Measure))
    if all(any(isinstance(result, Doubt) for result in each) for each in results):
        yield from (result for each in results for result in each if isinstance(result, Doubt))


@fault(evidence=_evidence, needs=("regions", "links"), bounds=are_apart)
@contextmanager
def region_partition(
    environment: Environment,
    region: RegionName,
    others: list[PlaceName],
    lost: Literal["both", "sent", "received"] = "both",
) -> Iterator[None]:
    """Nothing passes between a region and others, or nothing one way; each of them goes on.

    What the region has `sent` to them is lost without a word, or what it would have `received`, or
    both. `others` are regions, or places outside of any: operator, router, psp. Connections can be
    made and stay open.
    """
    links = between(environment.topology, region, others)
    if not links:
        raise EnvironmentBroke(f"there is no link between {region} and {', '.join(others)}")
    with ExitStack() as stack:
        for link in links:
            silence = [
                Toxic("timeout", stream, {"timeout": 0}) for stream in _lost(link, region, lost)
            ]
            stack.enter_context(environment.links.apply(str(link), silence))
        yield


def _lost(link: Link, region: str, lost: str) -> tuple[str, ...]:
    """The streams of a connection in which something is lost."""
    sent, received = ("upstream", "downstream")
    if link.source.region != region:
        sent, received = received, sent
    return {"both": (sent, received), "sent": (sent,), "received": (received,)}[lost]
