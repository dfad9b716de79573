"""One attempt as a row of the table `attempts`, and the intent it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Attempt(NamedTuple):
    """A row of `attempts`, its fields in the order of the table's columns.

    Times are run time in nanoseconds: the monotonic clock minus the run's zero.
    """

    intent: str
    n: int
    operation: str
    attempt: int
    source: str
    journey: str | None
    kind: str
    key: str | None
    amount_minor: int | None
    currency: str | None
    due_ns: int
    sent_ns: int
    done_ns: int
    outcome: str
    status: int | None
    error: str | None
    answer: str | None
    payment: str | None
    replayed: bool | None
    region: str | None
    instance: str | None


@dataclass(frozen=True, slots=True)
class Intent:
    """One customer's wish to pay: what is asked for, however often it is tried."""

    id: str  # <run>-<n>, sent to the service as merchant reference
    n: int
    source: str  # load | probe
    journey: str
    amount_minor: int
    currency: str
    due_ns: int  # run time at which the schedule wanted it

    def key(self, operation: str) -> str:
        """The idempotency key of one operation; the same for every attempt of it."""
        return f"{self.id}-{operation}"
