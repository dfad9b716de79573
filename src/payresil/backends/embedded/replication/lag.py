"""How far standbys and the archive are behind, for the table of samples."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from payresil.backends.embedded.replication.membership import standby_name
from payresil.backends.embedded.replication.operating import STANDING
from payresil.backends.embedded.replication.questions import connect, fetch
from payresil.core.protocols import EnvironmentBroke, Standing, Unreachable

#: Node, metric, value.
Sample = tuple[str, str, float]

_TIMEOUT_S = 0.4

#: Positions of an hour, at one a second.
_REMEMBERED = 3600

_ARCHIVE = """
select (flush_lsn - '0/0')::bigint as position from pg_stat_replication where application_name = $1
"""


@dataclass
class Positions:
    """What the primary had on disk, and when; so how long ago somebody was level with it."""

    _known: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def add(self, at_s: float, position: int) -> None:
        """The primary was at `position`. What it had beyond that is gone, with who was primary."""
        while self._known and self._known[-1][1] > position:
            self._known.pop()
        self._known.append((at_s, position))

    def lag(self, position: int) -> tuple[int, float]:
        """Bytes, and seconds since the primary had no more than `position`."""
        now_s, primary = self._known[-1]
        level_s = [at_s for at_s, then in self._known if then <= position]
        # One that was never level while anybody looked was so before that.
        since_s = level_s[-1] if level_s else self._known[0][0]
        return max(0, primary - position), now_s - since_s


@dataclass(frozen=True, slots=True)
class Archived:
    """How far the archive was when it was last connected to a primary, and on which timeline."""

    position: int
    timeline: int

    def beside(self, timeline: int, position: int) -> Archived:
        """What counts when the primary is seen on a timeline, at a position.

        Of a later timeline the archive holds nothing before it pulls from there: it has no more
        than what that primary was first seen with, be its own log of the old one ever so long.
        """
        if timeline <= self.timeline:
            return self
        return Archived(min(self.position, position), timeline)


class ReplicationLag:
    """Looks at databases past every link: what the harness sees is not what a fault hides.

    A database that does not answer has no sample. While there is no primary, nobody is behind.
    """

    def __init__(
        self,
        databases: Mapping[str, str],
        archive: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`databases` is node → URL of the operator; `archive` is the archive's node."""
        self._databases = databases
        self._archive = archive
        self._clock = clock
        self._positions = Positions()
        self._archived: Archived | None = None

    def samples(self) -> list[Sample]:
        """One of every metric, now. Takes little more than a second where somebody is silent."""
        return asyncio.run(self._samples())

    async def _samples(self) -> list[Sample]:
        databases = [_Database(node, url) for node, url in self._databases.items()]
        await asyncio.gather(*(each.look() for each in databases))
        try:
            return await self._compared([each for each in databases if each.standing is not None])
        finally:
            for each in databases:
                each.leave()

    async def _compared(self, databases: Sequence[_Database]) -> list[Sample]:
        """Standbys are looked at after the primary: one that is level must not seem behind."""
        roles = [(each.node, "database_is_primary", float(each.is_primary)) for each in databases]
        primary = _primary(databases)
        if primary is None:
            return roles
        self._positions.add(self._clock(), primary.received)
        standbys = [each for each in databases if not each.is_primary]
        await asyncio.gather(*(each.look() for each in standbys))
        return [*roles, *self._of_standbys(standbys), *await self._of_archive(primary)]

    def _of_standbys(self, standbys: Sequence[_Database]) -> Iterator[Sample]:
        for each in standbys:
            if each.standing is not None:
                yield from self._lag(each.node, "replication", each.received)
                connected = each.standing.source is not None
                yield each.node, "replication_connected", float(connected)

    async def _of_archive(self, primary: _Database) -> list[Sample]:
        if self._archive is None:
            return []
        rows = await primary.rows(_ARCHIVE, standby_name(self._archive))
        connected = bool(rows) and rows[0]["position"] is not None
        if connected:
            self._archived = Archived(rows[0]["position"], primary.timeline)
        elif self._archived is not None:
            self._archived = self._archived.beside(primary.timeline, primary.received)
        known = self._archived
        lag = [] if known is None else self._lag(self._archive, "archive", known.position)
        return [*lag, (self._archive, "archive_connected", float(connected))]

    def _lag(self, node: str, of: str, position: int) -> list[Sample]:
        size, seconds = self._positions.lag(position)
        return [(node, f"{of}_lag_bytes", float(size)), (node, f"{of}_lag_seconds", seconds)]


class _Database:
    """One database, over one connection."""

    def __init__(self, node: str, url: str) -> None:
        self.node = node
        self.standing: Standing | None = None  # None: it does not answer
        self._url = url
        self._connection: Any = None

    @property
    def is_primary(self) -> bool:
        return self.standing is not None and self.standing.is_primary

    @property
    def received(self) -> int:
        return 0 if self.standing is None else self.standing.received

    @property
    def timeline(self) -> int:
        return 0 if self.standing is None else self.standing.timeline

    async def look(self) -> None:
        """Ask what it is now."""
        rows = await self.rows(STANDING)
        self.standing = Standing(**rows[0]) if rows else None

    async def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """No rows where it does not answer."""
        try:
            if self._connection is None:
                self._connection = await connect(self._url, _TIMEOUT_S)
            return await fetch(self._connection, self._url, sql, *parameters, timeout_s=_TIMEOUT_S)
        except (Unreachable, EnvironmentBroke):
            return []

    def leave(self) -> None:
        """Without waiting."""
        if self._connection is not None:
            self._connection.terminate()


def _primary(databases: Sequence[_Database]) -> _Database | None:
    """Of two that think so, the one with the newer timeline."""
    primaries = [each for each in databases if each.is_primary]
    return max(primaries, key=lambda each: each.timeline, default=None)
