"""The work that goes on beside the requests: resolving, relaying, getting ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from payresil.refpay.books import operations, outbox, payments
from payresil.refpay.books.database import DatabaseDownError, DatabaseUnknownError, Row
from payresil.refpay.books.migrate import migrate
from payresil.refpay.books.settling import count_in_flight
from payresil.refpay.eventlog import place
from payresil.refpay.lease.keeping import Keeper
from payresil.refpay.lease.witness import Witness
from payresil.refpay.work import pay
from payresil.refpay.work.resolve import Resolver
from payresil.refpay.work.service import Service

#: How soon getting ready is tried again: after a database was promoted, payments wait for it.
_AGAIN_S = 0.1


async def prepare(service: Service, *, quiet: bool = False) -> bool:
    """Bring the schema up to date and take over what this instance was at; True if it worked.

    A database that is away, or a standby, is said in the log, unless ``quiet``. An instance
    that may not act leaves the database alone.
    """
    if not service.standing.acts:
        return False
    epoch = service.standing.epoch
    try:
        applied = await migrate(service.database, service.policies.schema)
        left = await _take_over(service)
    except (DatabaseDownError, DatabaseUnknownError) as error:
        if not quiet:
            service.log.warning("database.unavailable", error=str(error))
        return False
    if service.standing.epoch != epoch:
        return False  # another one began meanwhile, with what others left
    service.ready.set()
    service.log.info("database.ready", schema_applied=applied, unknown_taken_over=left)
    return True


async def _take_over(service: Service) -> int:
    database, settings = service.database, service.settings
    left = await payments.take_over(database, settings.instance)
    left += await operations.take_over(database, settings.instance)
    if service.lease is not None:
        left += await payments.take_over_from_others(database, settings.region)
        left += await operations.take_over_from_others(database, settings.region)
    return left


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
        if not service.standing.acts:  # others know better what is unknown now
            service.metrics.unknown.clear()
            return 0
        counts = await count_in_flight(service.database)
        service.metrics.unknown.labels("payments").set(counts.payments)
        service.metrics.unknown.labels("refunds").set(counts.refunds)
        return 0

    return [
        *_keep_lease(service),
        asyncio.create_task(_get_ready(service)),
        asyncio.create_task(_loop(service, "resolve", settings.resolve_every_ms, resolver.sweep)),
        asyncio.create_task(_loop(service, "keep", pay.HELD_LEASE_MS // 3, resolver.keep)),
        asyncio.create_task(_loop(service, "relay", settings.relay_every_ms, relay)),
        asyncio.create_task(_loop(service, "gauge", 1000, gauge, fenced=False)),
    ]


def _keep_lease(service: Service) -> list[asyncio.Task[None]]:
    settings = service.settings
    if service.lease is None or settings.witness_url is None:
        return []

    def begins(epoch: int) -> None:
        service.database.expire()  # rows take their epoch from the session
        service.ready.clear()

    witness = Witness(
        settings.witness_url, name=settings.instance, timeout_ms=settings.region_lease_ms // 4
    )
    keeper = Keeper(service.lease, witness, every_ms=settings.renew_every_ms, begins=begins,
                    log=service.log)  # fmt: skip
    return [asyncio.create_task(keeper.run())]


async def _get_ready(service: Service) -> None:
    """At the start, and after every epoch of this region that begins."""
    while service.lease is not None or not service.ready.is_set():
        if not service.ready.is_set():
            try:
                await prepare(service, quiet=True)
            except Exception as error:  # without a try more, this instance would never serve
                service.log.error("background.failed", work="prepare", error=type(error).__name__,
                                  at=place(error))  # fmt: skip
        await asyncio.sleep(_AGAIN_S)


async def _loop(
    service: Service,
    name: str,
    every_ms: int,
    work: Callable[[], Awaitable[int]],
    *,
    fenced: bool = True,
) -> None:
    """Work, at once again while there is something to do; an outage is said once.

    What is ``fenced`` rests while this instance may not act.
    """
    failing = False
    while True:
        await service.ready.wait()
        done = 0
        try:
            if service.standing.acts or not fenced:
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
