"""A system as a value: how to start it, pay it, and read its books.

The reference service is described by such a file (``systems/refpay.yaml``) and by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Flaw:
    """A known flaw that the service can be started with."""

    does: str  # what it does wrong, for people
    environment: Mapping[str, str] = field(default_factory=dict)  # what switches it on
    promotes: Literal["most_advanced", "first"] = "most_advanced"  # which standby operators choose


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is known to catch a flaw."""

    check: str
    scenario: str  # its file, for people


@dataclass(frozen=True, slots=True)
class ServiceStart:
    """How to start one instance of the service: a command, an image, or a compose project.

    `command` and `environment` are templates: ``{database_url}``, ``{psp_url}``, ``{port}``, … are
    filled in by the backend with the addresses of the links. ``{data}`` is a folder of the
    instance's own, which survives a crash and a restart.

    `nodes` are other services of the compose project that faults can act on: ``db: postgres:5432``
    makes the node ``a/db`` and links to it, and ``{db}`` is ``host:port`` of the link.
    """

    ready: str  # path that answers 200 when it can take payments
    alive: str | None = None  # path that answers 200 when it runs, whether it may take them or not
    command: tuple[str, ...] = ()
    image: str | None = None
    port: int | None = None  # that the service listens on in its container
    compose: str | None = None  # a compose file, relative to the system file
    service: str | None = None  # the service in it
    nodes: Mapping[str, str] = field(default_factory=dict)  # role → ``SERVICE:PORT`` in it
    folder: str | None = None  # where the command is started, relative to the system file
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: str | None = None  # path of its Prometheus metrics
    instances: int = 2  # in each region
    flaw_variable: str | None = None  # environment variable that names a flaw
    list_flaws: tuple[str, ...] = ()  # command that prints a JSON object: flaw → what it does
    flaws: Mapping[str, Flaw] = field(default_factory=dict)  # known flaws, switched on one by one
    exposed_by: Mapping[str, Exposure] = field(default_factory=dict)  # what catches which flaw

    @property
    def form(self) -> str:
        """Which of the forms of a start it is: ``command``, ``image`` or ``compose``."""
        return "compose" if self.compose else "image" if self.image else "command"

    def member(self, role: str) -> tuple[str, int]:
        """Service and port of one of `nodes`.

        Raises:
            KeyError: when there is none of this role.
            ValueError: when it is not ``SERVICE:PORT``.
        """
        service, _, port = self.nodes[role].rpartition(":")
        if not service or not 1 <= int(port) <= 65535:
            raise ValueError(self.nodes[role])
        return service, int(port)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the service's API: ``POST /payments`` and what goes in it.

    In `body`, a value that is one placeholder (``"{amount_minor}"``) keeps that value's type.
    """

    request: str  # method and path template
    body: Any = None
    payment: str | None = None  # dotted path of the payment's id in the answer
    state: str | None = None  # dotted path of the state in the answer
    follow: str | None = None  # dotted path of the URL that `read` goes to instead of its own


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
    unknown: tuple[str, ...] = ()  # those that count outcomes nobody knows yet; none: all of them


@dataclass(frozen=True, slots=True)
class Job:
    """A job of the service's own, started by one request."""

    request: str
    headers: Mapping[str, str] = field(default_factory=dict)
    remedied: str | None = None  # dotted path of what it changed; 0 when it is run again


@dataclass(frozen=True, slots=True)
class Needs:
    """What the backend gives the service beside its PSP."""

    database: Literal["postgresql", "none"] = "postgresql"


@dataclass(frozen=True, slots=True)
class BooksFrom:
    """Where the books are read: a file of SQLite, an export over HTTP, or a PostgreSQL of its own.

    Without any it is the database that the backend gave the service. In `database`, a URL, the
    ``{role}`` of a node of the compose project is ``host:port`` past its links. ``{data}`` in
    `sqlite` is the folder of each instance: the books are all of them together. Of an export, each
    list of objects in the JSON answer is a table. `columns` says which columns a list has even when
    it is empty.
    """

    sqlite: str | None = None
    database: str | None = None
    request: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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
class Regions:
    """Two regions: one takes payments, the other stands by."""

    active: str
    standby: str


@dataclass(frozen=True, slots=True)
class Lease:
    """How regions agree on which of them takes payments: SQL over the witness's database.

    `schema` is run once. `state` gives one row (epoch, region, remaining_ms), `take`, with the
    region as ``$1``, one row (taken, epoch, remaining_ms), `history` a row (epoch, region,
    taken_us) for every epoch. An epoch is taken only once nobody holds the lease any more, by the
    witness's own clock.
    """

    schema: str
    state: str
    take: str
    history: str


Replication = Literal["asynchronous", "synchronous", "quorum"]


@dataclass(frozen=True, slots=True)
class System:
    """Everything payresil knows of the system under test."""

    name: str
    service: ServiceStart
    api: Api
    reference_field: str  # PSP metadata field that carries the intent
    needs: Needs = Needs()
    webhook_path: str | None = None
    webhook_events: tuple[str, ...] = ("*",)
    settle: Settle | None = None
    reconcile: Job | None = None
    signals: Signals | None = None
    logs: Logs | None = None
    alerts: str | None = None  # a file of Prometheus' alert rules, relative to the system file
    books_from: BooksFrom | None = None
    books: Mapping[str, str] = field(default_factory=dict)  # table → SELECT over where they are
    #: Operation that undoes a payment in a state: ``{succeeded: refund, authorized: cancel}``.
    undo: Mapping[str, str] = field(default_factory=dict)
    regions: Regions | None = None  # two of them; without, there is one, called a
    #: What a commit waits for: nothing, the standby of the other region, or any one standby.
    replication: Replication = "asynchronous"
    lease: Lease | None = None
    epoch_header: str | None = None  # request header to the PSP that says in which epoch
    #: Table → SELECT over any of the databases: snapshots, commits, snapshot_keys.
    snapshots: Mapping[str, str] = field(default_factory=dict)
