"""A link that carries requests, and loses their answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from payresil.core.protocols import Environment, Toxic, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.schema import LinkSelector
from payresil.core.values import Size
from payresil.faults.evidence import failed_or_slow


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return failed_or_slow(run, window, deliveries_become_slow=False)


def _bounds(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if given["let_by"] and given["how"] == "reset":
        yield "let_by", "how: close beside it, since a reset ends the first answer"


@fault(evidence=_evidence, needs=("links",), bounds=_bounds)
@contextmanager
def lost_answers(
    environment: Environment,
    link: LinkSelector,
    how: Literal["reset", "close"] = "reset",
    let_by: Size = Size(0),  # noqa: B008 - a value, never changed
) -> Iterator[None]:
    """Requests over a link arrive and are served, and the connection ends in place of the answer.

    It is reset, or closed in order: the caller knows at once that there will be no answer, and not
    whether there was one. Connections that are open already lose the next answer as well (the
    official Toxiproxy closes those in order, also where new ones are reset).

    The answers of a handshake (TLS, PostgreSQL) are answers too: over such a link only requests on
    open connections are served, and no new connection comes about. To have requests on new ones
    served as well, `close` each connection only once it has received `let_by`: 2KB are about a
    handshake and an answer or two.
    """
    toxic = (
        Toxic("reset_peer", "downstream", {"timeout": 0})
        if how == "reset"
        else Toxic("limit_data", "downstream", {"bytes": round(let_by)})
    )
    with environment.links.apply(link, [toxic]):
        yield
