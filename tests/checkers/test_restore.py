from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.restore import restore
from payresil.core.values import Duration

UNTIL_S = 7.25


def known_by(history, until_s):
    """Payments that the books had by then."""
    until_us = history.meta["zero_wall_us"] + round(until_s * 1_000_000)
    return [
        row["intent"] for row in history["books_transitions"] if row["at_us"] <= until_us
    ], until_us


def restored_to(history, until_s=UNTIL_S):
    """w/db was restored to that moment, and a/db is the primary in the end."""
    history.snapshot("end", "a/db", 43.5, range(20))
    history.sample(40, "a/db", "database_is_primary", 1)
    _, until_us = known_by(history, until_s)
    history.remedy("restore", {"restore": (20, 22.5)}, until_us=until_us)
    place = {"moment": "restored", "node": "w/db", "at_ns": 22_400_000_000}
    states = {}
    for row in sorted(history["books_transitions"], key=lambda row: row["seq"]):
        if row["at_us"] <= until_us:
            states[row["payment"]] = row["to_state"]
    for row in list(history["snapshots"]):
        if row["payment"] in states:
            history["snapshots"].append(row | place | {"state": states[row["payment"]]})
    for row in list(history["snapshot_keys"]):
        if row["created_us"] <= until_us:
            history["snapshot_keys"].append(row | place)
    return history


def wrong(history, table, name, **changed):
    """Change a restored row, or drop it."""
    for row in list(history[table]):
        if row["moment"] == "restored" and name in (row.get("payment"), row.get("key")):
            history[table].remove(row)
            if changed:
                history[table].append(row | changed)


def test_all_that_there_was_and_nothing_else(history, ask):
    said = ask(restore, restored_to(history).run())
    assert said.passes
    assert said.value("payments_judged") == said.value("payments_restored") == 15
    assert said.value("keys_judged") == said.value("keys_restored") == 15
    assert said.value("payments_left_out") == 0
    assert said.value("restore_time") == 2.5


def test_about_the_point_in_time_either_is_right(history, ask):
    restored_to(history, 7.0)  # pay-14 begins 5 ms later
    said = ask(restore, history.run())
    assert said.passes
    assert (said.value("payments_left_out"), said.value("keys_left_out")) == (1, 1)
    assert said.value("payments_judged") == 14
    assert ask(restore, history.run(), clock_skew=Duration(0.001)).passes


def test_a_payment_that_is_missing(history, ask):
    wrong(restored_to(history), "snapshots", "pay-3")
    said = ask(restore, history.run())
    assert [(f.message, f.intent) for f in said.findings] == [
        ("w/db: restored without it, which was succeeded by then", "1a2b-3")
    ]


def test_a_payment_in_another_state(history, ask):
    wrong(restored_to(history), "snapshots", "pay-3", state="processing")
    (finding,) = ask(restore, history.run()).findings
    assert finding.message == "w/db: restored as processing, was succeeded by then"


def test_a_payment_that_began_later_or_never_was(history, ask):
    restored_to(history)
    row = next(row for row in history["snapshots"] if row["moment"] == "restored")
    later = {"payment": "pay-18", "intent": "1a2b-18"}
    never = {"payment": "pay-x", "intent": "1a2b-x", "created_us": None}
    history["snapshots"].extend([row | later, row | never])
    said = ask(restore, history.run())
    assert [f.message for f in said.findings] == [
        "w/db: restored as succeeded, and began 1.755 s later",
        "w/db: restored as succeeded, and the primary never had it",
    ]


def test_keys_that_are_not_in_the_backup(history, ask):
    restored_to(history)
    wrong(history, "snapshot_keys", "key-3")
    wrong(history, "snapshot_keys", "key-4", resource="pay-9")
    row = next(row for row in history["snapshot_keys"] if row["key"] == "key-18")
    history["snapshot_keys"].append(
        row | {"moment": "restored", "node": "w/db", "at_ns": 22_400_000_000}
    )
    said = ask(restore, history.run())
    assert sorted(f.message for f in said.findings) == [
        "w/db: an idempotency key names pay-9, and pay-4 at the primary",
        "w/db: restored with the idempotency key of pay-18, which was made 1.755 s later",
        "w/db: restored without the idempotency key of pay-3",
    ]


def test_no_key_at_all(history, ask):
    restored_to(history)
    history.tables["snapshot_keys"] = [
        row for row in history["snapshot_keys"] if row["moment"] == "end"
    ]
    said = ask(restore, history.run())
    assert len(said.findings) == 15
    history.tables["snapshot_keys"] = []
    (doubt,) = ask(restore, history.run()).doubts
    assert doubt.message == "w/db: no idempotency key was there at that point in time to compare"


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("snapshots", "no restored database was read, so no restore was put to the test"),
        ("events", "no remedy says to which point in time it restored (until_us)"),
        ("samples", "w/db: it is not known which database was the primary at that time"),
    ],
)
def test_what_is_not_recorded_is_a_doubt(history, ask, lacks, said):
    restored_to(history)
    tables = ("snapshots", "snapshot_keys") if lacks == "snapshots" else (lacks,)
    for table in tables:
        history.tables[table] = [
            row
            for row in history[table]
            if row.get("moment", "restored") != "restored" or row.get("kind") == "phase"
        ]
    assert [doubt.message for doubt in ask(restore, history.run()).doubts] == [said]


def failed_over_since(history, lost, at_s=30):
    """Region b took over with less than there was; a/db was read before it was made anew."""
    for table in ("snapshots", "commits", "snapshot_keys"):
        for row in list(history[table]):
            if row["moment"] == "end":
                row.update(moment="before_rejoin", at_ns=35_000_000_000)
    history.snapshot("promoted", "b/db", at_s, set(range(20)) - lost)
    history.snapshot("end", "b/db", 43.5, set(range(20)) - lost)
    return history


def test_what_a_failover_lost_later_was_there(history, ask):
    failed_over_since(restored_to(history), {3, 4})
    said = ask(restore, history.run())
    assert said.passes
    assert said.value("payments_judged") == 15
    wrong(history, "snapshots", "pay-3")
    assert ask(restore, history.run()).about == ["1a2b-3"]


def test_after_a_failover_its_primary_says_what_there_was(history, ask):
    failed_over_since(restored_to(history), {3}, at_s=15)
    assert ask(restore, history.run()).about == ["1a2b-3"]


def test_a_primary_of_then_that_nobody_read_since_is_a_doubt(history, ask):
    failed_over_since(restored_to(history), {3})
    for table in ("snapshots", "commits", "snapshot_keys"):
        history.tables[table] = [row for row in history[table] if row["moment"] != "before_rejoin"]
    (doubt,) = ask(restore, history.run()).doubts
    assert doubt.message.startswith("w/db: a/db, the primary of that time, was read neither in")


def restore_fails(history, **detail):
    history.event(20, "remedy", "restore", "begin")
    history.event(20, "remedy_step", "restore", "begin", '{"step": "restore"}')
    said = json.dumps({"step": "restore", **detail})
    history.event(21, "remedy_step", "restore", "failed", said)
    history.event(21, "remedy", "restore", "failed", said)


def test_damaged_backups_are_a_violation(history, ask):
    error = "nothing can be restored: the base backup: base/5/1259 is missing"
    restore_fails(history, error=error, damaged=True)
    said = ask(restore, history.run())
    assert [f.message for f in said.findings] == [f"restore: the backups are damaged: {error}"]


@pytest.mark.parametrize("detail", [{"damaged": False}, {}])
def test_backups_out_of_reach_are_a_doubt(history, ask, detail):
    restore_fails(history, error="w/archive does not answer", **detail)
    said = ask(restore, history.run())
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "restore: nothing was restored: w/archive does not answer",
        "no restored database was read, so no restore was put to the test",
    ]


def test_before_the_first_payment(history, ask):
    said = ask(restore, restored_to(history, -1).run())
    assert len(said.doubts) == 1
    assert said.value("payments_judged") == 0


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    until_s=st.integers(0, 100),
    dropped=st.sets(st.integers(0, 19)),
    seed=st.integers(0, 2**32),
)
def test_it_is_the_difference_of_two_sets(
    until_s, dropped, seed, flawless_run, ask, same_in_any_order
):
    history = restored_to(flawless_run(), until_s / 10 + 0.05)
    known, _ = known_by(history, until_s / 10 + 0.05)
    for n in dropped:
        wrong(history, "snapshots", f"pay-{n}")
    said = ask(restore, history.run(), clock_skew=Duration(0.001))
    assert set(said.about) == {f"1a2b-{n}" for n in dropped} & set(known)
    same_in_any_order(restore, history, seed)
