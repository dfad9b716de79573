"""A heartbeat for faults: when it stops, they heal by themselves."""

from __future__ import annotations

MAX_TTL_MS = 3_600_000


class Lease:
    """Times are CLOCK_MONOTONIC nanoseconds, which go on across a restart of the process."""

    def __init__(self, deadline_ns: int | None = None) -> None:
        self.deadline_ns = deadline_ns

    def renew(self, now_ns: int, ttl_ms: int) -> None:
        self.deadline_ns = now_ns + ttl_ms * 1_000_000

    def disarm(self) -> None:
        self.deadline_ns = None

    def expired(self, now_ns: int) -> bool:
        return self.deadline_ns is not None and now_ns >= self.deadline_ns
