"""A link that cannot be connected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import LinkSelector
from payresil.faults.evidence import failed_or_slow


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return failed_or_slow(run, window)


@fault(evidence=_evidence, needs=("links",))
@contextmanager
def refused(environment: Environment, link: LinkSelector) -> Iterator[None]:
    """Connections over a link are refused, as where nothing listens.

    Open connections are closed at once. Whoever is refused knows that nothing was sent.
    """
    with environment.links.apply(link, [], down=True):
        yield
