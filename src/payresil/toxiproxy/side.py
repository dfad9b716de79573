"""One of the two sockets of a proxied connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from payresil.toxiproxy.link import Link, discard
from payresil.toxiproxy.stream import Data, End

if TYPE_CHECKING:
    from payresil.toxiproxy.connection import Connection

#: ``struct linger`` that makes close(2) send a reset instead of a FIN.
_LINGER_NONE = struct.pack("ii", 1, 0)


class Side(asyncio.Protocol):
    """The source of one link and the sink of the other.

    ``forward`` is where everything read goes: with no toxics it is the other socket's ``write``.
    """

    __slots__ = (
        "_connection",
        "_drains",
        "_early",
        "_early_end",
        "_feeds",
        "_transport",
        "ended",
        "forward",
        "full",
        "received",
        "write",
    )

    def __init__(self, connection: Connection) -> None:
        self.received = 0  # bytes
        self.full = False
        self.ended = False  # whether its peer was told that nothing more comes
        self.forward: Callable[[Data], None]
        self.write: Callable[[Data], None] = discard
        self._connection = connection
        self._feeds: Link
        self._drains: Link
        self._transport: asyncio.Transport | None = None
        # A socket may be heard before its other side is there; the loop reads it all the same.
        self._early: list[Data] = []
        self._early_end: End | None = None
        self.forward = self._early.append

    @property
    def attached(self) -> bool:
        """Whether there is a socket."""
        return self._transport is not None

    def join(self, feeds: Link, drains: Link) -> None:
        """Both sockets are there: this one feeds one link and takes what the other brings."""
        self._feeds = feeds
        self._drains = drains

    def release(self) -> None:
        """Hand on what came early; from now on data goes straight on."""
        for data in self._early:
            self.forward(data)
        self._early.clear()
        if self._early_end is not None:
            self._feeds.end_input(self._early_end)

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.write = self._transport.write
        self._connection.attached(self)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.forward(data)

    def eof_received(self) -> bool:
        if self._connection.joined:
            self._connection.source_ended(self._feeds)
        else:
            self._early_end = End.EOF
        return True  # keep the sending half open

    def pause_writing(self) -> None:
        self.full = True
        self._drains.settle()

    def resume_writing(self) -> None:
        self.full = False
        self._drains.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self.write = discard
        self.full = False
        self._connection.lost(self, self._feeds, self._drains)

    # Called by the links and the connection.

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def end(self, how: End) -> None:
        """What this socket is to be sent has ended."""
        if how is End.CLOSE:
            self._connection.close()
            return
        self.write = discard
        self.ended = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()
        self._connection.sink_ended()

    def close(self) -> None:
        """Close after what was written has gone."""
        self.write = discard
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self.write = discard
        if self._transport is not None:
            self._transport.abort()

    def linger_none(self) -> None:
        """Make the coming close a reset."""
        if self._transport is None or self._transport.is_closing():
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
