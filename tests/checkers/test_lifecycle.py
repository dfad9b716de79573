from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.lifecycle import LEGAL, lifecycle
from payresil.core.values import Duration

STATES = ["processing", "authorized", "succeeded", "declined", "canceled", "failed"]


def rebook(history, n, *states):
    """Payment `n` goes through other states, all of them booked."""
    history.drop("books_transitions", n)
    history.drop("books_payments", n)
    history.booking(n, {state: n / 2 + 0.005 * i for i, state in enumerate(states)})


def test_a_flawless_run_passes(history, ask):
    said = ask(lifecycle, history.run())
    assert said.passes
    assert said.value("payments_judged") == 20
    assert said.value("transitions_judged") == 40
    assert said.value("charged_intents_judged") == 18
    assert said.value("charges_never_booked") == 0


@pytest.mark.parametrize(
    "way",
    [
        *[(state,) for state in STATES],
        *[("processing", state) for state in STATES[1:]],
        ("authorized", "succeeded"),
        ("authorized", "canceled"),
        ("processing", "authorized", "succeeded"),
        ("processing", "authorized", "canceled"),
    ],
)
def test_every_legal_way_passes(history, ask, way):
    rebook(history, 3, *way)
    assert ask(lifecycle, history.run()).passes


def test_there_are_no_other_ways(history, ask):
    illegal = {
        f"{before} -> {after}": n
        for n, (before, after) in enumerate(
            (before, after)
            for before in STATES
            for after in STATES
            if after not in LEGAL.get(before, ()) and before != after
        )
    }
    assert len(illegal) == 6 * 5 - 5 - 2
    long = type(history)()
    for move, n in illegal.items():
        long.booking(n, {state: 1 + i for i, state in enumerate(move.split(" -> "))})
    said = ask(lifecycle, long.run())
    assert sorted(f.message for f in said.findings) == sorted(
        f"payment pay-{n}: {move} (answer) is not legal" for move, n in illegal.items()
    )


def test_a_final_state_that_was_overwritten_and_put_right_again(history, ask):
    history.transition(3, 30, "processing", from_state="succeeded", cause="webhook")
    history.transition(3, 31, "succeeded", from_state="processing")
    said = ask(lifecycle, history.run())
    assert [(f.intent, f.message) for f in said.findings] == [
        ("1a2b-3", "payment pay-3: succeeded -> processing (webhook) is not legal")
    ]


def test_the_same_state_once_more_is_no_move(history, ask):
    history.transition(3, 30, "succeeded", from_state="succeeded")
    assert ask(lifecycle, history.run()).about == ["1a2b-3"]


def test_a_state_that_payresil_has_no_word_for(history, ask):
    rebook(history, 3, "processing", "lost")
    (finding,) = ask(lifecycle, history.run()).findings
    assert finding.message == "payment pay-3: processing -> lost (answer) is not legal"


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        ((1, 3), "its transition 2 has the number 3"),
        ((2, 3), "its transition 1 has the number 2; its transition 2 has the number 3"),
        ((0, 1), "its transition 1 has the number 0; its transition 2 has the number 1"),
        ((1, None), "its transition 2 has the number None"),
        ((1, 70), "its transition 2 has the number 70"),
    ],
)
def test_transitions_are_numbered_without_a_gap(history, ask, numbers, wrong):
    for row, number in zip(history.all_of("books_transitions", 3), numbers, strict=True):
        row["seq"] = number
    (finding,) = ask(lifecycle, history.run()).findings
    assert finding.message == f"payment pay-3: {wrong}"


def test_a_number_twice(history, ask):
    history["books_transitions"].append(dict(history.all_of("books_transitions", 3)[1]))
    (finding,) = ask(lifecycle, history.run()).findings
    assert finding.message == (
        "payment pay-3: its transition 3 has the number 2; "
        "processing -> succeeded (answer) when it was succeeded"
    )


def test_a_missing_transition(history, ask):
    history["books_transitions"].remove(history.all_of("books_transitions", 3)[0])
    (finding,) = ask(lifecycle, history.run()).findings
    assert finding.message == (
        "payment pay-3: its transition 1 has the number 2; "
        "processing -> succeeded (answer) when it was new"
    )


def test_a_transition_from_a_state_that_it_was_not_in(history, ask):
    history.all_of("books_transitions", 3)[1]["from_state"] = "authorized"
    (finding,) = ask(lifecycle, history.run()).findings
    assert finding.message == (
        "payment pay-3: authorized -> succeeded (answer) when it was processing"
    )


def test_a_state_without_the_transition_to_it(history, ask):
    history.of("books_payments", 3)["state"] = "failed"
    (finding,) = ask(lifecycle, history.run()).findings
    assert finding.message == (
        "payment pay-3: failed in the books, though its last transition led to succeeded"
    )


def test_a_payment_without_any_transition(history, ask):
    history.drop("books_transitions", 3)
    (finding,) = ask(lifecycle, history.run()).findings
    assert finding.message == "payment pay-3: no transition led to its state"


def test_transitions_without_a_payment(history, ask):
    history.drop("books_payments", 3)
    said = ask(lifecycle, history.run())
    assert [f.message for f in said.findings] == [
        "payment pay-3: has transitions, and is not booked"
    ]
    assert said.value("charges_never_booked") == 1


def test_a_payment_booked_twice(history, ask):
    history["books_payments"].append(dict(history.of("books_payments", 3)))
    (finding,) = ask(lifecycle, history.run()).findings
    assert finding.message == "payment pay-3: booked 2 times"


def test_two_payments_of_one_intent_each_go_their_way(history, ask):
    for table in ("books_payments", "books_transitions"):
        history[table].extend({**row, "payment": "pay-3b"} for row in history.all_of(table, 3))
    assert ask(lifecycle, history.run()).passes


def test_a_charge_before_the_payment_was_written_down(history, ask):
    history.of("books_payments", 3)["created_us"] += 700_000
    said = ask(lifecycle, history.run())
    assert [(f.intent, f.message) for f in said.findings] == [
        (
            "1a2b-3",
            "charged at the PSP at 1.510 s, in the books of the service only since 2.205 s",
        )
    ]


@pytest.mark.parametrize(("ahead_us", "found"), [(49_000, 0), (51_000, 1)])
def test_clocks_may_differ_a_little(history, ask, ahead_us, found):
    charge = history.of("psp_charges", 3)
    history.of("books_payments", 3)["created_us"] = (
        history.meta["zero_wall_us"] + charge["created_ns"] // 1000 + ahead_us
    )
    assert len(ask(lifecycle, history.run()).findings) == found
    assert ask(lifecycle, history.run(), clock_skew=Duration(0.1)).passes


def test_without_times_the_order_is_unknown(history, ask):
    for row in history["books_payments"]:
        row["created_us"] = None
    said = ask(lifecycle, history.run())
    assert not said.findings
    assert [doubt.message for doubt in said.doubts] == [
        "the books do not say when payments were made, so which came first is unknown"
    ]


def test_times_of_some_payments_leave_the_order_of_others_unknown(history, ask):
    for row in history["books_payments"][1:]:
        row["created_us"] = None
    said = ask(lifecycle, history.run())
    assert said.value("charged_intents_judged") == 1
    assert [doubt.message for doubt in said.doubts] == [
        "of 17 of 18 charged payments it is not known when they were made or charged, so which "
        "came first is unknown"
    ]


def test_without_transitions_nothing_is_known(history, ask):
    history.tables["books_transitions"] = []
    said = ask(lifecycle, history.run())
    assert not said.findings
    assert [doubt.message for doubt in said.doubts] == [
        "no transition is recorded, so how payments came to be what they are is unknown"
    ]


def test_a_transition_of_nothing_is_a_doubt(history, ask):
    history.transition(3, 30, "succeeded", payment=None)
    said = ask(lifecycle, history.run())
    assert not said.findings
    assert [doubt.message for doubt in said.doubts] == [
        "1 payments or transitions in the books name no payment"
    ]


def test_an_empty_run_judged_nothing(empty, ask):
    said = ask(lifecycle, empty.run())
    assert {m.value for name, m in said.measures.items() if name.endswith("_judged")} == {0}
    assert len(said.doubts) == 1


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), count=st.integers(0, 6))
def test_against_the_definition_in_any_order(seed, count, flawless_run, same_in_any_order, ask):
    """Payments walk at random; those that made an illegal move are found, and no others."""
    history = flawless_run()
    drawn = random.Random(seed)
    strayed = set()
    for n in drawn.sample([n for n in range(20) if n % 7 != 6], count):
        way = [drawn.choice(STATES) for _ in range(drawn.randint(1, 5))]
        history.drop("books_transitions", n)
        before = None
        for i, state in enumerate(way):
            history.transition(n, n / 2 + i / 100, state, from_state=before)
            if state not in LEGAL.get(before, ()):
                strayed.add(n)
            before = state
        history.of("books_payments", n)["state"] = before
    assert set(ask(lifecycle, history.run()).about) == {f"1a2b-{n}" for n in strayed}
    same_in_any_order(lifecycle, history, seed)
