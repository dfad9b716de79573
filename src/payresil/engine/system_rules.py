"""What a system file must obey beyond its types: requests, placeholders, states, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from payresil.core.document import MapNode, Node
from payresil.core.problems import Place, Problem, nearest, shown
from payresil.core.schemas import SCHEMAS
from payresil.core.system import System

#: What the backend fills in where it starts an instance.
START_PLACEHOLDERS = (
    "python",
    "host",
    "port",
    "ready_file",
    "database_url",
    "psp_url",
    "psp_api_key",
    "webhook_secret",
    "api_token",
    "admin_token",
    "node",
    "region",
)
#: What traffic fills in where it makes a request.
REQUEST_PLACEHOLDERS = (
    "intent",
    "payment",
    "amount_minor",
    "currency",
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

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /\S*\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


def check_system(system: System, document: MapNode) -> Iterator[Problem]:
    """Everything in which a well-typed system file still cannot be right."""
    at = _Places(document)
    if not _NAME.match(system.name):
        yield Problem(at("name"), shown(system.name), "lower-case letters, digits and dashes")
    if not system.reference_field:
        yield Problem(at("reference_field"), "nothing", "the PSP's field for the intent")
    yield from _service(system, at)
    yield from _api(system, at)
    yield from _jobs(system, at)
    tables = [name for name in SCHEMAS if name.startswith("books_")]
    yield from _names(system.books, tables, at, "books")
    yield from _signals(system, at)
    yield from _logs(system, at)


class _Places:
    """Where something stands in the file, by its path of keys."""

    def __init__(self, document: MapNode) -> None:
        self._document = document

    def __call__(self, *keys: str) -> Place:
        """Where the value begins; for one that was left out, the last key there is."""
        return self._find(keys)[1]

    def key(self, *keys: str) -> Place:
        """Where the key itself stands."""
        return self._find(keys)[0]

    def _find(self, keys: Iterable[str]) -> tuple[Place, Place]:
        node: Node = self._document
        place = node.where
        for key in keys:
            entry = node.get(key) if isinstance(node, MapNode) else None
            if entry is None:
                return place, place
            node, place = entry.value, entry.where
        return place, node.where


def _service(system: System, at: _Places) -> Iterator[Problem]:
    service = system.service
    if not service.command:
        yield Problem(at("service", "command"), "an empty list", "a command")
    if not 1 <= service.instances <= MAX_INSTANCES:
        where = at("service", "instances")
        yield Problem(where, str(service.instances), f"1 to {MAX_INSTANCES} instances")
    for name, path in (("ready", service.ready), ("metrics", service.metrics)):
        yield from _path(path, at("service", name))
    yield from _path(system.webhook_path, at("webhook_path"))
    yield from _placeholders(service.command, START_PLACEHOLDERS, at("service", "command"))
    for name, text in service.environment.items():
        where = at("service", "environment", name)
        yield from _placeholders(text, START_PLACEHOLDERS, where)
    yield from _placeholders(service.list_flaws, ("python",), at("service", "list_flaws"))


def _api(system: System, at: _Places) -> Iterator[Problem]:
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


def _jobs(system: System, at: _Places) -> Iterator[Problem]:
    for name, job in (("settle", system.settle), ("reconcile", system.reconcile)):
        if job is not None:
            yield from _request(job.request, (), at(name, "request"))
            yield from _placeholders(job.headers, ADMIN_PLACEHOLDERS, at(name, "headers"))
    if system.settle is not None and not system.settle.zero:
        yield Problem(at("settle"), "no counters", "zero, the counters to wait for")


def _signals(system: System, at: _Places) -> Iterator[Problem]:
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


def _logs(system: System, at: _Places) -> Iterator[Problem]:
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


def _names(
    found: Iterable[str], known: Iterable[str], at: _Places, *path: str
) -> Iterator[Problem]:
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
