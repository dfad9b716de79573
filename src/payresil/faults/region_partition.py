"""Two regions that do not hear each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

from payresil.core.protocols import Environment, EnvironmentBroke, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Doubt, Measure, Result
from payresil.core.run import Run
from payresil.core.topology import Link
from payresil.faults.evidence import failed_or_slow, parameters
from payresil.faults.region_borders import are_different, between
from payresil.faults.replication_evidence import fell_behind


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    """Standbys on one side whose source is on the other, or customers, must have noticed."""
    given = parameters(run, window)
    sides = {str(given["one"]), str(given["other"])}
    links = [Link.parse(name) for name in run.meta.get("links", ())]
    standbys = {
        str(x.source)
        for x in links
        if x.source.role == x.target.role == "db" and {x.source.region, x.target.region} == sides
    }
    results = [list(fell_behind(run, window, [node])) for node in sorted(standbys)]
    results.append(list(failed_or_slow(run, window)))
    for each in results:
        yield from (result for result in each if isinstance(result, Measure))
    if all(any(isinstance(result, Doubt) for result in each) for each in results):
        yield from (result for each in results for result in each if isinstance(result, Doubt))


@fault(evidence=_evidence, needs=("regions", "links"), bounds=are_different)
@contextmanager
def region_partition(
    environment: Environment,
    one: str,
    other: str,
    lost: Literal["both", "to_other", "to_one"] = "both",
) -> Iterator[None]:
    """Nothing passes between two regions, or nothing one way; each of them goes on.

    What is sent from `one` to `other` is lost without a word, or what is sent back, or both.
    Connections can be made and stay open.
    """
    links = between(environment.topology, one, other)
    if not links:
        raise EnvironmentBroke(f"there is no link between {one} and {other}")
    with ExitStack() as stack:
        for link in links:
            towards_other = "upstream" if link.source.region == one else "downstream"
            towards_one = "downstream" if link.source.region == one else "upstream"
            chosen = {
                "both": (towards_other, towards_one),
                "to_other": (towards_other,),
                "to_one": (towards_one,),
            }[lost]
            silence = [Toxic("timeout", stream, {"timeout": 0}) for stream in chosen]
            stack.enter_context(environment.links.apply(str(link), silence))
        yield
