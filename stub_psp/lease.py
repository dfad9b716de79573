"""Heartbeats for faults: when one stops, the faults of its owner heal by themselves."""

from __future__ import annotations

from collections.abc import Mapping

MAX_TTL_MS = 3_600_000
MAX_OWNER = 64  # characters

#: Who made a rule and keeps its lease; None is everybody who names no owner.
Owner = str | None


class Leases:
    """A deadline for each owner that has a lease.

    Times are CLOCK_MONOTONIC nanoseconds, which go on across a restart of the process.
    """

    def __init__(self, deadlines_ns: Mapping[Owner, int] | None = None) -> None:
        self._deadlines_ns = dict(deadlines_ns or {})

    @property
    def next_deadline_ns(self) -> int | None:
        """When the first of them runs out; None when there is none."""
        return min(self._deadlines_ns.values(), default=None)

    def renew(self, owner: Owner, now_ns: int, ttl_ms: int) -> int:
        """Give the new deadline."""
        self._deadlines_ns[owner] = now_ns + ttl_ms * 1_000_000
        return self._deadlines_ns[owner]

    def disarm(self, owner: Owner) -> None:
        self._deadlines_ns.pop(owner, None)

    def expired(self, now_ns: int) -> list[Owner]:
        """Whose lease has run out."""
        return [owner for owner, deadline in self._deadlines_ns.items() if now_ns >= deadline]
