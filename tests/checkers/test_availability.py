from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.availability import availability
from payresil.core.intervals import wilson
from payresil.core.values import Share


def due(history, n, start_s, span_s, *, ok, source="load"):
    """`n` payments due evenly over a span, the first `ok` of them answered."""
    for i in range(n):
        number = len(history["attempts"])
        answered = i < ok
        history.attempt(
            number,
            start_s + span_s * i / n,
            source=source,
            outcome="ok" if answered else "unknown",
            answer="succeeded" if answered else None,
        )


def test_all_ok_and_enough_of_them(empty, ask):
    due(empty, 400, 0, 10, ok=400)
    said = ask(availability, empty.run(), steady=Share(0.99))
    assert said.passes
    steady = said.measures["steady_availability"]
    assert steady.value == 1
    assert (steady.low, steady.high) == wilson(400, 400)
    assert steady.objective == "at least 99%"
    assert said.value("steady_intents_judged") == 400


def test_too_few_to_decide_says_how_many_it_takes(empty, ask):
    due(empty, 300, 0, 10, ok=300)
    said = ask(availability, empty.run(), steady=Share(0.99))
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "steady: 300 of 300 due payments ended ok: too few to decide on 99% (95 % interval "
        "98.74% to 100.00%); it takes 381 due payments even when all are ok"
    ]


def test_clearly_below(empty, ask):
    due(empty, 400, 0, 10, ok=380)
    said = ask(availability, empty.run(), steady=Share(0.99))
    assert [f.message for f in said.findings] == [
        "steady: 380 of 400 due payments ended ok, 95.000%; the objective is 99%"
    ]
    assert said.value("steady_unknown") == 20


def test_missed_while_the_generator_was_the_bottleneck_is_undecided(empty, ask):
    due(empty, 400, 0, 10, ok=380)
    for row in empty["attempts"]:
        row["sent_ns"] = row["due_ns"] + 30_000_000
    said = ask(availability, empty.run(), steady=Share(0.99))
    assert not said.findings
    assert [d.message.split(":")[0] for d in said.doubts] == [
        "steady",
        "the load generator was the bottleneck",
    ]


def test_met_though_the_generator_was_late_is_met(empty, ask):
    due(empty, 400, 0, 10, ok=400)
    for row in empty["attempts"]:
        row["sent_ns"] = row["due_ns"] + 30_000_000
    assert ask(availability, empty.run(), steady=Share(0.99)).passes


def test_below_by_less_than_chance_is_a_doubt(empty, ask):
    due(empty, 400, 0, 10, ok=395)
    said = ask(availability, empty.run(), steady=Share(0.99))
    assert said.doubts
    assert not said.findings


def test_each_phase_counts_who_was_due_in_it(empty, ask):
    due(empty, 100, -2, 2, ok=0)  # warm-up
    due(empty, 100, 0, 10, ok=100)
    due(empty, 80, 10, 8, ok=40)
    due(empty, 60, 18, 22, ok=59)
    said = ask(availability, empty.run(), faulted=Share(0.3))
    assert said.passes
    counts = {p: said.value(f"{p}_intents_judged") for p in ("steady", "faulted", "recovering")}
    assert counts == {"steady": 100, "faulted": 80, "recovering": 60}
    assert said.value("faulted_availability") == 0.5
    assert said.measures["steady_availability"].objective is None


def test_an_objective_of_nothing_is_an_objective(empty, ask):
    due(empty, 80, 10, 8, ok=0)
    said = ask(availability, empty.run(), faulted=Share(0.0))
    assert said.passes
    assert said.measures["faulted_availability"].objective == "at least 0%"


def test_no_objective_at_all_is_a_doubt(empty, ask):
    due(empty, 80, 10, 8, ok=80)
    assert [d.message for d in ask(availability, empty.run()).doubts] == [
        "no objective is set: give steady, faulted or recovering a share"
    ]


def test_borders_belong_to_the_phase_that_begins(empty, ask):
    due(empty, 1, 0, 1, ok=1)
    due(empty, 1, 10, 1, ok=1)
    said = ask(availability, empty.run())
    assert said.value("steady_intents_judged") == said.value("faulted_intents_judged") == 1


def test_a_phase_that_comes_back_is_counted_each_time_and_not_between(empty, ask):
    for at_s, what in ((25, "begin"), (30, "end")):
        empty.event(at_s, "phase", "faulted", what)
    recovering = [e for e in empty["events"] if e["name"] == "recovering"]
    recovering[1]["at_ns"] = 25_000_000_000
    for at_s, what in ((30, "begin"), (40, "end")):
        empty.event(at_s, "phase", "recovering", what)
    due(empty, 40, 0, 40, ok=40)
    said = ask(availability, empty.run())
    assert said.value("faulted_intents_judged") == 8 + 5
    assert said.value("recovering_intents_judged") == 7 + 10


def test_the_prober_is_left_out(empty, ask):
    due(empty, 50, 0, 10, ok=50)
    due(empty, 50, 0, 10, ok=0, source="probe")
    assert ask(availability, empty.run()).value("steady_availability") == 1


def test_due_before_answered_after_counts_where_it_was_due(empty, ask):
    empty.attempt(1, 9.9, 30_000)
    assert ask(availability, empty.run()).value("steady_intents_judged") == 1


def test_a_decline_is_an_answer_and_lowers_only_what_was_approved(empty, ask):
    due(empty, 50, 0, 10, ok=50)
    for row in empty["attempts"][:10]:
        row["answer"] = "declined"
    said = ask(availability, empty.run())
    assert said.value("steady_availability") == 1
    assert said.value("steady_approved") == 0.8


def test_an_intent_that_was_ok_on_retry_is_ok(empty, ask):
    empty.attempt(1, 1, outcome="unknown", answer=None)
    empty.attempt(1, 3, attempt=2)
    assert ask(availability, empty.run()).value("steady_availability") == 1


@pytest.mark.parametrize(("ok", "outcome"), [(50, "pass"), (49, "finding")])
def test_all_of_them_is_judged_by_the_count(empty, ask, ok, outcome):
    due(empty, 50, 0, 10, ok=ok)
    said = ask(availability, empty.run(), steady=Share(1.0))
    assert not said.doubts
    assert bool(said.findings) == (outcome == "finding")


def test_nobody_due_is_a_doubt_only_where_something_was_claimed(empty, ask):
    said = ask(availability, empty.run(), recovering=Share(0.9))
    assert [d.message for d in said.doubts] == [
        "no payment was due while the system was recovering"
    ]


def test_no_objective_is_a_doubt(history, ask):
    assert ask(availability, history.run()).doubts


def test_without_phases_nothing_is_judged(history, ask):
    history.tables["events"] = []
    said = ask(availability, history.run(), steady=Share(0.5))
    assert said.doubts
    assert {m.value for m in said.measures.values()} == {0}


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), lost=st.sets(st.integers(0, 19)))
def test_counts_by_hand_in_any_order(seed, lost, empty_run, ask, same_in_any_order):
    history = empty_run()
    rng = random.Random(seed)
    times = [rng.uniform(-2, 40) for _ in range(20)]
    for n, due_s in enumerate(times):
        history.attempt(n, due_s, outcome="unknown" if n in lost else "ok")
    said = ask(availability, history.run(), steady=Share(0.5))
    steady = [n for n, due_s in enumerate(times) if 0 <= due_s < 10]
    assert said.value("steady_intents_judged") == len(steady)
    if steady:
        expected = sum(n not in lost for n in steady) / len(steady)
        assert said.value("steady_availability") == expected
    same_in_any_order(availability, history, seed, steady=Share(0.5))
