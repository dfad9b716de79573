from __future__ import annotations

import json

import pytest

from payresil.checkers.redundancy import redundancy

PAID = [n for n in range(20) if n % 7 != 6]
STEPS = {"detect": (10, 11), "promote": (14, 14.5), "switch": (14.5, 15)}


@pytest.fixture
def failed_over(history):
    """b/db was promoted with all that had been acknowledged, and a/db.2 follows it."""
    history.meta["replication"] = "synchronous"
    history.remedy("failover", STEPS)
    history.snapshot("promoted", "b/db", 14.6, PAID)
    for node in ("b/db", "a/db.2"):
        history.snapshot("end", node, 43.5, range(20))
    stands(history, "b/db", None)
    stands(history, "a/db.2", "b/db")
    return history


def stands(history, node, source):
    """What a database says at the audit."""
    history.event(43.6, "node", node, "stands", json.dumps({"source": source}))


@pytest.mark.parametrize("mode", ["synchronous", "quorum"])
def test_nothing_lost_and_every_standby_level(failed_over, ask, mode):
    failed_over.meta["replication"] = mode
    said = ask(redundancy, failed_over.run())
    assert said.passes
    assert said.value("acknowledged_judged") == 18
    assert said.value("acknowledged_lost") == said.value("degraded_time") == 0
    assert said.value("standbys_judged") == 1
    assert said.value("payments_judged") == 20


def spoil(history, table, moment, node, n, **changed):
    """Change what a snapshot says of a payment, or drop it."""
    for row in list(history[table]):
        if (row["moment"], row["node"], row["intent"]) == (moment, node, f"1a2b-{n}"):
            history[table].remove(row)
            if changed:
                history[table].append(row | changed)


def test_an_acknowledged_payment_that_the_promoted_database_lacks(failed_over, ask):
    spoil(failed_over, "snapshots", "promoted", "b/db", 7)
    said = ask(redundancy, failed_over.run())
    assert [(f.message, f.intent) for f in said.findings] == [
        ("failover: acknowledged 1007 eur, absent from b/db when it was promoted", "1a2b-7")
    ]
    assert said.value("acknowledged_lost") == 1


@pytest.mark.parametrize(("restored_s", "lost", "degraded_s"), [(None, 0, 41), (3.6, 1, 0.6)])
def test_what_was_acknowledged_while_degraded_may_be_lost(
    failed_over, ask, restored_s, lost, degraded_s
):
    spoil(failed_over, "snapshots", "promoted", "b/db", 8)  # acknowledged at 4.02
    failed_over.remedy("degrade_to_async", {"detect": (1, 2), "degrade": (3, 3.2)})
    if restored_s:
        failed_over.remedy("failback", {"replicate": (3.3, restored_s)}, mode="synchronous")
    said = ask(redundancy, failed_over.run())
    assert len(said.findings) == lost
    assert said.value("degraded_time") == pytest.approx(degraded_s)
    assert said.value("acknowledged_degraded") == 1 - lost


def test_on_watch_nothing_is_degraded_yet(failed_over, ask):
    spoil(failed_over, "snapshots", "promoted", "b/db", 8)  # acknowledged at 4.02
    failed_over.remedy("degrade_to_async", {"detect": (1, 4.5), "degrade": (4.5, 4.7)})
    assert len(ask(redundancy, failed_over.run()).findings) == 1


def promoted_again(history, *lost):
    """b/db was promoted at 2 already, and at 14 a/db.2 was, without what is lost."""
    history.tables["events"] = [e for e in history["events"] if e["name"] != "failover"]
    history.snapshot("promoted", "b/db", 2.1, range(4))
    for row in history["snapshots"]:
        if row["moment"] == "promoted" and row["at_ns"] > 3e9:
            row["node"] = "a/db.2"
    history.remedy("database_failover", {"promote": (2, 2.05)})
    history.remedy("failover", STEPS)
    for n in lost:
        spoil(history, "snapshots", "promoted", "a/db.2", n)


def test_after_a_promotion_nobody_is_waited_for(failed_over, ask):
    promoted_again(failed_over, 7, 8, 2)  # acknowledged at 3.52, 4.02 and 1.02
    said = ask(redundancy, failed_over.run())
    assert said.about == ["1a2b-2"]
    assert said.value("acknowledged_after_promotion") == 2
    assert said.value("degraded_time") == 0


def test_until_a_step_says_that_somebody_is(failed_over, ask):
    promoted_again(failed_over, 7, 8)
    failed_over.remedy("failback", {"follow": (3.7, 3.9)}, mode="quorum")
    said = ask(redundancy, failed_over.run())
    assert said.about == ["1a2b-8"]
    assert said.value("acknowledged_after_promotion") == 1


def test_a_promotion_before_which_nothing_was_acknowledged_is_a_doubt(failed_over, ask):
    failed_over.tables["attempts"] = []
    failed_over.tables["events"] = [e for e in failed_over["events"] if e["kind"] != "node"]
    said = ask(redundancy, failed_over.run())
    assert [d.message for d in said.doubts] == [
        "failover: nothing was acknowledged before, so nothing could be lost",
        "no standby was read at the end, so none is known to hold anything",
    ]


def test_a_promotion_without_a_snapshot_is_a_doubt_though_a_standby_is_level(failed_over, ask):
    failed_over.tables["snapshots"] = [
        row for row in failed_over["snapshots"] if row["moment"] != "promoted"
    ]
    failed_over.sample(40, "b/db", "database_is_primary", 1)
    said = ask(redundancy, failed_over.run())
    assert said.value("standbys_judged") == 1
    (doubt,) = said.doubts
    assert doubt.message.startswith("failover: there is no snapshot of the promoted database")


def test_asynchronous_replication_promises_nothing(failed_over, ask):
    spoil(failed_over, "snapshots", "promoted", "b/db", 7)
    failed_over.meta["replication"] = "asynchronous"
    said = ask(redundancy, failed_over.run())
    assert not said.findings
    assert said.doubts[0].message.startswith("replication was asynchronous")
    assert said.value("standbys_judged") == 1
    del failed_over.meta["replication"]
    assert ask(redundancy, failed_over.run()).doubts[0].message == (
        "the run does not record whether replication was synchronous"
    )


def differ(history):
    spoil(history, "snapshots", "end", "a/db.2", 3)
    spoil(history, "snapshots", "end", "a/db.2", 4, state="processing")
    extra = {**history["snapshots"][-1], "payment": "pay-x", "intent": "1a2b-x"}
    history["snapshots"].append(extra)


def test_a_standby_that_holds_something_else_in_the_end(failed_over, ask):
    differ(failed_over)
    said = ask(redundancy, failed_over.run())
    assert [(f.message, f.intent) for f in said.findings] == [
        (
            "a/db.2 does not hold what b/db holds in the end: 1 payments missing, 1 extra, "
            "1 different",
            "1a2b-3",
        )
    ]


@pytest.mark.parametrize(
    ("metric", "value", "why"),
    [("replication_lag_bytes", 4096, "4,096 B behind"), ("replication_connected", 0, "not conn")],
)
def test_a_standby_that_was_behind_is_a_doubt(failed_over, ask, metric, value, why):
    differ(failed_over)
    failed_over.sample(20, "a/db.2", metric, 1 - bool(value))
    failed_over.sample(40, "a/db.2", metric, value)
    said = ask(redundancy, failed_over.run())
    assert not said.findings
    assert why in said.doubts[0].message


def test_a_former_primary_that_never_rejoined_is_no_standby(failed_over, ask):
    failed_over.snapshot("end", "a/db", 43.5, range(3))
    failed_over.sample(40, "a/db", "database_is_primary", 1)
    failed_over.sample(40, "b/db", "database_is_primary", 1)
    stands(failed_over, "a/db", None)
    said = ask(redundancy, failed_over.run())
    assert said.passes
    assert said.value("standbys_judged") == 1


def test_one_that_follows_a_former_primary_is_no_standby_of_this_one(failed_over, ask):
    failed_over["events"].clear()
    failed_over.remedy("failover", STEPS)
    stands(failed_over, "b/db", None)
    stands(failed_over, "a/db", None)
    stands(failed_over, "a/db.2", "a/db")
    said = ask(redundancy, failed_over.run())
    assert said.passes  # the promotion was judged
    assert said.value("standbys_judged") == 0


def test_one_that_follows_another_standby_is_a_standby(failed_over, ask):
    failed_over.snapshot("end", "a/db", 43.5, range(20))
    stands(failed_over, "a/db", "a/db.2")
    assert ask(redundancy, failed_over.run()).value("standbys_judged") == 2


def test_without_a_promotion_the_standbys_are_judged(history, ask):
    history.meta["replication"] = "synchronous"
    for node in ("a/db", "b/db"):
        history.snapshot("end", node, 43.5, range(20))
        history.sample(40, node, "database_is_primary", node == "a/db")
    stands(history, "b/db", "a/db")
    said = ask(redundancy, history.run())
    assert said.passes
    assert (said.value("acknowledged_judged"), said.value("standbys_judged")) == (0, 1)


def test_no_standby_no_primary_and_nothing_read_are_doubts(history, ask):
    history.meta["replication"] = "synchronous"
    (doubt,) = ask(redundancy, history.run()).doubts
    assert doubt.message == "it is not known which database was the primary in the end"
    history.sample(40, "a/db", "database_is_primary", 1)
    (doubt,) = ask(redundancy, history.run()).doubts
    assert doubt.message == "the primary a/db was not read at the end, or it was empty"
    history.snapshot("end", "a/db", 43.5, range(20))
    (doubt,) = ask(redundancy, history.run()).doubts
    assert doubt.message.startswith("no standby was read at the end")


def test_the_same_in_any_order(failed_over, same_in_any_order):
    differ(failed_over)
    spoil(failed_over, "snapshots", "promoted", "b/db", 7)
    same_in_any_order(redundancy, failed_over, 3)
