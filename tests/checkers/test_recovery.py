from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.recovery import recovery
from payresil.core.values import Duration, Share

RTO = Duration(15)


def customers(history, bad=(), *, every_s=0.1, until_s=40.0, since_s=0.0, **more):
    """A payment every so often; those due in one of the `bad` spans (seconds) are not ok."""
    for i in range(round((until_s - since_s) / every_s)):
        due_s = since_s + i * every_s
        down = any(start <= due_s + 1e-9 < end for start, end in bad)
        history.attempt(
            len(history["attempts"]), due_s, outcome="unknown" if down else "ok", **more
        )


def test_an_outage_that_never_was_is_zero(empty, ask):
    customers(empty)
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time") == said.value("recovery_after_heal") == 0
    assert said.value("windows_judged") == 30
    assert said.value("intents_judged") == 300
    assert said.measures["recovery_time"].objective == "at most 15s"


@pytest.mark.parametrize(
    ("bad", "took_s", "after_heal_s"),
    [
        ([(10, 20)], 10, 1.99),  # healed at 18.01
        ([(10, 20.1)], 11, 2.99),  # one bad payment makes its window bad
        ([(10.5, 12)], 2, 0),
        ([(14, 15)], 5, 0),  # not at once, but from the fault's start all the same
        ([(10, 11), (22.5, 22.6)], 13, 4.99),  # it came back for a moment
    ],
)
def test_from_the_fault_s_start_to_the_first_window_that_stays_good(
    empty, ask, bad, took_s, after_heal_s
):
    customers(empty, bad)
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time") == took_s
    assert said.value("recovery_after_heal") == pytest.approx(after_heal_s)


def test_what_was_bad_before_the_fault_does_not_count(empty, ask):
    customers(empty, [(0, 10)])
    assert ask(recovery, empty.run(), rto=RTO).value("recovery_time") == 0


def test_later_than_the_objective(empty, ask):
    customers(empty, [(10, 26)])
    said = ask(recovery, empty.run(), rto=RTO)
    assert [f.message for f in said.findings] == [
        "lost: recovered 16.000 s after its start; the RTO is 15s"
    ]
    assert said.value("recovery_time") == 16


def test_exactly_the_objective_is_within_it(empty, ask):
    customers(empty, [(10, 25)])
    assert ask(recovery, empty.run(), rto=RTO).passes


def test_never_recovered(empty, ask):
    customers(empty, [(10, 41)])
    said = ask(recovery, empty.run(), rto=RTO)
    assert [f.message for f in said.findings] == [
        "lost: not recovered 30.000 s after its start; the RTO is 15s"
    ]
    assert said.value("recovery_time") is None


def test_not_recovered_before_the_objective_had_passed_is_a_doubt(empty, ask):
    customers(empty, [(10, 41)])
    said = ask(recovery, empty.run(), rto=Duration(60))
    assert not said.findings
    assert len(said.doubts) == 1


def test_the_threshold(empty, ask):
    customers(empty, [(13, 13.2)])  # 8 of 10 ok
    assert ask(recovery, empty.run(), rto=RTO).value("recovery_time") == 4
    assert ask(recovery, empty.run(), rto=RTO, threshold=Share(0.8)).value("recovery_time") == 0
    assert ask(recovery, empty.run(), rto=RTO, threshold=Share(0.81)).value("recovery_time") == 4


def test_the_window(empty, ask):
    customers(empty, [(13, 13.2)])
    said = ask(recovery, empty.run(), rto=RTO, window=Duration(0.2))
    assert said.value("recovery_time") == 3.2
    assert ask(recovery, empty.run(), rto=RTO, window=Duration(5)).value("recovery_time") == 5


def test_probes_count(empty, ask):
    customers(empty)
    customers(empty, [(10, 12)], every_s=0.5, source="probe")
    assert ask(recovery, empty.run(), rto=RTO).value("recovery_time") == 2


def test_the_audit_does_not(empty, ask):
    customers(empty)
    customers(empty, [(10, 12)], every_s=0.5, source="audit")
    assert ask(recovery, empty.run(), rto=RTO).value("recovery_time") == 0


def test_no_fault_is_a_doubt(empty, ask):
    customers(empty)
    empty.tables["events"] = [e for e in empty["events"] if e["kind"] != "fault"]
    said = ask(recovery, empty.run(), rto=RTO)
    assert [d.message for d in said.doubts] == [
        "no fault was injected, so there was nothing to recover from"
    ]
    assert said.value("intents_judged") == 0


def test_no_customers_is_a_doubt(empty, ask):
    said = ask(recovery, empty.run(), rto=RTO)
    assert [d.message for d in said.doubts] == [
        "lost: no payment and no probe was due after it began"
    ]


def test_a_gap_in_the_data_that_could_hide_a_longer_outage_is_a_doubt(empty, ask):
    customers(empty, until_s=12)
    customers(empty, since_s=27)
    said = ask(recovery, empty.run(), rto=RTO)
    assert not said.findings
    assert len(said.doubts) == 1
    assert said.value("recovery_time") == 17  # at most


def test_a_gap_that_cannot_change_the_answer_is_none(empty, ask):
    customers(empty, until_s=12)
    customers(empty, since_s=14)
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time") == 4  # at most


def test_never_healed_is_a_doubt(empty, ask):
    customers(empty)
    empty.tables["events"] = [e for e in empty["events"] if e["what"] != "healed"]
    said = ask(recovery, empty.run(), rto=RTO)
    assert [d.message for d in said.doubts] == [
        "lost: it was never healed, so recovery was not seen"
    ]
    assert said.value("recovery_after_heal") is None


def test_watched_too_short_after_the_outage_is_a_doubt(empty, ask):
    customers(empty, [(10, 38)])
    said = ask(recovery, empty.run(), rto=Duration(29))
    assert [d.message for d in said.doubts] == [
        "lost: watched for only 2.000 s after it was healed and over; "
        "it takes 3 windows of 1s at least"
    ]


def test_a_run_that_was_cut_short_is_a_doubt(empty, ask):
    customers(empty)
    empty.tables["events"] = [e for e in empty["events"] if e["name"] != "drain"]
    said = ask(recovery, empty.run(), rto=RTO)
    assert [d.message for d in said.doubts] == [
        "the run does not record that it ran to the end of traffic (phase drain)"
    ]


def second_fault(history, inject_s, healed_s):
    for at_s, what in ((inject_s, "inject"), (inject_s, "injected"), (healed_s, "healed")):
        history.event(at_s, "fault", "cut", what)


def test_faults_apart_are_judged_one_by_one(empty, ask):
    second_fault(empty, 25, 27)
    customers(empty, [(10, 13), (25, 32)])
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time.lost") == 3
    assert said.value("recovery_time.cut") == said.value("recovery_time") == 7
    assert said.value("recovery_after_heal.cut") == 5


def test_not_recovered_when_the_next_fault_begins(empty, ask):
    second_fault(empty, 28, 30)
    customers(empty, [(10, 31)])
    said = ask(recovery, empty.run(), rto=RTO)
    assert [f.message for f in said.findings] == [
        "lost: not recovered 18.000 s after its start; the RTO is 15s"
    ]


def test_faults_that_overlap_are_one_episode(empty, ask):
    second_fault(empty, 15, 22)
    customers(empty, [(10, 23)])
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.value("recovery_time") == 13
    assert said.value("recovery_after_heal") == 1
    assert "recovery_time.cut" not in said.measures


def test_what_the_next_fault_spoilt_is_not_held_against_this_one(empty, ask):
    second_fault(empty, 28, 30)
    customers(empty, [(10, 13), (27.5, 30)], took_ms=900)  # due before 28, answered after it
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time.lost") == 3
    assert said.value("recovery_time.cut") == 2


def test_what_was_answered_before_the_next_fault_is(empty, ask):
    second_fault(empty, 28, 30)
    customers(empty, [(10, 13), (27.5, 30)], took_ms=100)
    said = ask(recovery, empty.run(), rto=RTO)
    assert [f.message for f in said.findings] == [
        "lost: not recovered 18.000 s after its start; the RTO is 15s"
    ]


def other_fault(history, name, inject_s, healed_s=None):
    history.event(inject_s, "fault", name, "inject")
    if healed_s is not None:
        history.event(healed_s, "fault", name, "healed")


@pytest.fixture
def paused_before(empty):
    """Commits wait for b/db, which is paused from 4 on; the fault of the run begins at 10."""
    other_fault(empty, "replication_pause", 4, 20)
    empty.remedy("degrade_to_async", {"detect": (0, 6.5), "degrade": (6.75, 7)})
    return empty


def test_a_fault_that_need_not_be_noticed_is_judged_where_it_was(paused_before, ask):
    customers(paused_before, [(4, 7), (10, 12)])
    said = ask(recovery, paused_before.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time.replication_pause") == said.value("recovery_time") == 3
    assert said.value("recovery_time.lost") == 2
    assert said.value("detection_time") == 2.5


def test_and_is_not_where_it_was_not(paused_before, ask):
    customers(paused_before, [(10, 12)])
    said = ask(recovery, paused_before.run(), rto=RTO)
    assert said.value("recovery_time") == 2
    assert "recovery_time.replication_pause" not in said.measures


def test_payments_that_the_next_fault_spoilt_were_not_unserved_before(paused_before, ask):
    customers(paused_before, [(9.5, 12)], took_ms=900)
    assert "recovery_time.lost" not in ask(recovery, paused_before.run(), rto=RTO).measures


@pytest.mark.parametrize("at_s", [11, 12.5, 19])
def test_one_that_begins_while_another_is_felt_is_none(empty, ask, at_s):
    other_fault(empty, "archive_loss", at_s, 25)
    customers(empty, [(10, 20)])
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.value("recovery_time") == 10
    assert "recovery_time.archive_loss" not in said.measures


def test_of_several_it_is_the_one_that_had_begun_last(empty, ask):
    empty.tables["events"] = [e for e in empty["events"] if e["kind"] != "fault"]
    other_fault(empty, "archive_loss", 5, 30)
    other_fault(empty, "standby_loss", 10, 20)
    customers(empty, [(10, 14)])
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time") == 4


def test_noticed_by_nobody_they_are_all_that_there_is_to_judge(empty, ask):
    empty.tables["events"] = [e for e in empty["events"] if e["kind"] != "fault"]
    other_fault(empty, "archive_loss", 5, 30)
    customers(empty)
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time") == 0


FAILOVER = {
    "detect": (10, 12),
    "decide": (12, 12.5),
    "fence": (12.5, 14.5),
    "promote": (14.5, 15.25),
    "switch": (15.25, 15.5),
    "resolve": (15.5, 19),
    "reconcile": (19, 21),
}


def never_healed(history, at_s=None):
    """The fault lasts to the end, or is healed then."""
    history.tables["events"] = [e for e in history["events"] if not e["what"].startswith("heal")]
    if at_s is not None:
        history.event(at_s, "fault", "lost", "heal")
        history.event(at_s, "fault", "lost", "healed")


@pytest.mark.parametrize("healed_s", [None, 39.9, 18])
def test_a_remedy_recovers_what_is_still_broken(empty, ask, healed_s):
    customers(empty, [(10, 15.4)])
    never_healed(empty, healed_s)
    empty.remedy("failover", FAILOVER)
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.passes
    assert said.value("recovery_time") == 6
    assert said.value("detection_time") == 2
    assert said.value("decision_time") == 0.5
    assert said.value("step_fence") == 2
    assert said.value("step_promote") == 0.75
    assert said.value("step_switch") == 0.25
    assert said.value("step_resolve") == 3.5
    assert said.value("step_reconcile") == 2
    assert said.value("time_to_zero_unknowns") == 9
    assert said.value("time_to_zero_unreconciled") == 11


def test_without_a_remedy_what_is_still_broken_is_not_recovered(empty, ask):
    customers(empty, [(10, 15.4)])
    never_healed(empty)
    said = ask(recovery, empty.run(), rto=RTO)
    assert [d.message for d in said.doubts] == [
        "lost: it was never healed, so recovery was not seen"
    ]
    assert not any(name.startswith(("step_", "detection")) for name in said.measures)


def test_a_remedy_that_failed_or_answered_something_else_recovers_nothing(empty, ask):
    customers(empty, [(10, 15.4)])
    never_healed(empty)
    empty.remedy("deploy", {"replace": (2, 9), "more": (9, 11)})  # it began before the fault
    empty.event(11, "remedy", "failover", "begin")
    empty.event(11, "remedy_step", "failover", "begin", '{"step": "detect"}')
    empty.event(12, "remedy_step", "failover", "failed", '{"step": "detect", "error": "no"}')
    empty.event(12, "remedy", "failover", "failed")
    said = ask(recovery, empty.run(), rto=RTO)
    assert len(said.doubts) == 1
    assert said.value("detection_time") is None
    assert "step_replace" not in said.measures


def test_a_remedy_that_did_not_help_is_a_miss(empty, ask):
    customers(empty, [(10, 41)])
    empty.remedy("failover", FAILOVER)
    assert len(ask(recovery, empty.run(), rto=RTO).findings) == 1


def test_after_a_remedy_too_it_takes_some_windows(empty, ask):
    customers(empty, [(10, 37.5)])
    never_healed(empty)
    empty.remedy("failover", FAILOVER)
    said = ask(recovery, empty.run(), rto=Duration(29))
    assert [d.message[:38] for d in said.doubts] == ["lost: watched for only 2.000 s after i"]


def test_of_several_remedies_each_step_is_named(empty, ask):
    customers(empty)
    empty.remedy("failover", FAILOVER)
    empty.remedy("failback", {"catch_up": (30, 33), "promote": (33, 34)})
    said = ask(recovery, empty.run(), rto=RTO)
    assert said.value("step_promote.failover") == 0.75
    assert said.value("step_promote.failback") == 1
    assert said.value("step_catch_up.failback") == 3
    assert "step_promote" not in said.measures


def test_detection_counts_from_the_fault_that_was_answered(empty, ask):
    customers(empty)
    empty.event(9, "fault", "lag", "inject")
    empty.event(30, "fault", "lag", "healed")
    empty.remedy("failover", FAILOVER)
    assert ask(recovery, empty.run(), rto=RTO).value("detection_time") == 2


def stand_still(history, start_s, end_s, source="load"):
    """A sender does nothing for so long: then it sends what was due, and sees what came."""
    start_ns, end_ns = round(start_s * 1e9), round(end_s * 1e9)
    for row in history["attempts"]:
        if row["source"] != source:
            continue
        if start_ns <= row["due_ns"] < end_ns:
            row["sent_ns"] = end_ns + (row["due_ns"] - start_ns) // 1000
            row["done_ns"] = row["sent_ns"] + 20_000_000
        elif row["due_ns"] < start_ns < row["done_ns"]:
            row["done_ns"] = end_ns


def test_a_miss_that_is_the_harness_s_own_standstill_is_undecided(empty, ask):
    customers(empty, [(10, 14), (26, 28)])
    stand_still(empty, 26, 28)
    said = ask(recovery, empty.run(), rto=RTO)
    assert [d.message for d in said.doubts] == [
        "lost: recovered 18.000 s after its start; the RTO is 15s; undecided, since the harness "
        "itself stood still for 2.000 s of that time"
    ]
    assert not said.findings
    assert said.value("recovery_time") == 18


def test_the_same_with_a_harness_that_was_in_time_is_a_finding(empty, ask):
    customers(empty, [(10, 14), (26, 28)])
    assert len(ask(recovery, empty.run(), rto=RTO).findings) == 1


def test_payments_under_way_when_the_harness_stood_still_say_nothing(empty, ask):
    customers(empty, [(10, 14), (25.5, 28)], took_ms=1500)
    stand_still(empty, 26, 28)
    said = ask(recovery, empty.run(), rto=RTO)
    assert not said.findings
    assert said.doubts


def test_payments_that_were_mostly_waited_for_are_held_against_the_system(empty, ask):
    customers(empty, [(10, 27)], took_ms=1500)
    stand_still(empty, 26, 26.5)
    assert len(ask(recovery, empty.run(), rto=RTO).findings) == 1


@pytest.mark.parametrize(("end_s", "found"), [(26, 0), (27, 1)])
def test_a_recovery_is_later_by_a_standstill_at_the_most(empty, ask, end_s, found):
    customers(empty, [(10, end_s)])
    stand_still(empty, 20, 21)
    said = ask(recovery, empty.run(), rto=RTO)
    assert len(said.findings) == found
    assert len(said.doubts) == 1 - found


def test_not_recovered_is_a_finding_whatever_stood_still_meanwhile(empty, ask):
    customers(empty, [(10, 41)])
    stand_still(empty, 20, 25)
    assert len(ask(recovery, empty.run(), rto=RTO).findings) == 1


def test_not_recovered_since_the_harness_stood_still_at_the_end_is_undecided(empty, ask):
    customers(empty, [(10, 14), (38, 41)])
    stand_still(empty, 38, 39.2)
    said = ask(recovery, empty.run(), rto=RTO)
    assert not said.findings
    assert "not recovered 30.000 s after its start" in said.doubts[0].message
    assert "stood still for 1.200 s" in said.doubts[0].message


def test_probes_in_time_tell_though_the_load_stood_still(empty, ask):
    customers(empty, [(26, 28)])
    customers(empty, [(26, 28)], every_s=0.2, source="probe")
    stand_still(empty, 26, 28)
    assert ask(recovery, empty.run(), rto=Duration(13)).findings
    stand_still(empty, 26, 28, source="probe")
    assert not ask(recovery, empty.run(), rto=Duration(13)).findings


@pytest.mark.parametrize("patience_s", [5, 10])
def test_customers_who_wait_for_a_free_one_are_no_standstill(empty, ask, patience_s):
    customers(empty, [(10, 30)])
    free_ns = [0] * 40
    for row in empty["attempts"]:  # who is not answered is at work for all of their patience
        patience_ns = 20_000_000 if row["outcome"] == "ok" else patience_s * 1_000_000_000
        row["sent_ns"] = max(row["due_ns"], free_ns.pop(0))
        row["done_ns"] = row["sent_ns"] + patience_ns
        free_ns = sorted([*free_ns, row["done_ns"]])
    assert max(row["sent_ns"] - row["due_ns"] for row in empty["attempts"]) > 2_000_000_000
    empty.meta["most_customers"] = 40
    said = ask(recovery, empty.run(), rto=RTO)
    assert [f.message for f in said.findings] == [
        "lost: recovered 20.000 s after its start; the RTO is 15s"
    ]


def test_a_standstill_never_makes_a_pass_of_a_miss(empty, ask):
    customers(empty, [(10, 26)])
    stand_still(empty, 10, 26)
    said = ask(recovery, empty.run(), rto=RTO)
    assert not said.passes
    assert not said.findings


def by_hand(times, bad, start_s, end_s, width_s):
    """The definition, window by window, in whole tenths of a second."""
    windows = []
    at = start_s
    while at < end_s:
        due = [t for t in times if at <= t < min(at + width_s, end_s)]
        windows.append(all(t not in bad for t in due))
        at += width_s
    for first in range(len(windows)):
        if all(windows[first:]):
            return first * width_s
    return None


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    bad=st.sets(st.integers(0, 399), max_size=12),
    width=st.integers(3, 60),
)
def test_against_the_definition_in_any_order(seed, bad, width, empty_run, ask, same_in_any_order):
    history = empty_run()
    tenths = list(range(400))
    random.Random(seed).shuffle(tenths)
    for tenth in tenths:
        history.attempt(tenth, tenth / 10, outcome="unknown" if tenth in bad else "ok")
    window = Duration(width / 10)
    said = ask(recovery, history.run(), rto=Duration(60), window=window, threshold=Share(1.0))
    expected = by_hand(range(400), bad, 100, 400, width)
    measured = said.value("recovery_time")
    assert measured == (None if expected is None else pytest.approx(expected / 10))
    same_in_any_order(recovery, history, seed, rto=Duration(60), window=window)
