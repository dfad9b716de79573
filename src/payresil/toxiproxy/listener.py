"""A listening socket whose life this server controls to the instant.

The loop's own server closes its socket some time later; here, when ``close`` returns the port
refuses, and it can be taken again at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from payresil.toxiproxy.address import Address, family

BACKLOG = 1024
_ACCEPTS_PER_TURN = 64
_PAUSE_AFTER_FAILURE_S = 0.1


class Listener:
    """Accepts clients for one proxy and hands each non-blocking socket on."""

    def __init__(
        self,
        address: Address,
        accepted: Callable[[socket.socket], None],
        failed: Callable[[OSError], None],
    ) -> None:
        """Bind and listen; ``address`` is a literal. Raises OSError, its text as the original's."""
        self._accepted = accepted
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._retry: asyncio.TimerHandle | None = None
        self._socket = _bound(address)
        self.address = _address_of(self._socket)
        self._loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Refuse from now on."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._closed = True

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            if self._closed:
                return
            try:
                client, _peer = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as failure:
                self._rest(failure)
                return
            client.setblocking(False)
            self._accepted(client)

    def _rest(self, failure: OSError) -> None:
        # Out of file descriptors, as a rule: the socket stays readable, so look away for a while.
        self._failed(failure)
        self._loop.remove_reader(self._socket)
        self._retry = self._loop.call_later(
            _PAUSE_AFTER_FAILURE_S, self._loop.add_reader, self._socket, self._accept
        )


def _bound(address: Address) -> socket.socket:
    chosen = family(address.host) or (socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET)
    try:
        listening = socket.socket(chosen, socket.SOCK_STREAM)
    except OSError as failure:
        raise _bind_error(address, failure) from None
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not address.host and chosen is socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((address.host, address.port))
        listening.listen(BACKLOG)
    except OSError as failure:
        listening.close()
        raise _bind_error(address, failure) from None
    return listening


def _bind_error(address: Address, failure: OSError) -> OSError:
    reason = (failure.strerror or str(failure)).lower()
    return OSError(f"listen tcp {address}: bind: {reason}")


def _address_of(listening: socket.socket) -> Address:
    name = listening.getsockname()
    return Address(str(name[0]), int(name[1]))
