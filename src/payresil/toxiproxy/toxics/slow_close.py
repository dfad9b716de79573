"""Delay the end of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payresil.toxiproxy.registry import Toxic, toxic

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


@toxic
@dataclass(frozen=True)
class SlowClose(Toxic):
    """The end of the stream passes ``delay`` milliseconds late, or at once on removal."""

    delay: int = 0

    async def pipe(self, stream: Stream) -> None:
        while await stream.head() is not None:
            await stream.forward()
        await stream.sleep_until(stream.now() + self.delay / 1000)
