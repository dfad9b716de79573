"""A lease on the faults: whoever injects them must keep saying that it is alive.

``POST /lease {"ttl_ms": 3000}`` arms the lease or renews it. When it runs out, every proxy is
reset, so a client that died leaves no fault behind. It is an extension of this server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

MIN_TTL_MS = 1
MAX_TTL_MS = 86_400_000


class Timer(Protocol):
    """A scheduled call that can be called off."""

    def cancel(self) -> None: ...


class Lease:
    """Runs ``on_expiry`` when ``ttl_ms`` pass without a renewal.

    ``clock`` returns seconds; ``call_later(seconds, callback)`` schedules on the same clock.
    Both come from outside, so the lease runs on any clock.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Timer],
        on_expiry: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._on_expiry = on_expiry
        self._deadline: float | None = None
        self._timer: Timer | None = None
        self._ttl_ms = 0
        self._renewals = 0
        self._expirations = 0

    def arm(self, ttl_ms: int) -> None:
        """Run out ``ttl_ms`` from now; a lease that is armed already is renewed."""
        if not MIN_TTL_MS <= ttl_ms <= MAX_TTL_MS:
            raise ValueError(f"ttl_ms must be between {MIN_TTL_MS} and {MAX_TTL_MS}, got {ttl_ms}")
        self._renewals = 0 if self._deadline is None else self._renewals + 1
        self._ttl_ms = ttl_ms
        self._deadline = self._clock() + ttl_ms / 1000
        self._schedule(ttl_ms / 1000)

    def disarm(self) -> None:
        """Forget the lease; faults then stay until somebody removes them."""
        self._deadline = None
        self._schedule(None)

    def state(self) -> dict[str, object]:
        """What ``GET /lease`` shows; ``expirations`` counts since the start of the process."""
        left_s = 0.0 if self._deadline is None else self._deadline - self._clock()
        return {
            "armed": self._deadline is not None,
            "ttl_ms": self._ttl_ms,
            "remaining_ms": max(0, round(left_s * 1000)),
            "renewals": self._renewals,
            "expirations": self._expirations,
        }

    def _schedule(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._call_later(seconds, self._check)

    def _check(self) -> None:
        if self._deadline is None:
            return
        # A timer may fire a little early where the loop's clock is coarser than ours.
        left_s = self._deadline - self._clock()
        if left_s > 0:
            self._schedule(left_s)
            return
        self._deadline = None
        self._timer = None
        self._expirations += 1
        self._on_expiry()
