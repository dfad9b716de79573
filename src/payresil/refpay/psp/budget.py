"""A budget of retries: they may add a share of the load, never multiply it."""

from __future__ import annotations


class RetryBudget:
    """Every request earns ``share`` of a retry, up to ``most`` saved ones.

    The rule is Finagle's and Envoy's: an outage then costs the PSP at most ``share`` more
    requests, while a single lost answer is still retried.
    """

    def __init__(self, share: float = 0.2, most: float = 50.0) -> None:
        self._share = share
        self._most = most
        self._saved = most

    def earn(self) -> None:
        self._saved = min(self._most, self._saved + self._share)

    def spend(self) -> bool:
        """Take one retry out of the budget; False when there is none."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
