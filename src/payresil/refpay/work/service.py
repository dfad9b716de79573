"""The parts that the work is done with, made once per instance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from payresil.refpay.books.database import Database
from payresil.refpay.eventlog import EventLog
from payresil.refpay.lease.held import Lease
from payresil.refpay.lease.standing import Standing
from payresil.refpay.metrics import Metrics
from payresil.refpay.policies import Policies
from payresil.refpay.psp.circuit import STATES
from payresil.refpay.psp.gateway import Gateway
from payresil.refpay.settings import Settings
from payresil.refpay.work.cards import HeldCards


@dataclass(slots=True)
class Service:
    """One instance. ``ready`` is set once the database has the schema, in each epoch anew.

    ``lease`` is its region's; None: the service has one region.
    """

    settings: Settings
    policies: Policies
    lease: Lease | None
    standing: Standing
    database: Database
    gateway: Gateway
    metrics: Metrics
    log: EventLog
    cards: HeldCards
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def psp_key(self, operation: str, attempt: int) -> str:
        """The key of attempt 1, 2, … at an operation."""
        return self.policies.psp_key(operation, attempt, self.settings.region)


def build_service(
    settings: Settings, policies: Policies, metrics: Metrics, log: EventLog
) -> Service:
    """The parts, not yet connected to anything. Needs a running event loop."""

    def circuit_changed(state: str) -> None:
        metrics.breaker.set(STATES[state])
        log.warning("psp.circuit", state=state)

    lease = None
    if settings.witness_url is not None:
        lease = Lease(settings.region, settings.region_lease_ms)
        metrics.watch_lease(lease)
    standing = Standing(lease, policies.acts)
    database = Database(
        settings.database_url,
        name=settings.instance,
        connections=settings.db_connections,
        timeout_ms=settings.db_timeout_ms,
        settings=policies.session,
        session=standing.session,
    )
    gateway = Gateway(settings, metrics, circuit_changed, policies.ask_psp, standing)
    cards = HeldCards(settings.hold_card_ms)
    return Service(settings, policies, lease, standing, database, gateway, metrics, log, cards)
