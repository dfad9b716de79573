"""One direction of one connection: from a socket, through the toxics, to the other socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from payresil.toxiproxy.stream import Data, End, Receiver, Stream

if TYPE_CHECKING:
    from random import Random

    from payresil.toxiproxy.registry import Toxic
    from payresil.toxiproxy.toxicset import InstalledToxic


class Source(Protocol):
    """The socket that is read. ``forward`` is called with everything that arrives."""

    forward: Callable[[Data], None]

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Owner(Protocol):
    """What a link needs of its connection."""

    @property
    def clock(self) -> Callable[[], float]: ...

    def random(self, toxic: str) -> Random: ...

    def reset(self) -> None: ...

    def toxic_failed(self, toxic: Toxic, failure: BaseException) -> None: ...


def discard(_data: Data) -> None:
    """Where data goes that nobody can receive any more."""


class Link:
    """The pipeline. With no toxics in it, the source writes straight into the sink.

    Buffers are bounded: a receiver that is full holds back what is before it, up to the socket.
    """

    __slots__ = ("_input_end", "_owner", "_paused", "_sink", "_source", "_streams", "abandoned")

    def __init__(self, owner: Owner, source: Source, sink: Receiver) -> None:
        self._owner = owner
        self._source = source
        self._sink = sink
        self._streams: dict[InstalledToxic, Stream] = {}
        self._paused = False
        self._input_end: End | None = None
        #: Whether the sink is gone.
        self.abandoned = False

    @property
    def clock(self) -> Callable[[], float]:
        return self._owner.clock

    def plumb(self, wanted: Sequence[InstalledToxic]) -> None:
        """Have exactly these toxics, in this order, from now on."""
        if self.abandoned:
            return
        # From the source to the sink, so that what a removed one held stays in order.
        for installed in [one for one in self._streams if one not in wanted]:
            self._streams.pop(installed).stop()
        streams = {one: self._streams.get(one) or self._new_stream(one) for one in wanted}
        fresh = [stream for one, stream in streams.items() if one not in self._streams]
        self._streams = streams
        self._connect()
        for stream in fresh:
            stream.start()
        for installed, stream in streams.items():
            if stream.toxic is not installed.toxic:
                stream.replace(installed.toxic)
        self.settle()

    def end_input(self, how: End) -> None:
        """The source has ended."""
        self._input_end = how
        self._entry().end(how)

    def settle(self) -> None:
        """Let every stream look whether it has room, and hold the source or let it go."""
        for stream in self._streams.values():
            stream.wake()
        full = self._entry().full
        if full and not self._paused:
            self._paused = True
            self._source.pause()
        elif self._paused and not full:
            self._paused = False
            if self._input_end is None:
                self._source.resume()

    def abandon(self) -> None:
        """The sink is gone: read on, to notice the end of the source, and lose what is read."""
        if self.abandoned:
            return
        self.abandoned = True
        for stream in self._streams.values():
            stream.discard()
        self._streams = {}
        self._source.forward = discard
        if self._paused and self._input_end is None:
            self._source.resume()
        self._paused = False

    def reset(self) -> None:
        """A toxic resets the connection."""
        self._owner.reset()

    def toxic_failed(self, toxic: Toxic, failure: BaseException) -> None:
        """A toxic raised."""
        self._owner.toxic_failed(toxic, failure)

    def _entry(self) -> Receiver:
        return next(iter(self._streams.values()), None) or self._sink

    def _new_stream(self, installed: InstalledToxic) -> Stream:
        installed.tally.connections += 1
        return Stream(
            installed.toxic, installed.tally, self, lambda: self._owner.random(installed.name)
        )

    def _connect(self) -> None:
        output = self._sink
        for stream in reversed(self._streams.values()):
            stream.output = output
            output = stream
        self._source.forward = output.write
