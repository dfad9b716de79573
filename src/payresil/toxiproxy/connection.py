"""One client connection: two sockets and a link for each direction."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from payresil.toxiproxy.dial import DialError, dial
from payresil.toxiproxy.link import Link
from payresil.toxiproxy.side import Side
from payresil.toxiproxy.stream import End
from payresil.toxiproxy.toxicset import Direction, ToxicSet

if TYPE_CHECKING:
    from random import Random

    from payresil.toxiproxy.address import Address
    from payresil.toxiproxy.registry import Toxic


class Host(Protocol):
    """What a connection needs of its proxy."""

    @property
    def upstream(self) -> Address: ...

    @property
    def toxics(self) -> ToxicSet: ...

    @property
    def clock(self) -> Callable[[], float]: ...

    def dial_failed(self, failure: DialError) -> None: ...

    def toxic_failed(self, toxic: Toxic, failure: BaseException) -> None: ...

    def connection_over(self, connection: Connection) -> None: ...


class _Phase(Enum):
    DIALLING = 1
    JOINED = 2
    CLOSING = 3  # what was written is on its way, nothing more is taken
    OVER = 4


class Connection:
    """Born when a client was accepted; reports to its host when it is over."""

    __slots__ = (
        "_downstream",
        "_host",
        "_lost",
        "_phase",
        "_sockets",
        "_task",
        "_upstream",
        "client",
        "ordinal",
        "server",
    )

    def __init__(self, host: Host, ordinal: int) -> None:
        self.ordinal = ordinal
        self.client = Side(self)
        self.server = Side(self)
        self._host = host
        self._upstream = Link(self, source=self.client, sink=self.server)
        self._downstream = Link(self, source=self.server, sink=self.client)
        self.client.join(feeds=self._upstream, drains=self._downstream)
        self.server.join(feeds=self._downstream, drains=self._upstream)
        self._phase = _Phase.DIALLING
        self._lost = 0
        # Those that no transport owns yet. They are closed from here and not by the task that
        # opens them, because a task that is cancelled before its first step runs no finally.
        self._sockets: dict[Side, socket.socket] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self, accepted: socket.socket) -> None:
        """Dial the upstream. The client's socket is not read before it answers, so that a
        client whose upstream refuses sees what it would see of the original: a FIN, or a reset
        where it had sent something already.
        """
        self._sockets[self.client] = accepted
        self._task = asyncio.get_running_loop().create_task(self._open(accepted))

    async def _open(self, accepted: socket.socket) -> None:
        try:
            dialled = await dial(self._host.upstream)
            self._sockets[self.server] = dialled
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self.server, sock=dialled)
            await loop.connect_accepted_socket(lambda: self.client, sock=accepted)
        except DialError as failure:
            self._host.dial_failed(failure)
            self._over()
        except OSError:
            # The client reset the connection before it was ever proxied: nobody is left to tell.
            self.abort()

    # Called by the sides.

    @property
    def joined(self) -> bool:
        """Whether both sockets are there."""
        return self._phase is _Phase.JOINED

    def attached(self, side: Side) -> None:
        """A socket is ready."""
        if self._phase is not _Phase.DIALLING:
            side.abort()
        elif self.client.attached and self.server.attached:
            self._phase = _Phase.JOINED
            self._sockets.clear()
            self.plumb()
            self.server.release()
            self.client.release()

    def source_ended(self, link: Link) -> None:
        """A peer has finished sending."""
        if link.abandoned:
            self.close()  # there is nobody on the other side to be told
        else:
            link.end_input(End.EOF)

    def sink_ended(self) -> None:
        """A peer was told that nothing more comes."""
        if self.client.ended and self.server.ended:
            self.close()

    def lost(self, side: Side, feeds: Link, drains: Link) -> None:
        """A socket is gone, by its peer's reset or by our own close."""
        self._lost += 1
        if self._lost == 2:
            self._over()
        elif self._phase is _Phase.DIALLING:
            self.abort()
        elif self._phase is _Phase.JOINED:
            drains.abandon()
            feeds.end_input(End.CLOSE)

    # Called by the proxy.

    def plumb(self) -> None:
        """Bring both links in line with the toxics of the proxy."""
        if self.joined:
            toxics = self._host.toxics
            self._upstream.plumb(toxics.touching(Direction.UPSTREAM, self.ordinal))
            self._downstream.plumb(toxics.touching(Direction.DOWNSTREAM, self.ordinal))

    def close(self) -> None:
        """End both directions; what was written already still goes out."""
        if self._phase is _Phase.JOINED:
            self._phase = _Phase.CLOSING
            self._end(Side.close)

    def abort(self) -> None:
        """End both directions at once."""
        if self._phase is not _Phase.OVER:
            if self._task is not None:
                self._task.cancel()
            self._end(Side.abort)
            self._over()

    # Called by the links.

    @property
    def clock(self) -> Callable[[], float]:
        return self._host.clock

    def random(self, toxic: str) -> Random:
        """The chances of a toxic on this connection."""
        return self._host.toxics.random(toxic, self.ordinal)

    def reset(self) -> None:
        """End both directions with a reset."""
        self.client.linger_none()
        self.server.linger_none()
        self.abort()

    def toxic_failed(self, toxic: Toxic, failure: BaseException) -> None:
        """A toxic raised, which is a mistake in it: better no connection than a wrong one."""
        self._host.toxic_failed(toxic, failure)
        self.abort()

    def _end(self, how: Callable[[Side], None]) -> None:
        self._upstream.abandon()
        self._downstream.abandon()
        how(self.client)
        how(self.server)

    def _over(self) -> None:
        if self._phase is not _Phase.OVER:
            self._phase = _Phase.OVER
            for side, owned in self._sockets.items():
                if not side.attached:
                    owned.close()
            self._sockets.clear()
            self._host.connection_over(self)
