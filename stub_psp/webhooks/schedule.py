"""When to try again: exponential back-off, quick at first, for up to three days as Stripe does."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from stub_psp.store.events import Delivery

DEFAULT_DELAYS_S = (0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1800, 3600)


class Schedule(Struct, frozen=True):
    """Delays in seconds after the first, second, … failure; the last one repeats."""

    delays_s: tuple[float, ...] = DEFAULT_DELAYS_S
    give_up_s: float = 3 * 86_400

    def after_failure(self, delivery: Delivery, now_us: int) -> Delivery | None:
        """The delivery with its next due time; None when it has been tried for long enough.

        ``delivery.attempts`` is the number of tries made, all of which failed.
        """
        delay_s = self.delays_s[min(delivery.attempts, len(self.delays_s)) - 1]
        due_us = now_us + int(delay_s * 1_000_000)
        if due_us - delivery.first_us > self.give_up_s * 1_000_000:
            return None
        return replace(delivery, due_us=due_us)
