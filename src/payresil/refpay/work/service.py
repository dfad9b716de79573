"""The parts that the work is done with, made once per instance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from payresil.refpay.books.database import Database
from payresil.refpay.eventlog import EventLog
from payresil.refpay.metrics import Metrics
from payresil.refpay.policies import Policies
from payresil.refpay.psp.circuit import STATES
from payresil.refpay.psp.gateway import Gateway
from payresil.refpay.settings import Settings
from payresil.refpay.work.cards import HeldCards


@dataclass(slots=True)
class Service:
    """One instance. ``ready`` is set once the database has the schema."""

    settings: Settings
    policies: Policies
    database: Database
    gateway: Gateway
    metrics: Metrics
    log: EventLog
    cards: HeldCards
    ready: asyncio.Event = field(default_factory=asyncio.Event)


def build_service(
    settings: Settings, policies: Policies, metrics: Metrics, log: EventLog
) -> Service:
    """The parts, not yet connected to anything. Needs a running event loop."""

    def circuit_changed(state: str) -> None:
        metrics.breaker.set(STATES[state])
        log.warning("psp.circuit", state=state)

    database = Database(
        settings.database_url,
        name=settings.instance,
        connections=settings.db_connections,
        timeout_ms=settings.db_timeout_ms,
        settings=policies.session,
    )
    gateway = Gateway(settings, metrics, circuit_changed, policies.ask_psp)
    cards = HeldCards(settings.hold_card_ms)
    return Service(settings, policies, database, gateway, metrics, log, cards)
