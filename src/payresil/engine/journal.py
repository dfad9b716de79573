"""The events of a run, each durable before the next thing happens."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from payresil.core.tables import Recorder


class Journal:
    """Writes the events table. Until `set_zero`, what happens is held in memory.

    Times are monotonic minus the run's zero, which is known only once the system is up; an
    `up` that fails sets zero to the time it failed.
    """

    def __init__(self, folder: Path) -> None:
        self._recorder = Recorder(folder, "events", fsync=True)
        self._early: list[tuple[int, int, str, str, str, str]] = []
        self._lock = threading.Lock()
        self.zero_ns: int | None = None
        self.zero_wall_us = 0

    def set_zero(self, zero_mono_ns: int) -> None:
        """Fix the run's zero and write what was held back."""
        with self._lock:
            self.zero_ns = zero_mono_ns
            self.zero_wall_us = time.time_ns() // 1000 - (
                (time.monotonic_ns() - zero_mono_ns) // 1000
            )
            for mono_ns, *rest in self._early:
                self._recorder.append((mono_ns - zero_mono_ns, *rest))
            self._early.clear()
            self._recorder.flush()

    def now_ns(self) -> int:
        """Run time now, in nanoseconds."""
        if self.zero_ns is None:
            raise RuntimeError("the run's zero is not fixed yet")
        return time.monotonic_ns() - self.zero_ns

    def write(self, kind: str, name: str, what: str, /, **detail: Any) -> None:
        """Record one event now; `detail` may have any names."""
        row = (time.time_ns() // 1000, kind, name, what, json.dumps(detail, default=str))
        mono_ns = time.monotonic_ns()
        with self._lock:
            if self.zero_ns is None:
                self._early.append((mono_ns, *row))
                return
            self._recorder.append((mono_ns - self.zero_ns, *row))
            self._recorder.flush()

    def close(self) -> None:
        """End the table; without a zero, now becomes it."""
        if self.zero_ns is None:
            self.set_zero(time.monotonic_ns())
        self._recorder.close()
