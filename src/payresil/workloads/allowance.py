"""How many requests a process may send to a system that others use, too."""

from __future__ import annotations

from collections.abc import Callable


class AllowanceSpent(Exception):
    """No more requests may be sent."""


class Allowance:
    """Counts requests down; without a number there is no end to them."""

    def __init__(self, requests: int | None, on_low: Callable[[], None] = lambda: None) -> None:
        """`on_low` is called once, when a fifth is left: whoever has begun may finish."""
        self._left = requests
        self._low = 0 if requests is None else requests // 5
        self._on_low = on_low
        self._told = False

    def take(self) -> bool:
        """Whether one more request may be sent."""
        if self._left is None:
            return True
        if self._left <= 0:
            return False
        self._left -= 1
        if self._left <= self._low and not self._told:
            self._told = True
            self._on_low()
        return True

    def spend(self) -> None:
        """The same, for those who cannot go on without.

        Raises:
            AllowanceSpent: when no more requests may be sent.
        """
        if not self.take():
            raise AllowanceSpent
