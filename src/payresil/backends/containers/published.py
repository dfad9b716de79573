"""Ports that a compose file publishes on this machine, and whether they can be had."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from payresil.core.protocols import EnvironmentBroke


@dataclass(frozen=True, slots=True)
class Published:
    """A port of a service, and where this machine publishes it; port 0 is any free one."""

    service: str
    target: int
    host: str
    number: int


def published(config: Mapping[str, Any]) -> Iterator[Published]:
    """Every port that a resolved compose file publishes over TCP; ranges are left out."""
    for service, described in config["services"].items():
        for port in described.get("ports", ()):
            one = _long(service, port) if isinstance(port, dict) else _short(service, str(port))
            if one is not None:
                yield one


def _long(service: str, port: Mapping[str, Any]) -> Published | None:
    number = str(port.get("published", "0"))
    if port.get("protocol", "tcp") != "tcp" or not number.isdigit():
        return None
    return Published(service, int(port["target"]), str(port.get("host_ip", "")), int(number))


def _short(service: str, port: str) -> Published | None:
    """``[[HOST:][PORT]:]TARGET[/PROTOCOL]``, where HOST may be IPv6 in brackets."""
    rest, _, protocol = port.partition("/")
    rest, _, target = rest.rpartition(":")
    host, _, number = rest.rpartition(":")
    if protocol not in ("", "tcp") or not target.isdigit() or not (number or "0").isdigit():
        return None
    return Published(service, int(target), host.strip("[]"), int(number or 0))


def is_taken(port: Published) -> bool:
    """Whether somebody listens there already.

    Raises:
        EnvironmentBroke: when this machine has no such address.
    """
    if port.number == 0:
        return False
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host or "", port.number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            if error.errno == errno.EACCES:  # a low port: the engine may have it, we may not
                return False
            raise EnvironmentBroke(f"{port.host}:{port.number} cannot be had: {error}") from error
    return False
