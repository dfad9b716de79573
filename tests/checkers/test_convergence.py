from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.convergence import convergence
from payresil.core.values import Duration

WITHIN = Duration(10)
HEALED_S = 18.01
S = 1_000_000_000


def wall(history, at_s):
    return history.meta["zero_wall_us"] + round(at_s * 1_000_000)


def learn(history, n, at_s):
    """The service learns only then what became of payment `n`."""
    history.of("books_payments", n)["updated_us"] = wall(history, at_s)
    history.all_of("books_transitions", n)[-1]["at_us"] = wall(history, at_s)


def hang(history, n):
    """The service never learns what became of payment `n`."""
    history.of("books_payments", n)["state"] = "processing"
    history["books_transitions"].remove(history.all_of("books_transitions", n)[-1])


def deliver(history, n, at_s):
    """The event of payment `n` is delivered only then."""
    tried = [row for row in history.all_of("psp_events", n) if row["attempt"]]
    for row in tried[:-1]:
        row["delivered"] = False
    tried[-1].update(at_ns=round(at_s * S), answered_ns=round(at_s * S))


def withhold(history, n):
    """The event of payment `n` is never delivered."""
    for row in history.all_of("psp_events", n):
        row["delivered"] = False


def messages(said):
    return [(f.intent, f.message) for f in said.findings]


def doubts(said):
    return [doubt.message for doubt in said.doubts]


def test_a_flawless_run_passes(history, ask):
    history.refund(3, 100, 30)
    said = ask(convergence, history.run(), within=WITHIN)
    assert said.passes
    assert said.value("payments_judged") == 20
    assert said.value("events_judged") == 21
    assert said.value("messages_judged") == 21
    assert said.value("refunds_judged") == 1
    assert said.value("convergence_time") == 0
    assert said.measures["convergence_time"].objective == "at most 10s"
    assert said.value("settle_time") == pytest.approx(0.5)


def test_what_was_unknown_at_the_heal_and_known_in_time(history, ask):
    learn(history, 3, 20)
    learn(history, 4, 22.01)
    said = ask(convergence, history.run(), within=WITHIN)
    assert said.passes
    assert said.value("payments_open_at_heal") == 2
    assert said.value("convergence_time") == pytest.approx(4)


def test_what_was_known_too_late(history, ask):
    learn(history, 3, 20)
    learn(history, 4, 28.02)
    learn(history, 5, 30.01)
    said = ask(convergence, history.run(), within=WITHIN)
    assert messages(said) == [
        (
            "1a2b-5",
            "2 payments were open for more than 10s after everything was healed, "
            "the last one for 12.000 s",
        )
    ]
    assert said.value("convergence_time") == pytest.approx(12)


def test_a_payment_that_changed_later_was_known_before(history, ask):
    history.refund(3, 100, 30)
    history.of("books_payments", 3)["updated_us"] = wall(history, 30)
    said = ask(convergence, history.run(), within=Duration(1))
    assert said.passes
    assert said.value("payments_open_at_heal") == 0


def test_an_authorization_is_an_outcome(history, ask):
    history.drop("books_payments", 3)
    history.drop("books_transitions", 3)
    history.drop("books_outbox", 3)
    history.booking(3, {"processing": 1.5, "authorized": 1.6, "succeeded": 30})
    history.drop("books_outbox", 3)
    assert ask(convergence, history.run(), within=Duration(1)).passes


def test_what_began_after_the_heal_is_not_measured_from_it(history, ask):
    history.payment(30, 35)
    learn(history, 30, 39)
    said = ask(convergence, history.run(), within=Duration(1))
    assert said.passes
    assert said.value("convergence_time") == 0


def test_a_refund_that_was_known_too_late(history, ask):
    history.refund(3, 100, 15)
    history.of("books_refunds", 3)["updated_us"] = wall(history, 38.01)
    assert messages(ask(convergence, history.run(), within=WITHIN)) == [
        (
            "1a2b-3",
            "1 refunds were open for more than 10s after everything was healed, "
            "the last one for 20.000 s",
        )
    ]


def test_a_message_that_was_sent_too_late(history, ask):
    history.of("books_outbox", 3)["sent_us"] = wall(history, 38.01)
    (finding,) = ask(convergence, history.run(), within=WITHIN).findings
    assert finding.message.startswith("1 messages were open for more than 10s")
    assert finding.intent == "1a2b-3"


def test_an_event_that_was_delivered_too_late(history, ask):
    deliver(history, 3, 38.01)
    (finding,) = ask(convergence, history.run(), within=WITHIN).findings
    assert finding.message.startswith("1 webhooks were open for more than 10s")
    assert finding.intent == "1a2b-3"


def test_an_event_that_was_delivered_in_time_and_again_later(history, ask):
    last = history.all_of("psp_events", 3)[-1]
    later = {"attempt": 2, "at_ns": 38 * S, "answered_ns": 38 * S}
    history["psp_events"].append(last | later)
    assert ask(convergence, history.run(), within=WITHIN).value("webhooks_open_at_heal") == 0


@pytest.mark.parametrize(
    ("spoil", "kind", "since"),
    [
        (hang, "payments", "1.505"),
        (withhold, "webhooks", "1.510"),
        (lambda h, n: h.of("books_inbox", n).update(state="received"), "unread events", "1.512"),
        (lambda h, n: h.of("books_outbox", n).update(sent_us=None), "messages", "1.515"),
    ],
)
def test_what_is_still_open_in_the_end(history, ask, spoil, kind, since):
    spoil(history, 3)
    said = ask(convergence, history.run(), within=WITHIN)
    assert messages(said) == [
        ("1a2b-3", f"1 {kind} are still open, the oldest since {since} s"),
    ]
    assert said.value("convergence_time") is None


def test_a_refund_that_is_still_open_in_the_end(history, ask):
    history.refund(3, 100, 15)
    history.of("books_refunds", 3)["state"] = "processing"
    assert messages(ask(convergence, history.run(), within=WITHIN)) == [
        ("1a2b-3", "1 refunds are still open, the oldest since 15.005 s")
    ]


def test_the_oldest_of_several_is_named(history, ask):
    for n in (9, 4, 8):
        hang(history, n)
    assert messages(ask(convergence, history.run(), within=WITHIN)) == [
        ("1a2b-4", "3 payments are still open, the oldest since 2.005 s")
    ]


def test_still_open_though_watched_for_less_than_the_bound(history, ask):
    hang(history, 3)
    said = ask(convergence, history.run(), within=Duration(30))
    assert not said.findings
    assert doubts(said) == [
        "1 payments are still open, the oldest since 1.505 s; watched for only 24.990 s of the "
        "30s that they have"
    ]


@pytest.mark.parametrize(("within", "findings"), [(1, 1), (3, 0)])
def test_what_began_after_the_heal_has_until_after_the_end_of_traffic(
    history, ask, within, findings
):
    history.payment(30, 39.9)
    hang(history, 30)
    said = ask(convergence, history.run(), within=Duration(within))
    assert len(said.findings) == findings
    assert len(said.doubts) == 1 - findings
    assert said.value("convergence_time") == 0


def begin_late(history, kind):
    """One thing of a kind that began after the heal and is over 9 s after the end of traffic."""
    if kind == "refunds":
        history.refund(3, 100, 39)
        history.of("books_refunds", 3)["updated_us"] = wall(history, 50)
        return
    history.payment(30, 39)
    if kind == "payments":
        learn(history, 30, 50)
    elif kind == "messages":
        history.of("books_outbox", 30)["sent_us"] = wall(history, 50)
    else:
        deliver(history, 30, 50)


@pytest.mark.parametrize("kind", ["payments", "refunds", "messages", "webhooks"])
@pytest.mark.parametrize("faults", [True, False])
def test_what_began_later_and_was_over_too_late(history, ask, kind, faults):
    begin_late(history, kind)
    if not faults:
        history.tables["events"] = [row for row in history["events"] if row["kind"] != "fault"]
    said = ask(convergence, history.run(), within=Duration(5))
    about = "1a2b-3" if kind == "refunds" else "1a2b-30"
    assert messages(said) == [
        (
            about,
            f"1 {kind}{' that began later' if faults else ''} were open for more than 5s after "
            "the end of traffic, the last one for 9.000 s",
        )
    ]
    assert ask(convergence, history.run(), within=WITHIN).passes


def test_what_began_after_the_end_of_traffic_has_the_bound_from_then_on(history, ask):
    history.payment(30, 44)
    learn(history, 30, 46)
    assert ask(convergence, history.run(), within=Duration(5)).passes
    learn(history, 30, 50)
    assert ask(convergence, history.run(), within=Duration(5)).about == ["1a2b-30"]


@pytest.mark.parametrize("events", [["payment_intent.succeeded"], ["*"]])
def test_webhooks_that_are_to_be_sent_and_never_are_tried(history, ask, events):
    history.tables["psp_events"] = [row for row in history["psp_events"] if row["attempt"] == 0]
    assert ask(convergence, history.run(), within=WITHIN).value("events_judged") == 0
    history.meta["webhook_events"] = events
    (finding,) = ask(convergence, history.run(), within=WITHIN).findings
    assert finding.message.startswith(f"{20 if '*' in events else 18} webhooks are still open")


def test_without_a_fault_only_the_end_counts(history, ask):
    history.tables["events"] = [row for row in history["events"] if row["kind"] != "fault"]
    learn(history, 3, 30)
    said = ask(convergence, history.run(), within=Duration(1))
    assert said.passes
    assert "convergence_time" not in said.measures
    hang(history, 3)
    assert len(ask(convergence, history.run(), within=Duration(1)).findings) == 1


def test_the_last_heal_of_several_counts(history, ask):
    for at_s, what in ((20, "inject"), (20, "injected"), (25, "heal"), (25, "healed")):
        history.event(at_s, "fault", "cut", what)
    learn(history, 3, 30)
    said = ask(convergence, history.run(), within=WITHIN)
    assert said.value("convergence_time") == pytest.approx(5)


def test_a_fault_that_was_never_healed_is_a_doubt(history, ask):
    history.event(20, "fault", "cut", "inject")
    said = ask(convergence, history.run(), within=WITHIN)
    assert doubts(said) == ["1 of 2 faults are not known to have been healed"]


def test_outcomes_without_a_moment_are_a_doubt(history, ask):
    history.of("books_payments", 3)["updated_us"] = None
    history.drop("books_transitions", 3)
    said = ask(convergence, history.run(), within=WITHIN)
    assert doubts(said) == ["of 1 payments nothing says when they were over"]
    assert said.value("convergence_time") is None


def test_transitions_make_up_for_a_missing_moment(history, ask):
    for row in history["books_payments"]:
        row["updated_us"] = None
    assert ask(convergence, history.run(), within=WITHIN).passes


def settle(history, at_s, detail):
    history.tables["events"] = [row for row in history["events"] if row["kind"] != "step"]
    if detail is not None:
        history.event(at_s, "step", "settle", "end", json.dumps(detail))


def test_settled_too_late(history, ask):
    settle(history, 62, {"settled": True})
    assert messages(ask(convergence, history.run(), within=Duration(20))) == [
        (None, "settled only 21.000 s after the end of traffic, not in 20s")
    ]


def test_never_settled(history, ask):
    settle(history, 71, {"settled": False, "pending": {"payments": 2}})
    said = ask(convergence, history.run(), within=Duration(20))
    assert messages(said) == [
        (None, "still not settled 30.000 s after the end of traffic: payments 2")
    ]
    assert said.value("settle_time") is None


def test_given_up_before_the_bound(history, ask):
    settle(history, 43, {"settled": False, "pending": {"payments": 2}})
    assert doubts(ask(convergence, history.run(), within=Duration(20))) == [
        "waited 2.000 s for the system to settle, in vain: payments 2"
    ]


@pytest.mark.parametrize("said", [None, {"settled": None, "asked": "nobody"}])
def test_no_word_of_settling_is_a_doubt(history, ask, said):
    settle(history, 62, said)
    assert doubts(ask(convergence, history.run(), within=WITHIN)) == [
        "the run does not record whether the system settled"
    ]


def test_a_run_that_was_cut_short_is_a_doubt(history, ask):
    history.tables["events"] = [row for row in history["events"] if row["at_ns"] < 40 * S]
    said = ask(convergence, history.run(), within=WITHIN)
    assert doubts(said) == [
        "the run does not record when traffic ended and until when it was watched"
    ]
    assert not said.measures


def test_an_empty_run_judged_nothing(empty, ask):
    said = ask(convergence, empty.run(), within=WITHIN)
    assert {m.value for name, m in said.measures.items() if name.endswith("_judged")} == {0}
    assert not said.findings


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    spoilt=st.dictionaries(
        st.integers(0, 19),
        st.tuples(st.sampled_from(["late", "hang", "withheld"]), st.integers(19, 40)),
    ),
)
def test_against_the_definition_in_any_order(seed, spoilt, flawless_run, same_in_any_order, ask):
    history = flawless_run()
    for n, (how, at_s) in spoilt.items():
        if how == "late":
            learn(history, n, at_s)
        else:
            {"hang": hang, "withheld": withhold}[how](history, n)
    late = {n: at_s for n, (how, at_s) in spoilt.items() if how == "late"}
    hung = [n for n, (how, _) in spoilt.items() if how == "hang"]
    withheld = [n for n, (how, _) in spoilt.items() if how == "withheld"]
    said = ask(convergence, history.run(), within=WITHIN)
    too_late = {n: at_s for n, at_s in late.items() if at_s > HEALED_S + 10}
    last = [max(too_late, key=lambda n: (too_late[n], f"1a2b-{n}"))] if too_late else []
    oldest = [min(each) for each in (hung, withheld) if each]
    assert said.about == [f"1a2b-{n}" for n in (*last, *oldest)]
    expected = None if hung or withheld else max(late.values(), default=HEALED_S) - HEALED_S
    measured = said.value("convergence_time")
    assert measured == (None if expected is None else pytest.approx(expected))
    same_in_any_order(convergence, history, seed, within=WITHIN)
