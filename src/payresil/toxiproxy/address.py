"""Addresses as Toxiproxy writes them: ``host:port``, ``[v6]:port``, ``:port``.

Error texts follow Go's ``net`` package, because clients of the original know them.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

LOOKUP_TIMEOUT_S = 5.0
MAX_PORT = 65535


class AddressError(ValueError):
    """An address that is malformed or does not resolve; the text says which and why."""


@dataclass(frozen=True)
class Address:
    """A host (name, literal, or empty for every interface) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(text: str) -> Address:
    """Split ``text``; raises AddressError."""
    host, port = _split(text)
    if not port:
        return Address(host, 0)
    if not (port.isascii() and port.isdigit()):
        raise AddressError(f"lookup tcp/{port}: unknown port")
    # The length is looked at first: int() refuses to read thousands of digits.
    if len(port) > len(str(MAX_PORT)) or int(port) > MAX_PORT:
        raise AddressError(f"address {port}: invalid port")
    return Address(host, int(port))


def _split(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        raise AddressError(f"address {text}: missing port in address")
    if host.startswith("["):
        if not host.endswith("]"):
            raise AddressError(f"address {text}: missing ']' in address")
        return host[1:-1], port
    if ":" in host:
        raise AddressError(f"address {text}: too many colons in address")
    return host, port


def family(host: str) -> socket.AddressFamily | None:
    """The family of an address literal, None for a name that has to be looked up."""
    for candidate in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(candidate, host)
        except (OSError, ValueError):
            continue
        return candidate
    return None


async def lookup(address: Address) -> list[Address]:
    """The literals that ``address`` stands for, IPv4 first; raises AddressError.

    An empty host stays empty: it means every interface.
    """
    if not address.host or family(address.host) is not None:
        return [address]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            found = await loop.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
    except TimeoutError:
        raise AddressError(f"lookup {address.host}: i/o timeout") from None
    except (OSError, ValueError):
        # ValueError covers names that cannot be encoded: a NUL, an overlong label.
        raise AddressError(f"lookup {address.host}: no such host") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return [Address(str(entry[4][0]), address.port) for entry in found]


async def resolve(text: str) -> Address:
    """The one literal address to listen on; raises AddressError."""
    found = await lookup(parse(text))
    if not found:
        raise AddressError(f"lookup {text}: no such host")
    return found[0]
