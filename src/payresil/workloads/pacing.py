"""Who takes which arrival, and when: the open model.

The schedule never waits for anybody. An arrival that is due goes to a customer who is free; when
nobody is, it stays due, the next one to be free takes it at once, and what it waited shows as
lateness. None is ever left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from payresil.core.plan import Arrival

#: How a free customer is given an arrival, or None when there will be no more.
Hand = Callable[[Arrival | None], None]


class Pacer:
    """Matches arrivals with free customers. Pure: it is told what time it is."""

    def __init__(self, arrivals: Iterator[Arrival]) -> None:
        """`arrivals` come in the order in which they are due, and are drawn one ahead."""
        self._arrivals = arrivals
        self._free: list[Hand] = []
        self._overdue: deque[Arrival] = deque()
        self._spare = 0  # how many were free all the time since `spare` was last asked for
        self._stopped = False
        self._next = next(arrivals, None)

    @property
    def next_due_ns(self) -> int | None:
        """Run time of the next arrival, None when there are no more."""
        return None if self._next is None else round(self._next.due_s * 1e9)

    @property
    def overdue(self) -> int:
        """Arrivals that are due and that nobody has taken."""
        return len(self._overdue)

    def ask(self, hand: Hand) -> None:
        """A customer is free. `hand` is called now or later, exactly once."""
        if self._overdue:
            hand(self._overdue.popleft())
        elif self._next is None:
            hand(None)
        else:
            self._free.append(hand)

    def release(self, now_ns: int) -> int:
        """Give out all that is due; returns how many arrivals found nobody free.

        The customer who became free last is asked first: that one's connection is warm.
        """
        while (due_ns := self.next_due_ns) is not None and due_ns <= now_ns:
            arrival = self._next
            following = next(self._arrivals, None)  # may take a while: `stop` may come meanwhile
            self._next = None if self._stopped else following
            if self._free:
                self._free.pop()(arrival)
            elif arrival is not None:
                self._overdue.append(arrival)
        self._spare = min(self._spare, len(self._free))
        if self._next is None:
            self._send_home(len(self._free))
        return len(self._overdue)

    def stop(self) -> None:
        """No more arrivals. What is overdue is still taken: it was due before the end."""
        self._stopped = True
        self._next = None
        self._send_home(len(self._free))

    def trim(self, keep: int) -> int:
        """Send home those whom nothing needed since the last call, but for `keep` of them."""
        leave = max(0, self._spare - keep)
        self._send_home(leave)
        self._spare = len(self._free)
        return leave

    def _send_home(self, count: int) -> None:
        leaving, self._free = self._free[:count], self._free[count:]
        for hand in leaving:
            hand(None)
