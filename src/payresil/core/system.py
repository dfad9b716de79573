"""A system as a value: how to start it, pay it, and read its books.

The reference service is described by such a file (``systems/refpay.yaml``) and by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ServiceStart:
    """How to start one instance of the service.

    `command` and `environment` are templates: ``{database_url}``, ``{psp_url}``, ``{port}``, … are
    filled in by the backend with the addresses of the links.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: str  # path that answers 200 when it can take payments
    metrics: str | None = None  # path of its Prometheus metrics
    instances: int = 2  # in each region
    flaw_variable: str | None = None  # environment variable that names a flaw
    list_flaws: tuple[str, ...] = ()  # command that prints a JSON object: flaw → what it does


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the service's API: ``POST /payments`` and what goes in it.

    In `body`, a value that is one placeholder (``"{amount_minor}"``) keeps that value's type.
    """

    request: str  # method and path template
    body: Any = None
    payment: str | None = None  # dotted path of the payment's id in the answer
    state: str | None = None  # dotted path of the state in the answer


@dataclass(frozen=True, slots=True)
class Api:
    """How to pay over HTTP, and what answers mean."""

    operations: Mapping[str, Operation]  # create, read, refund, capture, cancel, find
    headers: Mapping[str, str] = field(default_factory=dict)
    key_header: str = "Idempotency-Key"
    replay_header: str | None = None  # present on an answer from the key store
    region_header: str | None = None
    instance_header: str | None = None
    final: Mapping[str, str] = field(default_factory=dict)  # the service's state → payresil's
    pending: tuple[str, ...] = ()  # states that are no answer yet
    certain: tuple[int, ...] = (400, 401, 403, 404, 422)  # statuses: it certainly did nothing


@dataclass(frozen=True, slots=True)
class Settle:
    """How to tell that nothing is in flight: poll until every counter is zero."""

    request: str
    headers: Mapping[str, str] = field(default_factory=dict)
    zero: tuple[str, ...] = ()  # dotted paths of counters


@dataclass(frozen=True, slots=True)
class Job:
    """A job of the service's own, started by one request."""

    request: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signals:
    """Which of an instance's Prometheus metrics are its golden signals.

    `where` picks the requests that customers send: label → values that count. Errors are the
    requests of `traffic` whose label `status` begins with 5.
    """

    traffic: str  # counter of answered requests
    latency: str  # histogram or summary of the same requests, in seconds, without _sum and _count
    saturation: str  # gauge of what is waiting or in use
    status: str = "status"  # label of `traffic` that holds the HTTP status
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Logs:
    """Under which names a log line, a JSON object, says when, how bad, what and about which."""

    time: str  # ISO 8601 with its zone, or Unix seconds
    level: str
    event: str
    reference: str  # the merchant reference, in lines about a payment


@dataclass(frozen=True, slots=True)
class System:
    """Everything payresil knows of the system under test."""

    name: str
    service: ServiceStart
    api: Api
    reference_field: str  # PSP metadata field that carries the intent
    webhook_path: str | None = None
    webhook_events: tuple[str, ...] = ("*",)
    settle: Settle | None = None
    reconcile: Job | None = None
    signals: Signals | None = None
    logs: Logs | None = None
    books: Mapping[str, str] = field(default_factory=dict)  # table → SELECT over its own database
