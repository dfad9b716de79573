"""Which standby takes over."""

from __future__ import annotations

from typing import cast

import pytest

from payresil.core.protocols import Databases as DatabasesProtocol
from payresil.core.protocols import RemedyFailed, Standing
from payresil.core.topology import Node
from payresil.remedies.taking_over import most_advanced, standings

from .rehearsed import Databases, World

ONE, TWO, THREE = Node("a", "db"), Node("a", "db", 2), Node("b", "db")


def standby(timeline: int, received: int, replayed: int = 0) -> Standing:
    return Standing(False, timeline, received, replayed, None)


def test_the_later_timeline_comes_before_more_bytes() -> None:
    assert most_advanced({ONE: standby(1, 900), TWO: standby(2, 100)}) == TWO


def test_on_one_timeline_what_was_received_counts_and_not_what_was_replayed() -> None:
    found = {ONE: standby(2, 900, 900), TWO: standby(2, 901, 5), THREE: standby(1, 9000)}
    assert most_advanced(found) == TWO


def test_of_equals_the_first_is_taken() -> None:
    assert most_advanced({TWO: standby(1, 5), ONE: standby(1, 5)}) == TWO


def test_a_primary_is_not_promoted() -> None:
    primary = Standing(True, 9, 9000, 9000, None)
    assert most_advanced({ONE: primary, TWO: standby(1, 1)}) == TWO
    with pytest.raises(RemedyFailed, match="nothing to promote"):
        most_advanced({ONE: primary})


def test_who_cannot_be_reached_is_left_out(world: World) -> None:
    world["a/db.2"].reachable = False
    databases = cast(DatabasesProtocol, Databases(world))
    assert list(standings(databases, databases.nodes())) == [ONE, THREE]
