from __future__ import annotations

import pytest

from payresil.checkers.balancing import balancing
from payresil.core.values import Duration, Share

ONE, TWO = "a/service.1", "a/service.2"


@pytest.fixture
def spread(empty):
    """Ten requests a second from 0 to 40 s, by turns; from 11 to 18 s all go to the second."""
    empty.meta["nodes"] = ["customers", "a/lb", ONE, TWO, "a/db"]
    empty["events"][:] = [e for e in empty["events"] if e["kind"] != "fault"]
    for n in range(400):
        sick = 110 <= n < 180
        empty.attempt(n, n / 10, instance=TWO if sick or n % 2 else ONE)
    return empty


def fault(history, detail='{"node": "service.1"}', *, healed=True):
    """A fault from 10 to 18 s."""
    times = [(10, "inject"), (10.01, "injected")]
    for at_s, what in [*times, *([(18, "heal"), (18.5, "healed")] if healed else [])]:
        history.event(at_s, "fault", "crash", what, detail)


def lost(history, start_s, end_s):
    """The first instance's share of the requests sent in a span was answered by nobody."""
    for row in history["attempts"]:
        if start_s <= row["sent_ns"] / 1e9 < end_s and row["n"] % 2 == 0:
            row.update(instance=None, outcome="unknown", status=None, answer=None, error="timeout")


def test_spread_ejected_and_back(spread, ask):
    fault(spread)
    said = ask(balancing, spread.run(), eject_within=Duration(2), returns_within=Duration(1))
    assert said.passes
    assert said.value("answers_judged") == 100
    assert said.value(f"steady_share.{ONE}") == 0.5
    assert said.value(f"requests_while_out_judged.crash.{ONE}") == 60
    assert said.value(f"answers_again_after.crash.{ONE}") == 0


@pytest.mark.parametrize("detail", ['{"node": "a/service.1"}', '{"link": "lb->service.1"}'])
def test_a_node_or_the_link_to_it(spread, ask, detail):
    fault(spread, detail)
    assert ask(balancing, spread.run(), eject_within=Duration(2)).passes


def test_an_instance_that_gets_too_little(spread, ask):
    for row in spread["attempts"]:
        if row["n"] % 10:
            row["instance"] = ONE
    said = ask(balancing, spread.run())
    assert [f.message for f in said.findings] == [
        "a/service.2 gave 0 of 100 answers of the steady phase, 0.0%; 80% of an equal share are "
        "40.0%"
    ]


def test_an_instance_that_never_answers_is_missed_by_its_name(spread, ask):
    spread.meta["nodes"].append("a/service.3")
    said = ask(balancing, spread.run())
    assert said.findings[0].message.startswith("a/service.3 gave 0 of 100")


def test_answers_that_name_no_instance_may_be_what_tips_the_spread(spread, ask):
    for n in range(900):
        spread.attempt(n + 1000, n / 90)
    spread["attempts"][-900:] = [row | {"instance": None} for row in spread["attempts"][-900:]]
    said = ask(balancing, spread.run())
    assert not said.findings
    assert [d.message.split(":")[0] for d in said.doubts] == [
        f"{name} gave 50 of 100 answers of the steady phase, 50.0%; 80% of an equal share are "
        "40.0%, undecided by a 95 % interval of 3.8% to 96.2%"
        for name in (ONE, TWO)
    ]


def test_a_few_answers_that_name_no_instance_tip_nothing(spread, ask):
    for n in (3, 57):
        spread.of("attempts", n).update(instance=None, status=502, outcome="unknown", answer=None)
    assert ask(balancing, spread.run(), least_share=Share(0.7)).passes


def test_too_few_to_decide_on_the_spread(spread, ask):
    spread["attempts"][:] = [row for row in spread["attempts"] if row["n"] % 10 < 2]
    said = ask(balancing, spread.run(), least_share=Share(0.95))
    assert not said.findings
    assert len(said.doubts) == 2


def test_a_sick_instance_that_still_answers(spread, ask):
    fault(spread)
    for n in (150, 152):
        spread.of("attempts", n)["instance"] = ONE
    said = ask(balancing, spread.run(), eject_within=Duration(2))
    assert [f.message for f in said.findings] == [
        "a/service.1 in crash: still sent requests more than 2s after its start: it answered 2 of "
        "60"
    ]


def test_what_is_answered_after_the_heal_may_have_waited(spread, ask):
    fault(spread)
    late = spread.of("attempts", 178)
    late.update(instance=ONE, done_ns=18_700_000_000)
    assert ask(balancing, spread.run(), eject_within=Duration(2)).passes


def test_requests_that_go_on_being_lost(spread, ask):
    fault(spread)
    lost(spread, 10, 18)
    said = ask(balancing, spread.run(), eject_within=Duration(2))
    assert [f.message for f in said.findings] == [
        "a/service.1 in crash: more than 2s after its start no instance answered 30 of 60 "
        "requests, 0 of 100 in the steady phase"
    ]
    assert said.value(f"last_request_lost.crash.{ONE}") == pytest.approx(7.8)


def test_requests_lost_before_it_must_be_out_are_forgiven(spread, ask):
    fault(spread)
    lost(spread, 10, 12)
    said = ask(balancing, spread.run(), eject_within=Duration(2))
    assert said.passes
    assert said.value(f"last_request_lost.crash.{ONE}") == pytest.approx(1.8)


def test_a_few_more_lost_than_usual_are_a_doubt(spread, ask):
    fault(spread)
    lost(spread, 15, 15.9)
    said = ask(balancing, spread.run(), eject_within=Duration(2))
    assert not said.findings
    assert "too few to decide whether that is more" in said.doubts[0].message


def test_an_instance_that_never_comes_back(spread, ask):
    fault(spread)
    for row in spread["attempts"]:
        if row["n"] >= 110:
            row["instance"] = TWO
    said = ask(balancing, spread.run(), returns_within=Duration(5))
    assert [f.message for f in said.findings] == [
        "a/service.1 in crash: never answered again, though others did 5s after it healed"
    ]


def test_an_instance_that_comes_back_late(spread, ask):
    fault(spread)
    for row in spread["attempts"]:
        if 110 <= row["n"] < 300:
            row["instance"] = TWO
    said = ask(balancing, spread.run(), returns_within=Duration(5))
    assert "answers again 11.520 s after it was healed, not in 5s" in said.findings[0].message


def test_a_return_that_nobody_could_have_seen(spread, ask):
    fault(spread)
    spread["attempts"][:] = [row for row in spread["attempts"] if row["n"] < 180]
    said = ask(balancing, spread.run(), returns_within=Duration(5))
    assert not said.findings
    assert len(said.doubts) == 1


def test_a_fault_that_was_never_healed_lasts_to_the_end_of_traffic(spread, ask):
    fault(spread, healed=False)
    said = ask(balancing, spread.run(), eject_within=Duration(2), returns_within=Duration(5))
    assert "it answered 110 of 280" in said.findings[0].message
    assert "never healed" in said.doubts[0].message


def test_nobody_sent_anything_while_it_was_out(spread, ask):
    fault(spread)
    spread["attempts"][:] = [row for row in spread["attempts"] if not 110 <= row["n"] < 180]
    said = ask(balancing, spread.run(), eject_within=Duration(2))
    assert "nothing was sent from 2s after its start" in said.doubts[0].message


@pytest.mark.parametrize(
    "detail",
    [
        '{"node": "service"}',  # all of them
        '{"node": "db"}',
        '{"link": "service.1->psp"}',
        '{"node": "*!"}',
        '{"share": 0.3}',
        "no JSON",
    ],
)
def test_ejection_is_put_to_the_test_only_where_others_are_well(spread, ask, detail):
    fault(spread, detail)
    assert ask(balancing, spread.run()).passes
    said = ask(balancing, spread.run(), eject_within=Duration(2))
    assert "no fault made one of several instances sick" in said.doubts[0].message


def test_instances_may_go_by_names_of_their_own(spread, ask):
    for row in spread["attempts"]:
        row["instance"] = {ONE: "pod-x", TWO: "pod-y"}[row["instance"]]
    said = ask(balancing, spread.run())
    assert said.passes
    assert said.value("steady_share.pod-x") == 0.5


def test_fewer_names_of_their_own_than_instances(spread, ask):
    spread.meta["nodes"].append("a/service.3")
    for row in spread["attempts"]:
        row["instance"] = {ONE: "pod-x", TWO: "pod-y"}[row["instance"]]
    said = ask(balancing, spread.run())
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "the system has 3 instances, and answers name 2 by other names, pod-x and pod-y: one may "
        "have got nothing"
    ]


def test_a_service_that_does_not_say_who_answered(spread, ask):
    for row in spread["attempts"]:
        row["instance"] = None
    assert "api.instance_header" in ask(balancing, spread.run()).doubts[0].message


def test_one_instance_cannot_be_balanced(spread, ask):
    spread.meta["nodes"].remove(TWO)
    assert "only one instance" in ask(balancing, spread.run()).doubts[0].message


def test_an_empty_run_and_any_order(empty, spread, ask, same_in_any_order):
    fault(spread)
    same_in_any_order(balancing, spread, 3, eject_within=Duration(2), returns_within=Duration(1))
    empty["attempts"].clear()
    assert ask(balancing, empty.run()).doubts
