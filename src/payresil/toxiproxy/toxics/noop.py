"""Change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payresil.toxiproxy.registry import Toxic, toxic

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


@toxic
@dataclass(frozen=True)
class Noop(Toxic):
    """Passes everything on."""

    async def pipe(self, stream: Stream) -> None:
        while await stream.head() is not None:
            await stream.forward()
