"""The stub's own clock: wall time plus an offset that only ever grows."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Unix seconds. ``advance`` moves it forward, to let keys and authorizations age."""

    def __init__(self, offset_s: int = 0, wall: Callable[[], float] = time.time) -> None:
        self.offset_s = offset_s
        self._wall = wall

    def now_s(self) -> int:
        return int(self._wall()) + self.offset_s

    def advance(self, seconds: int) -> None:
        if seconds < 0:
            raise ValueError("the clock cannot go back")
        self.offset_s += seconds
