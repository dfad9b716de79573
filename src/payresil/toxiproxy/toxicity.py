"""The lot that decides whether a toxic touches a connection."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

_DRAWS = 1 << 64


def draw(seed: int, proxy: str, connection: int, toxic: str) -> float:
    """A number in [0, 1), the same for the same arguments in every process.

    A connection is touched where this is less than the toxicity. So raising the toxicity only
    adds connections, and an update that leaves it alone changes nobody's lot.
    ``connection`` is the ordinal of the connection on its proxy, from 1.
    """
    return int.from_bytes(_digest(seed, proxy, connection, toxic, "toxicity")) / _DRAWS


def generator(seed: int, proxy: str, connection: int, toxic: str) -> Random:
    """The source of a toxic's own chances (jitter, sizes) on one connection."""
    return Random(_digest(seed, proxy, connection, toxic, "attributes"))


def _digest(*parts: object) -> bytes:
    return blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=8).digest()
