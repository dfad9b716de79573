"""Reset connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payresil.toxiproxy.registry import Toxic, toxic

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


@toxic
@dataclass(frozen=True)
class ResetPeer(Toxic):
    """Resets both sides ``timeout`` milliseconds after the first data (or end) meets it."""

    timeout: int = 0

    async def pipe(self, stream: Stream) -> None:
        await stream.head()
        await stream.sleep_until(stream.now() + self.timeout / 1000)
        stream.reset()
