"""Requests to the PSP to which no answer comes: one rule, whether they are done or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from payresil.core.protocols import Environment
from payresil.core.values import Duration, Share

#: How a connection is left without an answer.
How = Literal["reset", "close", "hang"]


@contextmanager
def silent(
    environment: Environment,
    fault_id: str,
    point: Literal["before_commit", "after_commit_lost"],
    share: Share,
    endpoint: str,
    how: How,
    hang: Duration,
) -> Iterator[None]:
    """A rule of the PSP by which `share` of the requests to `endpoint` are not answered."""
    action: dict[str, Any] = {"how": how}
    if how == "hang":
        action["hang_ms"] = hang.ms
    rule = {
        "id": fault_id,
        "point": point,
        "match": {"endpoint": endpoint},
        "share": float(share),
        "action": action,
    }
    with environment.psp.rule(rule):
        yield
