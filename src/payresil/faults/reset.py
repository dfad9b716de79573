"""A link whose connections are reset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

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
    direction: Literal["upstream", "downstream"] = "downstream",
    after: Duration = Duration(0),  # noqa: B008 - a value, never changed
) -> Iterator[None]:
    """Connections over a link are reset as soon as something is sent over them.

    `upstream` resets at the request, which is lost; `downstream` at the answer: the request was
    served, and its answer is lost. The reset comes `after` that. A connection that was open before
    is closed in order instead, the first time it is used.
    """
    toxic = Toxic("reset_peer", direction, {"timeout": after.ms})
    with environment.links.apply(link, [toxic]):
        yield
