"""A link that swallows everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import LinkSelector
from payresil.faults.directions import streams
from payresil.faults.evidence import failed_or_slow


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return failed_or_slow(run, window)


@fault(evidence=_evidence, needs=("links",))
@contextmanager
def partition(environment: Environment, link: LinkSelector) -> Iterator[None]:
    """What is sent over a link is lost without a word, in both directions.

    Connections can be made and stay open, and nothing comes through. Open connections fall silent
    at once and are closed when the fault heals, since what was lost in them cannot be made up.
    """
    toxics = [Toxic("timeout", stream, {"timeout": 0}) for stream in streams("both")]
    with environment.links.apply(link, toxics):
        yield
