"""Which way a fault of a link works."""

from __future__ import annotations

from typing import Literal

#: upstream: towards the server; downstream: towards the client.
Direction = Literal["both", "upstream", "downstream"]


def streams(direction: Direction) -> tuple[str, ...]:
    """The streams of a connection that a direction is about."""
    return ("upstream", "downstream") if direction == "both" else (direction,)
