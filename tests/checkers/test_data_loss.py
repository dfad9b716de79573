from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.data_loss import data_loss
from payresil.checkers.durability import durability
from payresil.core import registry
from payresil.core.schema import parameters_of
from payresil.core.values import Duration

#: Of the flawless run: payments are due every half second from 0 on, and the fault begins at 10.
PAID = [n for n in range(20) if n % 7 != 6]
STEPS = {"detect": (10, 11), "promote": (14, 14.5), "switch": (14.5, 15)}


def fail_over(history, survived, node="b/db", name="failover", later_s=0.0):
    steps = {step: (start + later_s, end + later_s) for step, (start, end) in STEPS.items()}
    history.remedy(name, steps)
    history.snapshot("promoted", node, 14.6 + later_s, survived)


def test_what_a_promoted_database_does_not_hold_is_lost(history, ask):
    fail_over(history, [n for n in PAID if n not in (17, 18)])
    said = ask(data_loss, history.run(), payments=5)
    assert said.passes
    assert said.value("acknowledged_judged") == 18
    assert said.value("data_loss") == 2
    assert said.value("data_loss_eur") == 1017 + 1018
    assert said.value("data_loss_oldest") == pytest.approx(10 - 8.52)
    assert said.value("data_loss_after_reconciliation") == 0
    assert said.measures["data_loss"].objective == "at most 5"


def test_nothing_lost(history, ask):
    fail_over(history, PAID)
    said = ask(data_loss, history.run(), payments=0, amount_minor=0, rpo=Duration(0.0))
    assert said.passes
    assert said.value("data_loss") == said.value("data_loss_oldest") == 0
    assert "data_loss_eur" not in said.measures


def test_more_than_the_objectives_allow_with_the_oldest_as_witness(history, ask):
    fail_over(history, [n for n in PAID if n < 15])
    said = ask(data_loss, history.run(), payments=3, amount_minor=4000, rpo=Duration(2.5))
    lost = "failover: 5 acknowledged payments are absent from b/db when it was promoted"
    named = "1a2b-16, 1a2b-17, 1a2b-18 and 2 more"
    assert [finding.message for finding in said.findings] == [
        f"{lost}, at most 3 allowed: {named}",
        f"{lost}, of 5,085 eur in all, at most 4,000 allowed: {named}",
    ]
    assert said.about == ["1a2b-16"] * 2
    (finding,) = ask(data_loss, history.run(), rpo=Duration(1.5)).findings
    assert finding.message == (
        f"{lost}, the oldest acknowledged 2.500 s before the last; the RPO is 1500ms: {named}"
    )


@pytest.mark.parametrize(("allowed", "found"), [(2, 0), (1, 1)])
def test_exactly_the_objective_is_within_it(history, ask, allowed, found):
    fail_over(history, [n for n in PAID if n not in (17, 18)])
    assert len(ask(data_loss, history.run(), payments=allowed).findings) == found


def test_a_payment_in_another_state_is_lost(history, ask):
    history.of("books_payments", 3)["state"] = "processing"
    fail_over(history, PAID)
    history.of("books_payments", 3)["state"] = "succeeded"
    said = ask(data_loss, history.run(), after_reconciliation=0)
    assert said.passes  # it was rebuilt
    assert said.value("data_loss") == 1


def test_what_reconciliation_could_not_rebuild(history, ask):
    fail_over(history, [n for n in PAID if n not in (17, 18)])
    history.drop("books_payments", 18)
    said = ask(data_loss, history.run(), after_reconciliation=0)
    assert [finding.message for finding in said.findings] == [
        "after reconciliation: 1 acknowledged payment is absent from the books of the service, "
        "at most 0 allowed: 1a2b-18"
    ]
    assert said.value("data_loss_after_reconciliation_eur") == 1018


def test_what_was_acknowledged_after_the_promotion_had_begun_is_not_lost_by_it(history, ask):
    history.attempt(90, 13.9, took_ms=200)
    fail_over(history, PAID)
    said = ask(data_loss, history.run(), payments=0)
    assert said.passes
    assert said.value("data_loss_after_reconciliation") == 1  # and yet it is nowhere


def test_a_single_one_acknowledged_after_the_fault_had_begun_has_no_age(history, ask):
    history.attempt(90, 11)
    fail_over(history, PAID)
    said = ask(data_loss, history.run(), rpo=Duration(0.0))
    assert said.passes
    assert (said.value("data_loss"), said.value("data_loss_oldest")) == (1, 0)


def test_what_a_region_that_went_on_lost_is_as_old_as_it_went_on(history, ask):
    history.attempt(90, 11)
    history.attempt(91, 13)
    fail_over(history, PAID)
    said = ask(data_loss, history.run(), rpo=Duration(1))
    assert said.value("data_loss_oldest") == pytest.approx(2)
    (finding,) = said.findings
    assert "the oldest acknowledged 2.000 s before the last; the RPO is 1s" in finding.message


def test_what_a_planned_failback_lost_is_as_old_as_it_was_at_the_promotion(history, ask):
    history.attempt(90, 21.9)
    fail_over(history, PAID, "a/db", "failback", later_s=10)  # after the fault was healed
    (finding,) = ask(data_loss, history.run(), rpo=Duration(1)).findings
    assert "the oldest acknowledged 2.080 s before" in finding.message


def test_the_worst_of_several_promotions_counts(history, ask):
    fail_over(history, [n for n in PAID if n != 18])
    fail_over(history, [n for n in PAID if n > 3], "a/db", "failover.2", later_s=10)
    said = ask(data_loss, history.run(), payments=2)
    assert said.value("data_loss") == said.value("data_loss.failover.2") == 4
    assert said.value("data_loss.failover") == 1
    assert said.value("data_loss_eur") == 1000 + 1001 + 1002 + 1003
    (finding,) = said.findings
    assert finding.message.startswith("failover.2: 4 acknowledged payments are absent from a/db")


def test_no_remedy_no_snapshot_no_payment_and_no_objective_are_doubts(history, empty, ask):
    said = ask(data_loss, history.run())
    assert [doubt.message for doubt in said.doubts] == [
        "no objective is set: give rpo a duration, or payments, amount_minor or "
        "after_reconciliation a number",
        "no remedy promoted a database, so it was not put to the test what survives",
    ]
    empty.remedy("failover", STEPS)
    said = ask(data_loss, empty.run(), payments=0)
    assert [doubt.message for doubt in said.doubts] == [
        "failover: there is no snapshot of the promoted database, or it was empty, so what "
        "survived is not known",
        "failover: nothing was acknowledged before, so nothing could be lost",
    ]
    assert not said.findings


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    survived=st.sets(st.sampled_from(PAID)),
    unfinished=st.sets(st.sampled_from(PAID)),
    promoted_s=st.integers(13, 20),
    seed=st.integers(0, 2**32),
)
def test_it_is_the_difference_of_two_sets(
    survived, unfinished, promoted_s, seed, flawless_run, ask, same_in_any_order
):
    history = flawless_run()
    for n in unfinished:
        history.of("books_payments", n)["state"] = "processing"
    survived |= {0}
    fail_over(history, survived, later_s=promoted_s - 14)
    for n in unfinished:
        history.of("books_payments", n)["state"] = "succeeded"
    said = ask(data_loss, history.run(), payments=100)
    acknowledged = {
        row["n"]: row["done_ns"]
        for row in history["attempts"]
        if row["answer"] == "succeeded" and row["done_ns"] < round(promoted_s * 1e9)
    }
    lost = set(acknowledged) - (survived - unfinished)
    assert said.value("acknowledged_judged") == len(acknowledged)
    assert said.value("data_loss") == len(lost)
    if lost:
        oldest_ns = min(acknowledged[n] for n in lost)
        until_ns = max(10_000_000_000, *(acknowledged[n] for n in lost))
        assert said.value("data_loss_eur") == sum(1000 + n for n in lost)
        assert said.value("data_loss_oldest") == (until_ns - oldest_ns) / 1e9
    same_in_any_order(data_loss, history, seed, payments=0)


def test_objectives_that_mean_nothing_are_refused():
    refused = registry.checkers.get("data_loss").traits["bounds"]
    unset = dict.fromkeys(("rpo", "payments", "amount_minor", "after_reconciliation"))
    assert [name for name, _ in refused(unset)] == ["rpo"]
    assert list(refused({**unset, "payments": -1})) == [("payments", "0 or more")]
    assert list(refused({**unset, "payments": 0, "rpo": Duration(0.0)})) == []


def test_yaml_can_express_its_parameters():
    names = ["rpo", "payments", "amount_minor", "after_reconciliation"]
    fields = parameters_of(data_loss)
    assert [(field.name, field.default) for field in fields] == [(name, None) for name in names]


def test_durability_finds_the_same_payments_lost(history, ask):
    fail_over(history, [n for n in PAID if n not in (17, 18)])
    history.drop("books_payments", 18)
    history.of("books_payments", 17)["created_us"] += 20_000_000  # rebuilt after the failover
    by_failover = ask(data_loss, history.run(), payments=5)
    in_the_end = ask(durability, history.run())
    assert set(in_the_end.about) == {"1a2b-17", "1a2b-18"}
    for measure in ("data_loss", "data_loss_eur"):
        assert by_failover.value(measure) == in_the_end.value(measure)
    assert by_failover.value("data_loss_after_reconciliation") == 1
