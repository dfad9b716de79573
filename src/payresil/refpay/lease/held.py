"""What one instance knows of its region's lease, on its own monotonic clock."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

#: So much earlier than the witness this instance takes its lease to have run out.
MARGIN_MS = 200


class Lease:
    """Held until ``ttl_ms`` less a margin after the last successful renewal was *sent*.

    The witness counts from when the renewal reached it, which is later.
    """

    def __init__(self, region: str, ttl_ms: int, clock: Callable[[], float] = monotonic) -> None:
        self.region = region
        self.ttl_ms = ttl_ms
        #: The last epoch of our region that this instance renewed; None before the first.
        self.epoch: int | None = None
        self._clock = clock
        self._until = clock()

    @property
    def left_s(self) -> float:
        """Seconds until it runs out, unless it is renewed; 0 where it is not held."""
        return max(0.0, self._until - self._clock())

    @property
    def held(self) -> bool:
        return self._clock() < self._until

    def renewed(self, epoch: int, sent: float) -> None:
        """The witness renewed it, asked at ``sent`` of the clock."""
        self.epoch = epoch
        self._until = sent + (self.ttl_ms - MARGIN_MS) / 1000

    def lost(self) -> None:
        """The witness says that it is not ours."""
        self._until = self._clock()
