"""When operators have seen enough to act."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from payresil.core.protocols import RemedyLog
from payresil.core.values import Duration


def detect(steps: RemedyLog, is_well: Callable[[], bool], after: Duration) -> None:
    """The step ``detect``: wait until something has been unwell for `after` without a break.

    Raises:
        RemedyStopped: when the run ends before that.
    """
    with steps.step("detect") as found:
        watch = _Watch(is_well, float(after))
        steps.until(watch.is_sure)
        found.update(watch.seen())


class _Watch:
    def __init__(self, is_well: Callable[[], bool], after_s: float) -> None:
        self._is_well = is_well
        self._after_s = after_s
        self._unwell_since_s: float | None = None
        self._asked = 0

    def is_sure(self) -> bool:
        asked_s = time.monotonic()
        self._asked += 1
        if self._is_well():
            self._unwell_since_s = None
            return False
        if self._unwell_since_s is None:
            self._unwell_since_s = asked_s
        return time.monotonic() - self._unwell_since_s >= self._after_s

    def seen(self) -> dict[str, Any]:
        now_s = time.monotonic()
        since_s = now_s if self._unwell_since_s is None else self._unwell_since_s
        return {"asked": self._asked, "unwell_for_s": round(now_s - since_s, 3)}
