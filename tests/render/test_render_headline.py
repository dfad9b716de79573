"""The first sentence says what happened, and never more than is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from payresil.core.results import CheckResult, Exit, Finding, Measure, Outcome, Verdict
from payresil.render.headline import by_urgency, headline, judged, key_measures


def result(name, outcome, kind="money", **more):
    return CheckResult(name, kind, f"claim of {name}", outcome, **more)


def verdict(*checks, outcome=Outcome.PASS, status=0, **more):
    return Verdict("r", "s", "c", outcome, status, tuple(checks), more.pop("faults", ()), **more)


def test_a_pass_says_how_many_checks_held(flawless, story):
    said = headline(story.passed(flawless))
    assert said.word == "pass"
    assert said.sentence == "All 8 checks held; 1 fault was shown to bite."
    assert "were not tried" in said.meaning


def test_a_pass_without_faults_says_so():
    said = headline(verdict(result("a", Outcome.PASS)))
    assert said.sentence == "The one check held; no fault was injected."


def test_a_check_of_the_run_itself_is_not_counted_as_a_claim():
    whole = result("run", Outcome.PASS, "evidence")
    said = headline(verdict(result("a", Outcome.PASS), whole))
    assert said.sentence.startswith("The one check held;")
    alone = headline(verdict(whole))
    assert alone.sentence == "No check ran, so nothing was judged."


def test_money_is_told_from_objectives():
    lost = result("idempotency", Outcome.FAIL, findings=(Finding("x"),), findings_total=7)
    missed = result("latency", Outcome.FAIL, "objective")
    said = headline(verdict(lost, missed, outcome=Outcome.FAIL, status=1))
    assert said.sentence == "Money went wrong: 7 violations of idempotency. Not met: latency."
    only = headline(verdict(missed, outcome=Outcome.FAIL, status=1))
    assert "No violation about money was found" in only.meaning


def test_what_is_undecided_is_named(flawless, story):
    said = headline(story.undecided(flawless))
    assert said.word == "inconclusive"
    assert "Not decided: idempotency, latency." in said.sentence
    assert "Not shown to bite: psp_lost_answers." in said.sentence
    assert "held" not in said.sentence


@pytest.mark.parametrize(
    ("outcome", "status", "word"),
    [
        (Outcome.INCONCLUSIVE, Exit.BROKEN, "broken"),
        (Outcome.PASS, Exit.INTERRUPTED, "interrupted"),
        (Outcome.FAIL, Exit.FAIL, "fail"),
        (Outcome.FAIL, Exit.PASS, "fail"),  # a report is never greener than its outcome
        (Outcome.INCONCLUSIVE, Exit.PASS, "inconclusive"),
    ],
)
def test_the_word_follows_the_exit_status_but_not_to_green(outcome, status, word):
    assert headline(verdict(outcome=outcome, status=status)).word == word


def test_nothing_judged_is_said():
    said = headline(verdict(outcome=Outcome.INCONCLUSIVE, status=3))
    assert said.sentence == "No check ran, so nothing was judged."


def test_many_names_are_cut():
    many = [result(f"c{i}", Outcome.INCONCLUSIVE) for i in range(9)]
    said = headline(verdict(*many, outcome=Outcome.INCONCLUSIVE, status=3))
    assert said.sentence == "Not decided: c0, c1, c2, c3, c4 and 4 more."


def test_recovery_and_data_loss_come_first(flawless, story):
    names = [measure.name for measure in key_measures(story.passed(flawless))]
    assert names == ["recovery_time", "recovery_after_heal", "data_loss", "data_loss_eur"]


def test_what_a_failover_lost_stands_for_what_is_gone():
    lost = (
        Measure("data_loss_eur", 9, "minor units of eur"),
        Measure("data_loss", 3, "payments"),
        Measure("data_loss.failover", 3, "payments"),
        Measure("data_loss_after_reconciliation", 1, "payments"),
    )
    gone = (Measure("data_loss", 5, "payments"), Measure("data_loss_usd", 7))
    by_failover = result("data_loss", Outcome.PASS, "objective", measures=lost)
    in_the_end = result("durability", Outcome.FAIL, measures=gone)
    named = [(m.name, m.value) for m in key_measures(verdict(in_the_end, by_failover))]
    assert named == [("data_loss", 3), ("data_loss_after_reconciliation", 1), ("data_loss_eur", 9)]
    assert [m.value for m in key_measures(verdict(in_the_end))] == [5, 7]


def test_what_was_judged_is_counted():
    measures = (Measure("intents_judged", 1201), Measure("psp_charges_judged", None))
    assert judged(result("a", Outcome.PASS, measures=measures)) == [
        "1,201 intents",
        "0 psp charges",
    ]
    assert judged(result("a", Outcome.PASS)) == []


def test_the_worst_comes_first_and_money_before_objectives():
    a = result("a", Outcome.PASS, "objective")
    b, c = replace(a, name="b", kind="money"), replace(a, name="c", outcome=Outcome.FAIL)
    assert [check.name for check in by_urgency([a, b, c])] == ["c", "b", "a"]
