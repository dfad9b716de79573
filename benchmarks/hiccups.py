"""How late a process that only sleeps wakes up: what the machine adds by itself."""

from __future__ import annotations

import subprocess
import sys

#: Sleeps 5 ms again and again until its stdin ends; prints how late it woke at worst, in ms.
_METER = """
import select, sys, time
worst = 0.0
while not select.select([sys.stdin], [], [], 0)[0]:
    before = time.monotonic()
    time.sleep(0.005)
    worst = max(worst, time.monotonic() - before - 0.005)
print(worst * 1e3)
"""


class HiccupMeter:
    """Runs beside a measurement; `stop` gives the worst delay in milliseconds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _METER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> float:
        """End it."""
        out, _ = self._process.communicate("")
        return float(out)
