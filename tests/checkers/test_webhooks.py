from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.webhooks import webhooks

MS = 1_000_000


def messages(said):
    return [(f.intent, f.message) for f in said.findings]


def event_of(history, n):
    """The name of the event that tells of payment `n`."""
    return history.of("books_inbox", n)["event"]


def deliveries(history, n):
    """The rows of the deliveries to payment `n`, the making of the event left out."""
    return [row for row in history.all_of("psp_events", n) if row["attempt"] > 0]


def withhold(history, n):
    """No delivery of the event of payment `n` arrives."""
    for row in deliveries(history, n):
        row.update(status=503, delivered=False)
    history.drop("books_inbox", n)


def again(history, n, **answer):
    """The event of payment `n` is delivered once more."""
    last = deliveries(history, n)[-1]
    more = {"attempt": last["attempt"] + 1, "at_ns": last["at_ns"] + 300 * MS}
    history["psp_events"].append(last | more | answer)


def test_a_flawless_run_passes(history, ask):
    said = ask(webhooks, history.run())
    assert said.passes
    assert said.value("events_judged") == said.value("inbox_judged") == 20
    assert said.value("deliveries") == 20 + 4  # the first of four was lost
    assert said.value("delivered_again") == 4  # or not quite lost: who knows
    assert said.value("out_of_order") == said.value("never_delivered") == 0


def test_a_second_delivery_that_changes_nothing_is_right(history, ask):
    again(history, 3)
    said = ask(webhooks, history.run())
    assert said.passes
    assert said.value("delivered_again") == 5


def test_a_refused_delivery_was_not_heard(history, ask):
    again(history, 3, status=500, delivered=False)
    assert ask(webhooks, history.run()).value("delivered_again") == 4


def test_an_event_that_had_its_effect_twice(history, ask):
    history.of("books_inbox", 3)["effects"] = 2
    assert messages(ask(webhooks, history.run())) == [
        ("1a2b-3", "payment_intent.succeeded of pi-3 had its effect 2 times")
    ]


def test_an_event_that_is_in_the_inbox_twice(history, ask):
    row = history.of("books_inbox", 3)
    row["effects"] = 1
    history["books_inbox"].append(dict(row))
    assert messages(ask(webhooks, history.run())) == [
        ("1a2b-3", "payment_intent.succeeded of pi-3 had its effect 2 times")
    ]


def test_two_events_that_tell_the_same_and_both_have_an_effect(history, ask):
    history.webhook(5, 12, "payment_intent.succeeded", "pi-5", effects=1)
    assert messages(ask(webhooks, history.run())) == [
        ("1a2b-5", "payment_intent.succeeded of pi-5 had its effect 2 times, by 2 events")
    ]


def test_two_events_that_tell_the_same_and_one_has_an_effect(history, ask):
    history.webhook(5, 12, "payment_intent.succeeded", "pi-5")
    assert ask(webhooks, history.run()).passes


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        (("payment_intent.amount_capturable_updated", "payment_intent.succeeded"), 0),
        (("refund.updated", "refund.updated"), 0),
        (("refund.created", "refund.created"), 1),
    ],
)
def test_which_events_may_each_have_an_effect(history, ask, kinds, found):
    for at_s, kind in enumerate(kinds, 30):
        history.webhook(3, at_s, kind, "object-3", effects=1)
    assert len(ask(webhooks, history.run()).findings) == found


def test_events_without_an_object_are_told_apart_by_their_names(history, ask):
    for at_s in (30, 31):
        history.webhook(3, at_s, "payment_intent.canceled", None, effects=1)
    assert ask(webhooks, history.run()).passes


def test_a_delivered_event_that_is_not_in_the_inbox(history, ask):
    name = event_of(history, 3)
    history.drop("books_inbox", 3)
    assert messages(ask(webhooks, history.run())) == [
        (
            "1a2b-3",
            f"event {name} (payment_intent.succeeded) was delivered, and is not in the inbox",
        )
    ]


def test_an_event_that_the_psp_never_made(history, ask):
    name = event_of(history, 3)
    history.drop("psp_events", 3)
    assert messages(ask(webhooks, history.run())) == [
        (
            "1a2b-3",
            f"event {name} (payment_intent.succeeded) is in the inbox, and unknown at the PSP",
        )
    ]


def test_a_delivered_event_without_a_name_that_is_not_in_the_inbox(history, ask):
    name = event_of(history, 3)
    for row in history["psp_events"]:
        if row["event"] == name:
            row["event"] = None
    history.drop("books_inbox", 3)
    (finding,) = ask(webhooks, history.run()).findings
    assert (
        finding.message
        == "event None (payment_intent.succeeded) was delivered, and is not in the inbox"
    )


def test_an_event_whose_answer_was_lost_may_be_in_the_inbox_or_not(history, ask):
    for row in deliveries(history, 3) + deliveries(history, 4):
        row.update(status=None, delivered=False)
    history.drop("books_inbox", 4)
    said = ask(webhooks, history.run())
    assert said.passes
    assert said.value("never_delivered") == 2


def test_an_event_left_unread(history, ask):
    name = event_of(history, 3)
    history.of("books_inbox", 3)["state"] = "received"
    assert messages(ask(webhooks, history.run())) == [
        ("1a2b-3", f"event {name} (payment_intent.succeeded) was left unread")
    ]


def test_an_event_of_no_payment_of_ours_may_stay_unread(history, ask):
    history.webhook(99, 12, "payment_intent.succeeded", "pi-99")["state"] = "received"
    assert ask(webhooks, history.run()).passes


def test_an_event_that_never_came_and_was_not_needed(history, ask):
    withhold(history, 3)
    said = ask(webhooks, history.run())
    assert said.passes
    assert said.value("never_delivered") == 1


def test_an_event_that_never_came_of_a_payment_still_in_flight(history, ask):
    name = event_of(history, 3)
    withhold(history, 3)
    history.of("books_payments", 3).update(state="processing", captured_minor=0)
    assert messages(ask(webhooks, history.run())) == [
        (
            "1a2b-3",
            f"event {name} (payment_intent.succeeded) was never delivered, "
            "and the payment is still processing",
        )
    ]


def test_an_event_that_never_came_of_a_payment_that_is_not_there(history, ask):
    withhold(history, 3)
    history.drop("books_payments", 3)
    (finding,) = ask(webhooks, history.run()).findings
    assert finding.message.endswith("was never delivered, and the payment is not in the books")


def test_an_event_that_never_came_of_a_refund_still_in_flight(history, ask):
    history.refund(3, 100, 30)
    deliveries(history, 3)[-1].update(status=503, delivered=False)
    history["books_inbox"].pop()
    assert ask(webhooks, history.run()).passes
    history.of("books_refunds", 3)["state"] = "processing"
    (finding,) = ask(webhooks, history.run()).findings
    assert finding.message.endswith("was never delivered, and the refund is still processing")


def test_a_type_of_which_the_service_is_never_told_is_not_for_it(history, ask):
    made = history.all_of("psp_events", 3)[0]
    history["psp_events"].append(made | {"event": "evt-x", "type": "charge.succeeded"})
    said = ask(webhooks, history.run())
    assert said.passes
    assert said.value("never_delivered") == 0
    assert said.value("events_judged") == 20


def two_events(history, first_heard_s, second_heard_s):
    """Two events of one object, made one after the other."""
    kinds = "payment_intent.amount_capturable_updated", "payment_intent.succeeded"
    for made_s, heard_s, kind in zip((30, 31), (first_heard_s, second_heard_s), kinds, strict=True):
        history.webhook(3, made_s, kind, "pi-3b")
        history["psp_events"][-1].update(at_ns=round(heard_s * 1000) * MS)


@pytest.mark.parametrize(("first", "second", "count"), [(30.1, 31.1, 0), (31.2, 31.1, 1)])
def test_a_later_event_that_came_first(history, ask, first, second, count):
    two_events(history, first, second)
    said = ask(webhooks, history.run())
    assert said.passes
    assert said.value("out_of_order") == count


@pytest.mark.parametrize(("column", "what"), [("effects", "effect"), ("state", "state")])
@pytest.mark.parametrize("told", [0, 19])
def test_an_inbox_that_does_not_say_what_events_did_is_a_doubt(history, ask, column, what, told):
    for row in history["books_inbox"][told:]:
        row[column] = None
    said = ask(webhooks, history.run())
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        f"of {20 - told} of 20 events the inbox does not say the {what}, so what was done about "
        "them is unknown"
    ]


def test_an_event_left_unread_that_the_inbox_gives_no_intent(history, ask):
    name = event_of(history, 3)
    history.of("books_inbox", 3).update(state="received", intent=None)
    assert messages(ask(webhooks, history.run())) == [
        ("1a2b-3", f"event {name} (payment_intent.succeeded) was left unread")
    ]


def test_an_unread_event_that_neither_side_gives_an_intent_is_a_doubt(history, ask):
    for row in history.all_of("psp_events", 3):
        row["reference"] = None
    history.of("books_inbox", 3).update(state="received", intent=None)
    said = ask(webhooks, history.run())
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "1 unread events name no payment, so whose they are is unknown"
    ]


def test_each_partial_refund_of_a_charge_may_have_an_effect(history, ask):
    for at_s in (30, 31):
        history.webhook(3, at_s, "charge.refunded", "ch-3", effects=1)
    assert ask(webhooks, history.run()).passes


def never_told(history, kind):
    """No event of a type is ever tried."""
    history.tables["psp_events"] = [
        row for row in history["psp_events"] if row["type"] != kind or row["attempt"] == 0
    ]
    history.tables["books_inbox"] = [row for row in history["books_inbox"] if row["type"] != kind]


@pytest.mark.parametrize("events", [["payment_intent.succeeded"], ["*"]])
def test_a_type_that_the_service_is_to_be_told_of_and_never_is(history, ask, events):
    never_told(history, "payment_intent.succeeded")
    history.meta["webhook_events"] = events
    history.of("books_payments", 3).update(state="processing", captured_minor=0)
    said = ask(webhooks, history.run())
    assert said.about == ["1a2b-3"]
    assert said.value("never_delivered") == 18


@pytest.mark.parametrize("events", [["payment_intent.succeeded"], []])
def test_a_type_that_the_service_did_not_ask_for_is_not_for_it(history, ask, events):
    for kind in {"payment_intent.payment_failed", "payment_intent.succeeded"}.difference(events):
        never_told(history, kind)
    history.meta["webhook_events"] = events
    said = ask(webhooks, history.run())
    assert not said.findings
    assert said.value("never_delivered") == 0


def test_no_event_puts_nothing_to_the_test(history, ask):
    history.tables["psp_events"] = []
    history.tables["books_inbox"] = []
    said = ask(webhooks, history.run())
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "the PSP told the service of no event, so nothing was put to the test"
    ]


def test_an_empty_run_judged_nothing(empty, ask):
    said = ask(webhooks, empty.run())
    assert {measure.value for measure in said.measures.values()} == {0}
    assert len(said.doubts) == 1


SPOILS = {
    "twice": lambda h, n: h.of("books_inbox", n).update(effects=2),
    "both": lambda h, n: [
        h.webhook(n, 30 + i, "payment_intent.canceled", f"pi-{n}", effects=1) for i in range(2)
    ],
    "lost": lambda h, n: h.drop("books_inbox", n),
    "strange": lambda h, n: h.drop("psp_events", n),
    "unread": lambda h, n: h.of("books_inbox", n).update(state="received"),
    "repeated": again,
    "withheld": withhold,
}
HARMLESS = {"repeated", "withheld"}


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    spoilt=st.dictionaries(st.integers(0, 19), st.sampled_from(sorted(SPOILS))),
)
def test_exactly_the_events_that_went_wrong_are_found_in_any_order(
    seed, spoilt, flawless_run, same_in_any_order, ask
):
    history = flawless_run()
    for n, how in spoilt.items():
        SPOILS[how](history, n)
    wrong = {n for n, how in spoilt.items() if how not in HARMLESS}
    assert sorted(ask(webhooks, history.run()).about) == sorted(f"1a2b-{n}" for n in wrong)
    same_in_any_order(webhooks, history, seed)


def test_many_events_delivered_in_disorder_pass(flawless_run, same_in_any_order, ask):
    history = flawless_run()
    drawn = random.Random(7)
    for row in history["psp_events"]:
        if row["attempt"]:
            row["at_ns"] += drawn.randint(0, 5000) * MS
    assert ask(webhooks, history.run()).passes
    same_in_any_order(webhooks, history, 7)
