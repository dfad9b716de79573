"""A database that may be on several hosts: which of them is asked, and for how long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import asyncpg

from payresil.refpay.books.urls import one_host_each

#: What an attempt to connect may raise.
NOT_CONNECTED = (
    OSError,  # a time-out is one
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # also: not the kind of server that target_session_attrs asks for
)


class Hosts:
    """Asks the hosts of a URL in turn, the one that worked last first.

    asyncpg, given several hosts, lets a silent one use up the time of all.
    """

    def __init__(self, url: str) -> None:
        self._urls = one_host_each(url)
        self._first = 0

    async def connect(self, timeout: float, open_: Callable[[str, float], Awaitable[Any]]) -> Any:
        """What ``open_(url, seconds)`` gives for the first host that works, in ``timeout`` s.

        Each host has an equal share of the time that is left. Raises what the last one raised.
        """
        deadline = monotonic() + timeout
        count = len(self._urls)
        order = [(self._first + step) % count for step in range(count)]
        for tried, host in enumerate(order):
            share = max(0.0, deadline - monotonic()) / (count - tried)
            try:
                connection = await open_(self._urls[host], share)
            except NOT_CONNECTED:
                if tried == count - 1:
                    raise
            else:
                self._first = host
                return connection
        raise AssertionError("a URL has a host")
