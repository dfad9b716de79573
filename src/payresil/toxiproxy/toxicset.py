"""The toxics of one proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from payresil.toxiproxy.errors import toxic_exists, toxic_not_found
from payresil.toxiproxy.registry import Toxic
from payresil.toxiproxy.toxicity import draw, generator


class Direction(StrEnum):
    """Upstream is from the client to the server, downstream is back."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"


@dataclass(slots=True)
class Tally:
    """What a toxic has done so far, all connections together."""

    connections: int = 0  # it was put on
    hits: int = 0  # chunks and ends of streams that met it
    bytes: int = 0  # that met it
    dropped_bytes: int = 0
    closed_connections: int = 0  # that it ended


@dataclass(eq=False)
class InstalledToxic:
    """A toxic on a proxy. ``stream`` is the direction as the client spelt it."""

    name: str
    type: str
    stream: str
    direction: Direction
    toxicity: float
    toxic: Toxic
    tally: Tally = field(default_factory=Tally)


class ToxicSet:
    """Toxics in the order they were added; a name is used once over both directions."""

    def __init__(self, seed: int, proxy: str) -> None:
        self._seed = seed
        self._proxy = proxy
        self._toxics: dict[str, InstalledToxic] = {}

    def __iter__(self) -> Iterator[InstalledToxic]:
        """All upstream toxics in the order of adding, then all downstream ones."""
        for direction in Direction:
            yield from (one for one in self._toxics.values() if one.direction is direction)

    def require_free(self, name: str) -> None:
        """Raises ApiError 409 where the name is taken."""
        if name in self._toxics:
            raise toxic_exists()

    def get(self, name: str) -> InstalledToxic:
        """Raises ApiError 404."""
        if name not in self._toxics:
            raise toxic_not_found()
        return self._toxics[name]

    def add(self, installed: InstalledToxic) -> None:
        """Raises ApiError 409 where the name is taken."""
        self.require_free(installed.name)
        self._toxics[installed.name] = installed

    def remove(self, name: str) -> InstalledToxic:
        """Raises ApiError 404."""
        installed = self.get(name)
        del self._toxics[name]
        return installed

    def touching(self, direction: Direction, connection: int) -> list[InstalledToxic]:
        """The toxics of ``direction`` that are on the connection of this ordinal."""
        return [
            one
            for one in self._toxics.values()
            if one.direction is direction and self._touches(one, connection)
        ]

    def random(self, toxic: str, connection: int) -> Random:
        """The chances of a toxic on a connection."""
        return generator(self._seed, self._proxy, connection, toxic)

    def _touches(self, installed: InstalledToxic, connection: int) -> bool:
        if installed.toxicity >= 1:
            return True
        lot = draw(self._seed, self._proxy, connection, installed.name)
        return lot < installed.toxicity
