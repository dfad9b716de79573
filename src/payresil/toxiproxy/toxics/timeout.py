"""Lose data, then close."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from payresil.toxiproxy.registry import Toxic, toxic

if TYPE_CHECKING:
    from payresil.toxiproxy.stream import Stream


@toxic
@dataclass(frozen=True)
class Timeout(Toxic):
    """Loses all data and closes after ``timeout`` milliseconds of silence; 0 never closes.

    The end of a stream passes. Taking the toxic away closes every connection of the proxy, as
    the data it lost can't be given back.
    """

    cuts_on_removal: ClassVar[bool] = True

    timeout: int = 0

    async def pipe(self, stream: Stream) -> None:
        silence_s = self.timeout / 1000 if self.timeout else None
        while True:
            try:
                async with asyncio.timeout(silence_s):
                    if await stream.head() is None:
                        return
            except TimeoutError:
                return
            stream.drop()
