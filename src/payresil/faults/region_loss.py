"""A region that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

from payresil.core.protocols import Environment, EnvironmentBroke, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import RegionName
from payresil.faults.directions import streams
from payresil.faults.evidence import failed_or_slow
from payresil.faults.region_borders import border_of, nodes_of


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return failed_or_slow(run, window)


@fault(evidence=_evidence, needs=("regions", "links", "nodes"))
@contextmanager
def region_loss(
    environment: Environment, region: RegionName, how: Literal["dies", "cut_off"] = "dies"
) -> Iterator[None]:
    """A whole region is gone: all of it ends at once, or nothing passes its border any more.

    One that `dies` loses every process, and refuses connections; what was on disk is there again
    when the fault heals, as it was. One that is `cut_off` goes on inside, without a word to or from
    anywhere else, the PSP and the witness included.
    """
    if not nodes_of(environment.topology, region):
        raise EnvironmentBroke(f"there is no region {region}")
    with ExitStack() as stack:
        if how == "cut_off":
            silence = [Toxic("timeout", stream, {"timeout": 0}) for stream in streams("both")]
            for link in border_of(environment.topology, region):
                stack.enter_context(environment.links.apply(str(link), silence))
        else:
            # Those who call end before those they call: nobody is told of it by one still there.
            for node in nodes_of(environment.topology, region):
                environment.nodes.kill(node)
                stack.callback(environment.nodes.start, node)
        yield
