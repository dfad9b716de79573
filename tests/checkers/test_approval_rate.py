from __future__ import annotations

import pytest

from payresil.checkers.approval_rate import approval_rate
from payresil.core.intervals import wilson
from payresil.core.values import Share


def answered(history, n, start_s, *, approved, answer="succeeded"):
    """`n` payments due within a second, the first `approved` of them approved."""
    for i in range(n):
        history.attempt(
            len(history["attempts"]),
            start_s + i / n,
            answer=answer if i < approved else "declined",
        )


def test_all_approved_and_enough_of_them(empty, ask):
    answered(empty, 200, 1, approved=200)
    said = ask(approval_rate, empty.run(), steady=Share(0.98))
    assert said.passes
    rate = said.measures["steady_approval_rate"]
    assert (rate.value, rate.low, rate.high) == (1, *wilson(200, 200))
    assert rate.objective == "at least 98%"
    assert said.value("steady_answers_judged") == 200


def test_a_service_that_declines_everybody_in_trouble_is_found(empty, ask):
    answered(empty, 200, 1, approved=196)
    answered(empty, 200, 12, approved=0)
    said = ask(approval_rate, empty.run(), steady=Share(0.9), faulted=Share(0.5))
    assert [f.message for f in said.findings] == [
        "faulted: 0 of 200 answers approved, 0.000%; the objective is 50%"
    ]


def test_an_authorization_is_an_approval(empty, ask):
    answered(empty, 100, 1, approved=100, answer="authorized")
    assert ask(approval_rate, empty.run(), steady=Share(0.9)).passes


def test_who_got_no_answer_and_the_prober_are_left_out(empty, ask):
    answered(empty, 100, 1, approved=100)
    for n in range(100, 150):
        empty.attempt(n, 2, outcome="unknown", status=None, answer=None)
        empty.attempt(n + 100, 2, source="probe", answer="declined")
    said = ask(approval_rate, empty.run(), steady=Share(0.9))
    assert said.passes
    assert said.value("steady_answers_judged") == 100


def test_too_few_to_decide_is_a_doubt(empty, ask):
    answered(empty, 20, 1, approved=20)
    said = ask(approval_rate, empty.run(), steady=Share(0.99))
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "steady: 20 of 20 answers approved, 100.000%: too few to decide on 99% (95 % interval "
        "83.89% to 100.00%); it takes 381 answers even when all are approved"
    ]


@pytest.mark.parametrize(("approved", "found"), [(50, False), (49, True)])
def test_all_of_them_is_judged_by_the_count(empty, ask, approved, found):
    answered(empty, 50, 1, approved=approved)
    said = ask(approval_rate, empty.run(), steady=Share(1.0))
    assert not said.doubts
    assert bool(said.findings) == found


def test_a_drop_is_held_against_the_steady_phase(empty, ask):
    answered(empty, 400, 1, approved=360)
    answered(empty, 400, 12, approved=200)
    answered(empty, 400, 20, approved=358)
    said = ask(approval_rate, empty.run(), drop=Share(0.1))
    assert [f.message.split(":")[0] for f in said.findings] == ["faulted"]
    assert not said.doubts
    drop = said.measures["faulted_approval_drop"]
    assert drop.value == pytest.approx(0.4)
    assert drop.low < 0.4 < drop.high


def test_a_drop_in_a_phase_without_answers_is_a_doubt(empty, ask):
    answered(empty, 400, 1, approved=400)
    answered(empty, 400, 20, approved=400)
    said = ask(approval_rate, empty.run(), drop=Share(0.1))
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "no payment that was due while the system was faulted was answered: no drop can be seen"
    ]


def test_newcombes_interval_is_the_published_one(empty, ask):
    # Newcombe 1998, method 10: 56 of 70 against 48 of 80 gives 0.0524 to 0.3339.
    answered(empty, 70, 1, approved=56)
    answered(empty, 80, 12, approved=48)
    drop = ask(approval_rate, empty.run(), drop=Share(0.5)).measures["faulted_approval_drop"]
    assert (drop.low, drop.high) == (
        pytest.approx(0.0524, abs=1e-4),
        pytest.approx(0.3339, abs=1e-4),
    )


def test_a_drop_that_chance_may_have_made_is_a_doubt(empty, ask):
    answered(empty, 30, 1, approved=28)
    answered(empty, 30, 12, approved=26)
    said = ask(approval_rate, empty.run(), drop=Share(0.1))
    assert not said.findings
    assert said.doubts


@pytest.mark.parametrize("start_s", [1, 12])
def test_a_drop_takes_two_phases(empty, ask, start_s):
    answered(empty, 100, start_s, approved=100)
    assert ask(approval_rate, empty.run(), drop=Share(0.1)).doubts


def test_no_objective_and_nothing_to_judge_are_doubts(empty, ask):
    assert ask(approval_rate, empty.run()).doubts
    said = ask(approval_rate, empty.run(), steady=Share(0.5), recovering=Share(0.5))
    assert [d.message for d in said.doubts] == [
        "no payment that was due while the system was steady was answered",
        "no payment that was due while the system was recovering was answered",
    ]


def test_in_any_order(history, same_in_any_order):
    same_in_any_order(approval_rate, history, 7, steady=Share(0.9), drop=Share(0.2))
