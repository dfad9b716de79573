"""Limit throughput."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payresil.toxiproxy.registry import Toxic, toxic

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


#: The longest that data is held to be sent in one piece.
_SLICE_MS = 100


@toxic
@dataclass(frozen=True)
class Bandwidth(Toxic):
    """At most ``rate`` kilobytes (of 1000 bytes) a second; 0 holds everything, losing nothing."""

    rate: int = 0

    async def pipe(self, stream: Stream) -> None:
        due = stream.now()
        while (chunk := await stream.head()) is not None:
            if self.rate == 0:
                await stream.stall()
            # A kilobyte a second is a byte a millisecond.
            piece = min(len(chunk.data), self.rate * _SLICE_MS)
            # From when it was due, not from now: lateness of timers must not lower the rate.
            due = max(due, chunk.arrived) + piece / (self.rate * 1000)
            await stream.sleep_until(due)
            await stream.forward(piece)
