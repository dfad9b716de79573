"""A link whose connections are reset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import LinkSelector
from payresil.core.values import Duration
from payresil.faults.evidence import failed_or_slow


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return failed_or_slow(run, window)


@fault(evidence=_evidence, needs=("links",))
@contextmanager
def reset(
    environment: Environment,
    link: LinkSelector,
    after: Duration = Duration(0),  # noqa: B008 - a value, never changed
) -> Iterator[None]:
    """Connections over a link are reset when a request is sent over them, and it is lost.

    Nothing is done of what was asked, and the caller, who hears of it `after` that, cannot tell.
    Connections that are open already are reset too, the next time they are used (the official
    Toxiproxy closes those in order instead); unused ones live on.
    """
    with environment.links.apply(link, [Toxic("reset_peer", "upstream", {"timeout": after.ms})]):
        yield
