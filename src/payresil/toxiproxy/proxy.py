"""One proxy: a listening address, an upstream, toxics, and the connections that pass it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from payresil.toxiproxy import log
from payresil.toxiproxy.address import Address, parse
from payresil.toxiproxy.connection import Connection
from payresil.toxiproxy.dial import DialError
from payresil.toxiproxy.listener import Listener
from payresil.toxiproxy.registry import Toxic
from payresil.toxiproxy.toxicset import InstalledToxic, ToxicSet

#: At most one complaint of a kind a second: a dead upstream would fill the log.
_COMPLAINT_INTERVAL_S = 1.0


@dataclass
class Traffic:
    """Counters of one proxy, since it was made. Bytes are counted when they are read."""

    connections_total: int = 0
    dial_failures: int = 0
    upstream_bytes: int = 0
    downstream_bytes: int = 0


class Proxy:
    """``listen`` is what clients of the API see: the real address once it listens."""

    def __init__(
        self,
        name: str,
        listen: str,
        upstream: str,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises AddressError where ``upstream`` is not ``host:port``."""
        self.name = name
        self.listen = listen
        self.clock = clock
        self.toxics = ToxicSet(seed, name)
        self._finished = Traffic()
        self._listener: Listener | None = None
        self._connections: dict[int, Connection] = {}
        self._complained: dict[str, float] = {}
        self.upstream_text = upstream
        self.upstream = parse(upstream)

    @property
    def enabled(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    def set_upstream(self, text: str) -> None:
        """Where connections to come are dialled; raises AddressError and then changes nothing."""
        self.upstream = parse(text)
        self.upstream_text = text

    def start(self, address: Address) -> None:
        """Listen on ``address``, a literal, unless it does already; raises OSError."""
        if self._listener is None:
            self._listener = Listener(address, self._accepted, self._accept_failed)
            self.listen = str(self._listener.address)

    def stop(self) -> None:
        """Refuse clients and drop those there are; the toxics stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.drop_connections()

    def drop_connections(self) -> None:
        """End every live connection at once."""
        for connection in list(self._connections.values()):
            connection.abort()

    # Toxics. Each change is in force on every live connection when the call returns.

    def add_toxic(self, installed: InstalledToxic) -> None:
        """Raises ApiError 409 where the name is taken."""
        self.toxics.add(installed)
        self._plumb()

    def update_toxic(self, installed: InstalledToxic, toxic: Toxic, toxicity: float) -> None:
        """Change the attributes and the toxicity of a toxic of this proxy."""
        if toxic != installed.toxic:
            installed.toxic = toxic
        installed.toxicity = toxicity
        self._plumb()

    def remove_toxic(self, name: str) -> InstalledToxic:
        """Raises ApiError 404."""
        installed = self.toxics.remove(name)
        if installed.toxic.cuts_on_removal:
            self.drop_connections()
        self._plumb()
        return installed

    def clear_toxics(self) -> list[InstalledToxic]:
        """Remove them all, and say which they were."""
        return [self.remove_toxic(installed.name) for installed in list(self.toxics)]

    def _plumb(self) -> None:
        for connection in list(self._connections.values()):
            connection.plumb()

    # Counters.

    @property
    def connections_open(self) -> int:
        """Connections accepted and not over, those still being dialled included."""
        return len(self._connections)

    def traffic(self) -> Traffic:
        """The counters as of now, live connections included."""
        open_now = self._connections.values()
        total = self._finished
        return Traffic(
            total.connections_total,
            total.dial_failures,
            total.upstream_bytes + sum(one.client.received for one in open_now),
            total.downstream_bytes + sum(one.server.received for one in open_now),
        )

    # Called by the listener and the connections.

    def connection_over(self, connection: Connection) -> None:
        """Forget a connection, but not what it carried."""
        if self._connections.pop(connection.ordinal, None) is not None:
            self._finished.upstream_bytes += connection.client.received
            self._finished.downstream_bytes += connection.server.received

    def dial_failed(self, failure: DialError) -> None:
        """The upstream could not be reached for one client."""
        self._finished.dial_failures += 1
        self._complain("dial_failed", failure)

    def toxic_failed(self, toxic: Toxic, failure: BaseException) -> None:
        """A toxic raised."""
        log.error("toxic_failed", failure, proxy=self.name, toxic=repr(toxic))

    def _accepted(self, client: socket.socket) -> None:
        self._finished.connections_total += 1
        ordinal = self._finished.connections_total
        connection = Connection(self, ordinal)
        self._connections[ordinal] = connection
        connection.start(client)

    def _accept_failed(self, failure: OSError) -> None:
        self._complain("accept_failed", failure)

    def _complain(self, kind: str, failure: OSError) -> None:
        now = self.clock()
        if now - self._complained.get(kind, -_COMPLAINT_INTERVAL_S) >= _COMPLAINT_INTERVAL_S:
            self._complained[kind] = now
            log.warning(kind, proxy=self.name, reason=str(failure))
