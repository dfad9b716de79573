"""Which database services wrote to in the end."""

from __future__ import annotations

import pytest

from payresil.checkers.primaries import last_primary, primaries_in_the_end


def committed(history, node, epoch, at_s, n=1):
    """What a database holds in the end."""
    row = {"moment": "end", "node": node, "at_ns": 43_500_000_000, "payment": f"pay-{n}", "seq": 1}
    at_us = history.meta["zero_wall_us"] + round(at_s * 1_000_000)
    history.tables.setdefault("commits", []).append(row | {"epoch": epoch, "at_us": at_us})


def stands(history, node, role):
    history.event(43.6, "node", node, "stands", f'{{"role": "{role}", "source": null}}')


@pytest.fixture
def two_of_a(history):
    """a/db came back as a primary and a/db.2 was promoted beside it at 30, the last of all."""
    history.snapshot("promoted", "b/db", 14.0, range(3))
    history.snapshot("promoted", "a/db.2", 30.0, range(3))
    history.tables["commits"] = []
    for node in ("a/db", "a/db.2"):
        stands(history, node, "primary")
        committed(history, node, 2, 29)
    return history


def test_the_one_with_the_newest_commits_though_another_was_promoted_last(two_of_a):
    committed(two_of_a, "a/db", 3, 32, 2)
    assert last_primary(two_of_a.run()) == "a/db"
    committed(two_of_a, "a/db.2", 3, 33, 3)
    assert last_primary(two_of_a.run()) == "a/db.2"


def test_an_older_epoch_is_older_whatever_the_clock_says(two_of_a):
    committed(two_of_a, "a/db", 2, 39, 2)
    committed(two_of_a, "a/db.2", 3, 33, 3)
    assert last_primary(two_of_a.run()) == "a/db.2"


def test_the_one_promoted_last_where_nothing_was_committed_since(two_of_a):
    committed(two_of_a, "a/db", 2, 29.9, 2)
    assert last_primary(two_of_a.run()) == "a/db.2"


def test_one_that_is_gone_in_the_end_is_no_primary_then(two_of_a):
    two_of_a.sample(20, "b/db", "database_is_primary", 1)
    assert primaries_in_the_end(two_of_a.run()) == ["a/db", "a/db.2"]


def test_a_standby_with_all_of_it_is_none(two_of_a):
    stands(two_of_a, "b/db", "standby")
    committed(two_of_a, "b/db", 3, 39, 2)
    committed(two_of_a, "a/db.2", 3, 33, 3)
    assert last_primary(two_of_a.run()) == "a/db.2"
    assert primaries_in_the_end(two_of_a.run()) == ["a/db", "a/db.2"]


def test_without_a_promotion_the_only_one_or_the_one_with_the_newest(history):
    assert last_primary(history.run()) is None
    history.sample(40, "a/db", "database_is_primary", 1)
    assert last_primary(history.run()) == "a/db"
    history.sample(40, "b/db", "database_is_primary", 1)
    assert last_primary(history.run()) is None
    committed(history, "b/db", 1, 5)
    assert last_primary(history.run()) == "b/db"
