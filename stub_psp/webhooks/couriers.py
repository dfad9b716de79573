"""Deliveries over HTTP: a bounded number at a time for each endpoint, so that one that hangs
holds up no other.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from stub_psp.exchange import Dialect
from stub_psp.log import log
from stub_psp.metrics import Metrics
from stub_psp.store import Store
from stub_psp.store.deliveries import Try
from stub_psp.store.events import Delivery, Endpoint
from stub_psp.webhooks.schedule import Schedule

if TYPE_CHECKING:
    import aiohttp


class Settings(Struct, frozen=True):
    """``ca_file`` vouches for https endpoints, besides the system's own authorities."""

    schedule: Schedule = Schedule()
    timeout_s: float = 10.0
    concurrency: int = 16
    ca_file: Path | None = None


class Couriers:
    """Delivers what was committed, and what a stub before this one left undelivered."""

    def __init__(
        self, store: Store, dialect: Dialect, metrics: Metrics, settings: Settings
    ) -> None:
        self._store = store
        self._dialect = dialect
        self._metrics = metrics
        self._settings = settings
        self._queues: dict[int, asyncio.Queue[Delivery]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Take up what is pending; needs a running loop."""
        self.add(self._store.deliveries.pending())

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Deliver when due. They must be committed."""
        now_us = time.time_ns() // 1000
        loop = asyncio.get_running_loop()
        for delivery in deliveries:
            queue = self._queue(delivery.endpoint)
            if delivery.due_us <= now_us:
                queue.put_nowait(delivery)
            else:
                loop.call_later((delivery.due_us - now_us) / 1_000_000, queue.put_nowait, delivery)

    async def stop(self) -> None:
        """Break off; what was not delivered stays pending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _queue(self, endpoint: int) -> asyncio.Queue[Delivery]:
        queue = self._queues.get(endpoint)
        if queue is None:
            queue = self._queues[endpoint] = asyncio.Queue()
            for _ in range(self._settings.concurrency):
                task = asyncio.create_task(self._work(queue))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return queue

    async def _work(self, queue: asyncio.Queue[Delivery]) -> None:
        while True:
            delivery = await queue.get()
            endpoint = self._store.events.endpoint(delivery.endpoint)
            if endpoint is not None:  # else it was deleted, and its deliveries with it
                await self._deliver(delivery, endpoint)

    async def _deliver(self, delivery: Delivery, endpoint: Endpoint) -> None:
        tried = replace(delivery, attempts=delivery.attempts + 1)
        at_ns = time.monotonic_ns()
        status = await self._post(delivery.event, endpoint)
        came_of_it = Try(at_ns, time.monotonic_ns(), status)
        deliveries = self._store.deliveries
        deliveries.tried(tried, came_of_it)
        if came_of_it.delivered:
            self._metrics.webhooks["delivered"] += 1
            deliveries.finish(tried)
            return
        self._metrics.webhooks["failed"] += 1
        again = self._settings.schedule.after_failure(tried, time.time_ns() // 1000)
        if again is None:
            self._metrics.webhooks["given_up"] += 1
            log("warning", "webhook_given_up", endpoint=endpoint.id, attempts=tried.attempts)
            deliveries.finish(tried)
            return
        deliveries.postpone(again)
        self.add([again])

    async def _post(self, seq: int, endpoint: Endpoint) -> int | None:
        """The endpoint's status; None where it gave no answer in time."""
        import aiohttp

        found = self._store.events.by_seq(seq)
        assert found is not None  # events are never deleted
        event, pending = found
        body = self._dialect.event_body(event, max(pending, 1))
        headers = self._dialect.event_headers(body, endpoint.secret, int(time.time()))
        try:
            session = self._open_session()
            async with session.post(
                endpoint.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                await response.content.read(65_536)  # so that the connection can be used again
                return response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            log(
                "info",
                "webhook_unanswered",
                endpoint=endpoint.id,
                webhook_event=event.id,
                error=type(error).__name__,
            )
            return None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            context = ssl.create_default_context()
            if self._settings.ca_file is not None:
                context.load_verify_locations(self._settings.ca_file)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=context, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
