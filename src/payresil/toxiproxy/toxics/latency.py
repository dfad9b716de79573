"""Delay data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from payresil.toxiproxy.registry import Toxic, toxic

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


@toxic
@dataclass(frozen=True)
class Latency(Toxic):
    """Each chunk leaves ``latency`` ± ``jitter`` milliseconds after it arrived, in order.

    Chunks wait side by side, so delays do not add up and throughput is limited only by the
    buffer. A delay that the jitter makes negative is none. The end of a stream is not delayed.
    """

    buffer_bytes: ClassVar[int] = 8 * 1024 * 1024

    latency: int = 0
    jitter: int = 0

    async def pipe(self, stream: Stream) -> None:
        while (chunk := await stream.head()) is not None:
            await stream.sleep_until(chunk.arrived + self._delay_s(stream))
            await stream.forward()

    def _delay_s(self, stream: Stream) -> float:
        if self.jitter == 0:
            return self.latency / 1000
        return (self.latency + stream.random.uniform(-self.jitter, self.jitter)) / 1000
