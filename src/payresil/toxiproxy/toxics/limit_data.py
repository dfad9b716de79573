"""Close after so many bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payresil.toxiproxy.registry import Toxic, toxic

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


@toxic
@dataclass(frozen=True)
class LimitData(Toxic):
    """Passes ``bytes`` bytes, counted from when it met the connection, then closes."""

    bytes: int = 0

    async def pipe(self, stream: Stream) -> None:
        while await stream.head() is not None:
            left = self.bytes - stream.passed
            if left > 0:
                await stream.forward(left)
            if stream.passed >= self.bytes:
                return
