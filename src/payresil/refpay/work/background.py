"""The work that goes on beside the requests: resolving, relaying, getting ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from payresil.refpay.books import operations, outbox, payments
from payresil.refpay.books.database import DatabaseDownError, DatabaseUnknownError, Row
from payresil.refpay.books.migrate import migrate
from payresil.refpay.books.settling import count_in_flight
from payresil.refpay.eventlog import place
from payresil.refpay.work import pay
from payresil.refpay.work.resolve import Resolver
from payresil.refpay.work.service import Service

_AGAIN_S = 0.25


async def prepare(service: Service, *, quiet: bool = False) -> bool:
    """Bring the schema up to date and take over what this instance was at; True if it worked.

    A database that is away, or a standby, is said in the log, unless ``quiet``.
    """
    try:
        applied = await migrate(service.database)
        left = await payments.take_over(service.database, service.settings.instance)
        left += await operations.take_over(service.database, service.settings.instance)
    except (DatabaseDownError, DatabaseUnknownError) as error:
        if not quiet:
            service.log.warning("database.unavailable", error=str(error))
        return False
    service.ready.set()
    service.log.info("database.ready", schema_applied=applied, unknown_taken_over=left)
    return True


def start(service: Service) -> list[asyncio.Task[None]]:
    """Start the loops; cancel the tasks to end them."""
    settings = service.settings
    resolver = Resolver(service)

    def publish(row: Row) -> None:
        service.log.info("message", message=row["id"], kind=row["kind"], payment=row["payment"],
                         operation=row["operation"], reference=row["reference"])  # fmt: skip

    async def relay() -> int:
        return await outbox.relay(service.database, publish)

    async def gauge() -> int:
        counts = await count_in_flight(service.database)
        service.metrics.unknown.labels("payments").set(counts.payments)
        service.metrics.unknown.labels("refunds").set(counts.refunds)
        return 0

    return [
        asyncio.create_task(_get_ready(service)),
        asyncio.create_task(_loop(service, "resolve", settings.resolve_every_ms, resolver.sweep)),
        asyncio.create_task(_loop(service, "keep", pay.HELD_LEASE_MS // 3, resolver.keep)),
        asyncio.create_task(_loop(service, "relay", settings.relay_every_ms, relay)),
        asyncio.create_task(_loop(service, "gauge", 1000, gauge)),
    ]


async def _get_ready(service: Service) -> None:
    while not service.ready.is_set() and not await prepare(service, quiet=True):
        await asyncio.sleep(_AGAIN_S)


async def _loop(
    service: Service, name: str, every_ms: int, work: Callable[[], Awaitable[int]]
) -> None:
    """Work, at once again while there is something to do; an outage is said once."""
    await service.ready.wait()
    failing = False
    while True:
        done = 0
        try:
            done = await work()
            failing = False
        except (DatabaseDownError, DatabaseUnknownError) as error:
            if not failing:
                service.log.warning("background.paused", work=name, error=str(error))
            failing = True
        except Exception as error:  # a loop that ends would leave unknowns for ever
            service.log.error("background.failed", work=name, error=type(error).__name__,
                              at=place(error))  # fmt: skip
        if done == 0:
            await asyncio.sleep(every_ms / 1000)
