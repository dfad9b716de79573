"""Cut data into pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payresil.toxiproxy.registry import Toxic, toxic

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


@toxic
@dataclass(frozen=True)
class Slicer(Toxic):
    """Sends pieces of ``average_size`` ± ``size_variation`` bytes, ``delay`` µs after each.

    Delays are kept on average: the loop's timers have a resolution of a millisecond.
    """

    average_size: int = 0
    size_variation: int = 0
    delay: int = 0

    def check(self) -> None:
        super().check()
        if self.average_size < 1:
            raise ValueError("average_size must be at least 1")
        if self.size_variation > self.average_size:
            raise ValueError(
                f"size_variation must not be above average_size, {self.average_size}, "
                f"got {self.size_variation}"
            )

    async def pipe(self, stream: Stream) -> None:
        due = stream.now()
        while (chunk := await stream.head()) is not None:
            await stream.forward(self._size(stream))
            due = max(due, chunk.arrived) + self.delay / 1_000_000
            await stream.sleep_until(due)

    def _size(self, stream: Stream) -> int:
        if self.size_variation == 0:
            return self.average_size
        spread = stream.random.randint(-self.size_variation, self.size_variation)
        return max(1, self.average_size + spread)
