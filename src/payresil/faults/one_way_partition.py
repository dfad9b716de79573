"""A link that swallows what is sent one way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from payresil.core.protocols import Environment, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import LinkSelector
from payresil.faults.evidence import failed_or_slow


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return failed_or_slow(run, window)


@fault(evidence=_evidence, needs=("links",))
@contextmanager
def one_way_partition(
    environment: Environment, link: LinkSelector, direction: Literal["upstream", "downstream"]
) -> Iterator[None]:
    """What is sent over a link in one direction is lost without a word; the other one works.

    `upstream` loses requests, of which nothing is done; `downstream` loses answers to what was
    done. Either way the caller hears nothing until it gives up waiting. Open connections fall
    silent at once and are closed when the fault heals, since what was lost in them cannot be made
    up.
    """
    with environment.links.apply(link, [Toxic("timeout", direction, {"timeout": 0})]):
        yield
