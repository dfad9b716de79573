"""Connecting to the upstream."""

from __future__ import annotations

import asyncio
import os
import socket

from payresil.toxiproxy.address import Address, AddressError, family, lookup

#: Seconds until a dial that got no answer is given up. The original never gives up.
TIMEOUT_S = 10.0


class DialError(OSError):
    """The upstream could not be reached; the text says why."""


async def dial(upstream: Address) -> socket.socket:
    """A connected, non-blocking socket; raises DialError after trying every address."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _first(upstream)
    except TimeoutError:
        raise DialError(f"dial tcp {upstream}: i/o timeout") from None
    except AddressError as error:
        raise DialError(f"dial tcp: {error}") from None


async def _first(upstream: Address) -> socket.socket:
    failure: OSError | None = None
    for address in await lookup(upstream):
        try:
            return await _connect(address)
        except OSError as error:
            failure = error
    raise DialError(f"dial tcp {upstream}: connect: {_reason(failure)}")


def _reason(failure: OSError | None) -> str:
    # The loop puts a text of its own in strerror.
    if failure is None or failure.errno is None:
        return str(failure)
    return os.strerror(failure.errno).lower()


async def _connect(address: Address) -> socket.socket:
    # Go dials loopback where the upstream has no host.
    host = address.host or "127.0.0.1"
    connecting = socket.socket(family(host) or socket.AF_INET, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, (host, address.port))
    except BaseException:
        # Cancelled or failed: either way nobody else knows this socket.
        connecting.close()
        raise
    return connecting
