"""What a system file must obey beyond its types: requests, placeholders, states, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from payresil.core.document import MapNode
from payresil.core.problems import Place, Problem, nearest, shown
from payresil.core.schemas import SCHEMAS
from payresil.core.system import ServiceStart, Settle, System
from payresil.engine.compose_file import ComposeFileError, services_of
from payresil.engine.places import Places
from payresil.engine.regional_rules import check_regions

#: What the backend fills in where it starts an instance.
START_PLACEHOLDERS = (
    "python",
    "host",
    "port",
    "ready_file",
    "database_url",
    "witness_url",
    "psp_url",
    "psp_api_key",
    "webhook_secret",
    "api_token",
    "admin_token",
    "node",
    "region",
    "data",
)
#: What of these no compose project is given: it is of processes, or of files beside them.
NOT_IN_COMPOSE = ("python", "ready_file", "data")
#: What traffic fills in where it makes a request.
REQUEST_PLACEHOLDERS = (
    "intent",
    "payment",
    "amount_minor",
    "amount_decimal",
    "currency",
    "currency_upper",
    "capture",
    "card_number",
    "card_exp_month",
    "card_exp_year",
    "card_cvc",
    "api_token",
)
#: What the harness fills into the headers where it calls the service itself.
ADMIN_PLACEHOLDERS = ("api_token", "admin_token")

OPERATIONS = ("create", "read", "find", "refund", "capture", "cancel")
STATES = ("processing", "succeeded", "declined", "authorized", "canceled", "failed")
MAX_INSTANCES = 64

#: Keys that make sense with one form of a start only.
_BELONGS = {"folder": ("command",), "port": ("image", "compose"), "service": ("compose",)}

#: Nodes that every topology has, and payresil starts.
_TAKEN_ROLES = ("customers", "router", "lb", "service", "psp")

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /\S*\Z")
_ROLE = re.compile(r"[a-z][a-z0-9_]*\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


def check_system(system: System, document: MapNode) -> Iterator[Problem]:
    """Everything in which a well-typed system file still cannot be right."""
    at = Places(document)
    if not _NAME.match(system.name):
        yield Problem(at("name"), shown(system.name), "lower-case letters, digits and dashes")
    if not system.reference_field:
        yield Problem(at("reference_field"), "nothing", "the PSP's field for the intent")
    yield from _service(system, at)
    yield from _api(system, at)
    yield from _jobs(system, at)
    yield from _books(system, at)
    yield from _undo(system, at)
    yield from _signals(system, at)
    yield from _logs(system, at)
    yield from _alerts(system, at)
    yield from check_regions(system, at)


def _service(system: System, at: Places) -> Iterator[Problem]:
    service = system.service
    yield from _start(service, at)
    if not 1 <= service.instances <= MAX_INSTANCES:
        where = at("service", "instances")
        yield Problem(where, str(service.instances), f"1 to {MAX_INSTANCES} instances")
    for name in ("ready", "alive", "metrics"):
        yield from _path(getattr(service, name), at("service", name))
    yield from _path(system.webhook_path, at("webhook_path"))
    yield from _nodes(system, at)
    given = (name for name in START_PLACEHOLDERS if _is_given(name, system))
    known = (*given, *service.nodes)
    yield from _placeholders(service.command, known, at("service", "command"))
    for name, text in service.environment.items():
        yield from _placeholders(text, known, at("service", "environment", name))
    for flaw, changes in service.flaws.items():
        if not _NAME.match(flaw):
            where = at.key("service", "flaws", flaw)
            yield Problem(where, shown(flaw), "lower-case letters, digits and dashes")
        for name, text in changes.environment.items():
            where = at("service", "flaws", flaw, "environment", name)
            yield from _placeholders(text, known, where)
    yield from _placeholders(service.list_flaws, ("python",), at("service", "list_flaws"))
    for flaw in service.exposed_by:
        if flaw not in service.flaws and not service.list_flaws:
            words = "a flaw under `flaws`"
            where = at.key("service", "exposed_by", flaw)
            yield Problem(where, shown(flaw), words, nearest(flaw, service.flaws))


def _is_given(placeholder: str, system: System) -> bool:
    if system.service.form == "compose" and placeholder in NOT_IN_COMPOSE:
        return False
    if placeholder == "witness_url":
        return system.regions is not None
    return placeholder != "database_url" or system.needs.database != "none"


def _start(service: ServiceStart, at: Places) -> Iterator[Problem]:
    """One form of a start, with what belongs to it and nothing that belongs to another.

    A command beside an image is what that image is told.
    """
    if not (service.command or service.image or service.compose):
        words = "a command, an image, or a compose file with its service"
        yield Problem(at("service", "command"), "no way to start it", words)
        return
    for other in ("command", "image"):
        if service.compose and getattr(service, other):
            words = "one way to start it, and there is compose already"
            yield Problem(at.key("service", other), f"the key {other}", words)
    for key, forms in _BELONGS.items():
        if getattr(service, key) is not None and service.form not in forms:
            words = f"{key} only together with {' or '.join(forms)}"
            yield Problem(at.key("service", key), f"the key {key}", words)
    if service.form != "command" and service.port is None:
        words = "port, where it listens in its container"
        yield Problem(at("service", service.form), "no port", words)
    if service.port is not None and not 1 <= service.port <= 65535:
        yield Problem(at("service", "port"), str(service.port), "a port, 1 to 65535")
    if service.compose and not service.service:
        yield Problem(at("service", "compose"), "no service", "service, its name in that file")
    for key in ("folder", "compose"):
        path = getattr(service, key)
        if path is not None and not _is_there(at("service", key), path, folder=key == "folder"):
            words = f"a {'folder' if key == 'folder' else 'file'}, seen from this file"
            yield Problem(at("service", key), shown(path), words)
    of_service = [flaw for flaw in service.flaws.values() if flaw.promotes == "most_advanced"]
    if of_service and (service.flaw_variable or service.list_flaws):
        words = "flaws here, or flaw_variable and list_flaws, not both"
        yield Problem(at.key("service", "flaws"), "the key flaws", words)


def _nodes(system: System, at: Places) -> Iterator[Problem]:
    """Services of the compose project, and whether they can be what the file says they are."""
    service = system.service
    if service.nodes and service.form != "compose":
        yield Problem(
            at.key("service", "nodes"), "the key nodes", "nodes only together with compose"
        )
        return
    there = None
    if service.compose and _is_there(at("service", "compose"), service.compose, folder=False):
        file = Path(at("service", "compose").file).parent / service.compose
        try:
            there = services_of(file)
        except ComposeFileError as error:
            yield Problem(at("service", "compose"), str(error), "a compose file")
    if there is not None and service.service and service.service not in there:
        yield _no_such(service.service, there, at("service", "service"))
    taken = (
        *_TAKEN_ROLES,
        *START_PLACEHOLDERS,
        *(["db"] if system.needs.database != "none" else []),
    )
    for role, place in service.nodes.items():
        where = at("service", "nodes", role)
        if not _ROLE.match(role) or role in taken:
            words = f"a role of its own such as ledger: not {', '.join(taken)}"
            yield Problem(at.key("service", "nodes", role), f"the key {shown(role)}", words)
        try:
            name, _ = service.member(role)
        except ValueError:
            words = "a service of the compose file and its port, such as postgres:5432"
            yield Problem(where, shown(place), words)
            continue
        if there is not None and name not in there:
            yield _no_such(name, there, where)


def _no_such(name: str, there: tuple[str, ...], where: Place) -> Problem:
    words = f"a service of the compose file: {', '.join(there) or 'it has none'}"
    return Problem(where, shown(name), words, nearest(name, there))


def _is_there(where: Place, path: str, *, folder: bool) -> bool:
    found = Path(where.file).parent / path
    return found.is_dir() if folder else found.is_file()


def _api(system: System, at: Places) -> Iterator[Problem]:
    api = system.api
    yield from _names(api.operations, OPERATIONS, at, "api", "operations")
    meant = {nearest(name, OPERATIONS) for name in api.operations if name not in OPERATIONS}
    for needed in ("create", "read"):
        if needed not in api.operations and needed not in meant:
            where = at("api", "operations")
            yield Problem(where, f"no {needed}", f"the operation {needed}, which every run needs")
    for name, operation in api.operations.items():
        path = ("api", "operations", name)
        yield from _request(operation.request, REQUEST_PLACEHOLDERS, at(*path, "request"))
        yield from _placeholders(operation.body, REQUEST_PLACEHOLDERS, at(*path, "body"))
        if operation.follow is not None and name != "create":
            words = "follow under create only: it is a payment that is looked at again"
            yield Problem(at.key(*path, "follow"), "the key follow", words)
    yield from _placeholders(api.headers, REQUEST_PLACEHOLDERS, at("api", "headers"))
    for word, state in api.final.items():
        if state not in STATES:
            where = at("api", "final", word)
            words = f"one of {', '.join(STATES)}"
            yield Problem(where, shown(state), words, nearest(state, STATES))
        if word in api.pending:
            yield Problem(at("api", "pending"), shown(word), "a state that is not final too")
    for status in api.certain:
        if not 100 <= status <= 599:
            yield Problem(at("api", "certain"), str(status), "HTTP statuses")


def _jobs(system: System, at: Places) -> Iterator[Problem]:
    for name, job in (("settle", system.settle), ("reconcile", system.reconcile)):
        if job is not None:
            yield from _request(job.request, (), at(name, "request"))
            yield from _placeholders(job.headers, ADMIN_PLACEHOLDERS, at(name, "headers"))
    remedied = None if system.reconcile is None else system.reconcile.remedied
    if remedied == "":
        yield Problem(at("reconcile", "remedied"), "nothing", "the counter of what it changed")
    if system.settle is not None:
        yield from _counters(system.settle, at)


def _counters(settle: Settle, at: Places) -> Iterator[Problem]:
    if not settle.zero:
        yield Problem(at("settle"), "no counters", "zero, the counters to wait for")
    for name in settle.unknown:
        if name not in settle.zero:
            where, near = at("settle", "unknown"), nearest(name, settle.zero)
            yield Problem(where, shown(name), "one of the counters under `zero`", near)


def _books(system: System, at: Places) -> Iterator[Problem]:
    tables = [name for name in SCHEMAS if name.startswith("books_")]
    yield from _names(system.books, tables, at, "books")
    source = system.books_from
    if source is None:
        if system.books and system.needs.database == "none":
            words = "books_from, where they are read: the system has no database"
            yield Problem(at.key("books"), "nowhere to read them", words)
        return
    sources = (source.sqlite, source.database, source.request)
    if sum(one is not None for one in sources) != 1:
        yield Problem(at("books_from"), "not one source", "either sqlite, database or request")
    for key in ("headers", "columns"):
        if getattr(source, key) and source.request is None:
            where = at.key("books_from", key)
            yield Problem(where, f"the key {key}", f"{key} only together with request")
    if source.sqlite is not None:
        known = () if system.service.form == "compose" else ("data",)
        yield from _placeholders(source.sqlite, known, at("books_from", "sqlite"))
    if source.database is not None:
        where = at("books_from", "database")
        if not source.database.startswith(("postgresql://", "postgres://")):
            words = "the address of a PostgreSQL: postgresql://user@{role}/name"
            yield Problem(where, "something that is no address", words)  # it may hold a password
        yield from _placeholders(source.database, system.service.nodes, where)
    if source.request is not None:
        yield from _request(source.request, (), at("books_from", "request"))
        yield from _placeholders(source.headers, ADMIN_PLACEHOLDERS, at("books_from", "headers"))


def _undo(system: System, at: Places) -> Iterator[Problem]:
    for state, operation in system.undo.items():
        if state not in STATES:
            where, words = at.key("undo", state), f"one of {', '.join(STATES)}"
            yield Problem(where, f"the key {shown(state)}", words, nearest(state, STATES))
        if operation not in ("refund", "cancel"):
            yield Problem(at("undo", state), shown(operation), "refund or cancel")
        elif operation not in system.api.operations:
            words = f"an operation that api.operations describes; {operation} is not there"
            yield Problem(at("undo", state), shown(operation), words)


def _signals(system: System, at: Places) -> Iterator[Problem]:
    signals = system.signals
    if signals is None:
        return
    if system.service.metrics is None:
        yield Problem(at("signals"), "no metrics", "metrics under `service`, the path they are at")
    for key in ("traffic", "latency", "saturation"):
        name = getattr(signals, key)
        if not _METRIC.match(name):
            yield Problem(at("signals", key), shown(name), "the name of a metric")
    if not _LABEL.match(signals.status):
        yield Problem(at("signals", "status"), shown(signals.status), "the name of a label")
    for label, values in signals.where.items():
        if not _LABEL.match(label):
            yield Problem(at.key("signals", "where", label), shown(label), "the name of a label")
        if not values:
            yield Problem(at("signals", "where", label), "an empty list", "the values that count")


def _alerts(system: System, at: Places) -> Iterator[Problem]:
    path = system.alerts
    if path is not None and not _is_there(at("alerts"), path, folder=False):
        yield Problem(at("alerts"), shown(path), "a file of alert rules, seen from this file")


def _logs(system: System, at: Places) -> Iterator[Problem]:
    seen: set[str] = set()
    for each in fields(system.logs) if system.logs is not None else ():
        name = getattr(system.logs, each.name)
        if not name or name in seen:
            words = "the name of a field of its own in a log line"
            yield Problem(at("logs", each.name), shown(name), words)
        seen.add(name)


def _request(text: str, known: Iterable[str], where: Place) -> Iterator[Problem]:
    if not _REQUEST.match(text):
        yield Problem(where, shown(text), "a method and a path such as POST /payments")
    yield from _placeholders(text, known, where)


def _path(path: str | None, where: Place) -> Iterator[Problem]:
    if path is not None and not path.startswith("/"):
        yield Problem(where, shown(path), "a path such as /readyz")


def _names(found: Iterable[str], known: Iterable[str], at: Places, *path: str) -> Iterator[Problem]:
    names = list(known)
    for name in found:
        if name not in names:
            words = f"one of the keys {', '.join(names)}"
            yield Problem(
                at.key(*path, name), f"the key {shown(name)}", words, nearest(name, names)
            )


def _placeholders(template: Any, known: Iterable[str], where: Place) -> Iterator[Problem]:
    """Every placeholder in a template, however deep, that nobody would fill in."""
    names = list(known)
    if isinstance(template, str):
        for name in _PLACEHOLDER.findall(template):
            if name not in names:
                known_words = ", ".join(f"{{{each}}}" for each in names)
                words = f"one of {known_words}" if names else "no placeholders"
                near = nearest(name, names)
                yield Problem(where, f"{{{name}}}", words, near and f"{{{near}}}")
    elif isinstance(template, dict):
        for name, inner in template.items():
            if inner is None and name in names and len(template) == 1:
                yield Problem(where, f"{{{name}}} without quotes", f'"{{{name}}}" in quotes')
            yield from _placeholders(inner, names, where)
    elif isinstance(template, list | tuple):
        for inner in template:
            yield from _placeholders(inner, names, where)
