"""Attach files: where a system is that runs already, read as strictly as scenarios."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from payresil.core.attachment import Attached, Attachment
from payresil.core.document import MapNode, read_document
from payresil.core.problems import InvalidScenario, Place, Problem, nearest, shown
from payresil.core.schema import fields_of, read_fields
from payresil.core.system import System
from payresil.core.topology import Link, Node, SelectorError
from payresil.engine.attached_rules import placed_link
from payresil.engine.places import Places

SECRETS = ("api_token", "admin_token", "control_token", "database_url")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: So plain that every client reads the same host from it.
_ONE_HOST = re.compile(r"([^@]*@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?\Z")
#: In the query of a database's address.
_NAMING_HOSTS = {"host", "hostaddr", "service"}


def load_attachment(path: Path, system: System) -> Attached:
    """An attach file for `system`, with its secrets from the environment.

    Raises:
        InvalidScenario: with every problem of the file, each with its place.
    """
    problems: list[Problem] = []
    document = read_document(path, problems)
    fields = None if document is None else read_fields(document, fields_of(Attachment), problems)
    if document is None or fields is None:
        raise InvalidScenario(problems)
    attachment = Attachment(**fields)
    problems.extend(_check(attachment, system, document))
    if problems:
        raise InvalidScenario(problems)
    if attachment.ca_file is not None:
        beside = path.resolve().parent
        attachment = replace(attachment, ca_file=str(beside / attachment.ca_file))
    values = {name: os.environ[variable] for name, variable in attachment.secrets.items()}
    return Attached(attachment, _proxies(attachment), values)


def _check(attachment: Attachment, system: System, document: MapNode) -> Iterator[Problem]:
    at = Places(document)
    for keys, url in _urls(attachment):
        yield from _url(url, attachment.allow, at(*keys))
    yield from _secrets(attachment, system, at)
    yield from _links(attachment, at)
    if attachment.budget.requests < 1:
        words = "a number of requests, at least 1"
        yield Problem(at("budget", "requests"), str(attachment.budget.requests), words)
    if attachment.ca_file is not None:
        file = Path(document.where.file).parent / attachment.ca_file
        if not file.is_file():
            words = "a PEM file with a certificate authority, seen from this file"
            yield Problem(at("ca_file"), shown(attachment.ca_file), words)
    if system.books_from is not None and "{data}" in (system.books_from.sqlite or ""):
        words = "a system whose books can be read from here: a database, or an export by request"
        yield Problem(at("customers"), f"{system.name}, which keeps its books in files", words)


def _urls(attachment: Attachment) -> Iterator[tuple[tuple[str, ...], str]]:
    yield ("customers",), attachment.customers
    for key in ("admin", "prometheus"):
        if (url := getattr(attachment, key)) is not None:
            yield (key,), url
    if attachment.toxiproxy is not None:
        yield ("toxiproxy", "url"), attachment.toxiproxy.url
    if attachment.psp is not None:
        yield ("psp", "control"), attachment.psp.control
    for node, url in attachment.metrics.items():
        yield ("metrics", node), url


def _url(url: str, allow: tuple[str, ...], where: Place) -> Iterator[Problem]:
    host = _host(url)
    if host is None:
        yield Problem(where, shown(url), "an address such as https://127.0.0.1:8443")
        return
    if urlsplit(url).username is not None or urlsplit(url).password is not None:
        yield Problem(where, "an address with a password", "secrets, by names of variables")
    yield from _allowed(host, allow, where)


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") else None


def _allowed(host: str, allow: tuple[str, ...], where: Place) -> Iterator[Problem]:
    if not _is_loopback(host) and host not in allow:
        words = "an address on this machine, or its host under `allow`"
        yield Problem(where, f"the host {host}", words, nearest(host, allow))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _secrets(attachment: Attachment, system: System, at: Places) -> Iterator[Problem]:
    for name, variable in attachment.secrets.items():
        if name not in SECRETS:
            words = f"one of the keys {', '.join(SECRETS)}"
            near = nearest(name, SECRETS)
            yield Problem(at.key("secrets", name), f"the key {shown(name)}", words, near)
        elif not _VARIABLE.match(variable):
            # Not shown: it may be the secret itself.
            words = "the name of a variable of the environment that holds it"
            yield Problem(at("secrets", name), "something that is no name", words)
        elif not os.environ.get(variable):
            words = f"{variable} to be set in the environment"
            yield Problem(at("secrets", name), f"{variable}, which is not set", words)
        elif name == "database_url":
            yield from _database(os.environ[variable], attachment.allow, at("secrets", name))
    needs = {"control_token": attachment.psp is not None, "database_url": _reads_database(system)}
    for name, needed in needs.items():
        if needed and name not in attachment.secrets:
            words = f"{name}, the name of the variable that holds it"
            yield Problem(at("secrets"), f"no {name}", words)


def _reads_database(system: System) -> bool:
    source = system.books_from
    return bool(system.books) and (source is None or source.database is not None)


def _database(url: str, allow: tuple[str, ...], where: Place) -> Iterator[Problem]:
    """The address of a database, which may hold a password: it is never shown."""
    host = _database_host(url)
    if host is None:
        words = "the address of a PostgreSQL: postgresql://user@host:port/name"
        yield Problem(where, "something that is no address of one host", words)
    else:
        yield from _allowed(host, allow, where)


def _database_host(url: str) -> str | None:
    """The only host that a client of PostgreSQL connects to; None where there could be another.

    Clients take lists of hosts, and where none stands before the path they take it from the query,
    a service file or the environment.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    one_host = parts.scheme in ("postgresql", "postgres") and _ONE_HOST.match(parts.netloc)
    if not one_host or parse_qs(parts.query).keys() & _NAMING_HOSTS:
        return None
    return parts.hostname


def _links(attachment: Attachment, at: Places) -> Iterator[Problem]:
    seen: dict[Link, str] = {}
    for name in _link_names(attachment):
        where = at.key("toxiproxy", "links", name)
        try:
            link = placed_link(name)
        except SelectorError:
            yield Problem(where, shown(name), "a link such as service->psp")
            continue
        if link in seen:
            yield Problem(where, shown(name), f"each link once; {seen[link]} is the same")
        seen.setdefault(link, name)
    for name in attachment.metrics:
        try:
            Node.parse(name)
        except SelectorError:
            words = "a node such as a/service.1, a/db or psp"
            yield Problem(at.key("metrics", name), shown(name), words)


def _link_names(attachment: Attachment) -> Mapping[str, str]:
    return {} if attachment.toxiproxy is None else attachment.toxiproxy.links


def _proxies(attachment: Attachment) -> dict[Link, str]:
    return {placed_link(name): proxy for name, proxy in _link_names(attachment).items()}
