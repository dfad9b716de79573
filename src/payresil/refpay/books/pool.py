"""A pool of database connections, last in first out.

asyncpg's own pool costs three times what a statement does (a task and a timer for every loan,
50 µs), and gives a connection back only after it was reset, for which a dead one is waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any


class Pool:
    """At most ``size`` connections made by ``connect``, each lent to one borrower at a time."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._open = 0
        self._idle: list[Any] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._generation = 0
        self._born: dict[Any, int] = {}

    async def acquire(self, timeout: float) -> Any:
        """A connection that was not closed when last looked at.

        Raises TimeoutError when none comes free in ``timeout`` seconds, or what ``connect``
        raises.
        """
        while True:
            while self._idle:
                connection = self._idle.pop()
                if self._is_good(connection):
                    return connection
                self._forget(connection)
            if self._open < self._size:
                made = await self._new()
                if self._is_good(made):
                    return made
                self._forget(made)  # expired while it was being made
                continue
            connection = await self._wait(timeout)
            if connection is not None:
                return connection

    def release(self, connection: Any) -> None:
        """Give a connection back; one that is closed or was expired is let go."""
        if connection not in self._born:
            return  # disowned, or dropped with all others
        if not self._is_good(connection):
            self._forget(connection)
            self._hand_over(None)
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def disown(self, connection: Any) -> None:
        """Forget a lent connection, which the borrower ends: there is room for another."""
        if self._born.pop(connection, None) is not None:
            self._open -= 1
            self._hand_over(None)

    def expire(self) -> None:
        """Trust no connection made before now: whatever broke one may have broken all."""
        self._generation += 1

    def terminate(self) -> None:
        """Drop every connection, lent or not, without a word to the server."""
        for connection in list(self._born):
            self._forget(connection)
        self._idle.clear()

    async def _new(self) -> Any:
        self._open += 1
        generation = self._generation
        try:
            connection = await self._connect()
        except BaseException:
            self._open -= 1
            self._hand_over(None)
            raise
        self._born[connection] = generation
        return connection

    async def _wait(self, timeout: float) -> Any:
        """What is handed over: a connection, or None for "there is room, try again"."""
        turn: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(timeout):
                return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.result() is not None:
                self.release(turn.result())
            raise

    def _hand_over(self, connection: Any) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _is_good(self, connection: Any) -> bool:
        return self._born.get(connection) == self._generation and not connection.is_closed()

    def _forget(self, connection: Any) -> None:
        if self._born.pop(connection, None) is not None:
            self._open -= 1
        if not connection.is_closed():
            connection.terminate()
