"""One direction of one connection on its way through one toxic."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol

if TYPE_CHECKING:
    from random import Random

    from payresil.toxiproxy.registry import Toxic
    from payresil.toxiproxy.toxicset import Tally

Data = bytes | memoryview

#: What a waiting chunk costs beside its bytes, so that many small ones are bounded too.
CHUNK_COST = 256
#: Timers of the loop have a resolution of a millisecond; closer than half of it is on time.
TIMER_SLACK_S = 0.0005
_LONGEST_SLEEP_S = 3600.0


class End(Enum):
    """How a stream ends."""

    EOF = "eof"  # its sender has finished; the other direction may go on
    CLOSE = "close"  # the whole connection is over


class Receiver(Protocol):
    """Where data goes next: another toxic's stream, or the socket at the end."""

    @property
    def full(self) -> bool:
        """Whether senders should wait; what they write all the same is taken."""

    @property
    def write(self) -> Callable[[Data], None]: ...

    def end(self, how: End) -> None: ...


class Surroundings(Protocol):
    """What a stream needs of the link it is part of."""

    @property
    def clock(self) -> Callable[[], float]: ...

    def settle(self) -> None:
        """Some stream became full, or has room again."""

    def reset(self) -> None: ...

    def toxic_failed(self, toxic: Toxic, failure: BaseException) -> None: ...


class Chunk(NamedTuple):
    """Bytes as they were read, and when they arrived here (seconds of the link's clock)."""

    data: Data
    arrived: float


class Stream:
    """The queue in front of a toxic, and the task that runs the toxic on it."""

    __slots__ = (
        "_buffered",
        "_end",
        "_finished",
        "_link",
        "_queue",
        "_random",
        "_random_source",
        "_tally",
        "_task",
        "_waiter",
        "full",
        "output",
        "passed",
        "toxic",
    )

    def __init__(
        self, toxic: Toxic, tally: Tally, link: Surroundings, random: Callable[[], Random]
    ) -> None:
        self.toxic = toxic
        self.output: Receiver
        self.full = False
        #: Bytes forwarded since the toxic came to this connection; survives its updates.
        self.passed = 0
        self._tally = tally
        self._link = link
        self._random_source = random
        self._random: Random | None = None
        self._queue: deque[Chunk] = deque()
        self._buffered = 0
        self._end: End | None = None
        self._finished = False
        self._waiter: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    # What a toxic uses.

    async def head(self) -> Chunk | None:
        """The oldest chunk, waiting for one if need be; None at the end of the input.

        The chunk stays where it is until ``forward`` or ``drop`` takes it.
        """
        while not self._queue:
            if self._end is not None:
                return None
            await self._changed()
        return self._queue[0]

    async def forward(self, size: int | None = None) -> None:
        """Send the oldest chunk on, or its first ``size`` bytes, once there is room for it."""
        while self.output.full:
            await self._changed()
        data = self._take(size)
        self.passed += len(data)
        self.output.write(data)

    def drop(self) -> None:
        """Lose the oldest chunk."""
        self._tally.dropped_bytes += len(self._take(None))

    def now(self) -> float:
        """Seconds of a monotonic clock, the one of ``Chunk.arrived``."""
        return self._link.clock()

    async def sleep_until(self, when: float) -> None:
        """Wait until ``now()`` is ``when``; where that is past, let others run once."""
        left = when - self.now()
        if left <= TIMER_SLACK_S:
            await asyncio.sleep(0)
        while left > TIMER_SLACK_S:
            await asyncio.sleep(min(left, _LONGEST_SLEEP_S))
            left = when - self.now()

    async def stall(self) -> NoReturn:
        """Wait until the toxic is updated or removed."""
        while True:
            await asyncio.get_running_loop().create_future()

    def reset(self) -> None:
        """End the connection with a TCP reset to both sides."""
        self._tally.closed_connections += 1
        self._link.reset()

    @property
    def random(self) -> Random:
        """Chances of this toxic on this connection, seeded."""
        if self._random is None:
            self._random = self._random_source()
        return self._random

    # What the link uses.

    def write(self, data: Data) -> None:
        """Take data in."""
        if self._finished:
            return
        self._queue.append(Chunk(data, self._link.clock()))
        self._buffered += len(data) + CHUNK_COST
        self._tally.hits += 1
        self._tally.bytes += len(data)
        if self._buffered >= self.toxic.buffer_bytes and not self.full:
            self.full = True
            self._link.settle()
        self.wake()

    def end(self, how: End) -> None:
        """No more data comes. A CLOSE after an EOF still counts."""
        if self._finished:
            self.output.end(how)
            return
        if self._end is None or how is End.CLOSE:
            self._end = how
        self._tally.hits += 1
        self.wake()

    def start(self) -> None:
        """Run the toxic."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._report)

    def replace(self, toxic: Toxic) -> None:
        """Go on with other attributes; nothing that waits is lost."""
        self.toxic = toxic
        if not self._finished:
            self._cancel()
            self.start()

    def stop(self) -> None:
        """Take the toxic away: all that waits goes on at once."""
        if self._finished:
            return
        self._finish()
        while self._queue:
            self.output.write(self._queue.popleft().data)
        if self._end is not None:
            self.output.end(self._end)

    def discard(self) -> None:
        """The connection is gone, and all that waits with it."""
        self._finish()
        self._queue.clear()

    def wake(self) -> None:
        """Look again: there is data, an end, or room."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Within.

    async def _changed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        try:
            await waiter
        finally:
            # An update may have started a successor that waits already.
            if self._waiter is waiter:
                self._waiter = None

    def _take(self, size: int | None) -> Data:
        chunk = self._queue[0]
        if size is None or size >= len(chunk.data):
            self._queue.popleft()
            piece = chunk.data
            self._buffered -= CHUNK_COST
        else:
            # A view, because cutting many small pieces off a large chunk must not copy it.
            view = memoryview(chunk.data)
            piece = view[:size]
            self._queue[0] = Chunk(view[size:], chunk.arrived)
        self._buffered -= len(piece)
        if self.full and self._buffered <= self.toxic.buffer_bytes // 2:
            self.full = False
            self._link.settle()
        return piece

    async def _run(self) -> None:
        await self.toxic.pipe(self)
        if self._finished:
            return
        self._finished = True
        self.full = False
        passed_all = self._end is not None and not self._queue
        if not passed_all:
            self._tally.closed_connections += 1
        self._queue.clear()
        self.output.end(self._end if passed_all and self._end is not None else End.CLOSE)

    def _finish(self) -> None:
        self._finished = True
        self.full = False
        self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _report(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._link.toxic_failed(self.toxic, failure)
