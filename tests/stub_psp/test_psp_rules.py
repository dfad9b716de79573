"""Fault rules: what they mean, which requests they touch, and what they leave."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stub_psp.dialects.stripe import StripeDialect
from stub_psp.faults import Faults
from stub_psp.lease import Leases
from stub_psp.rules import Point, RuleBook, RuleError
from stub_psp.rules.book import draw
from stub_psp.rules.spec import parse
from stub_psp.store import Store

ENDPOINTS = StripeDialect().endpoints
LOSE = {"point": "after_commit_lost", "action": {"how": "reset"}}
ACCEPT = {
    "point": "unchecked",
    "match": {"endpoint": "refunds.create"},
    "action": {"how": "accept"},
}


def rule(**fields):
    return parse({**LOSE, **fields}, "rule-1", ENDPOINTS)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ([], "expected an object"),
        ({}, "needs a point"),
        ({**LOSE, "shar": 1}, "did you mean 'share'"),
        ({**LOSE, "share": 0}, "above 0"),
        ({**LOSE, "share": 1.5}, "up to 1"),
        ({**LOSE, "share": True}, "expected a number"),
        ({**LOSE, "count": 0}, "count"),
        ({**LOSE, "id": ""}, "id"),
        ({**LOSE, "owner": ""}, "owner"),
        ({**LOSE, "point": "after_comit_lost"}, "did you mean 'after_commit_lost'"),
        ({**LOSE, "match": {"endpont": "x"}}, "did you mean 'endpoint'"),
        ({**LOSE, "match": {"endpoint": "payment_intent.create"}}, "'payment_intents.create'"),
        ({**LOSE, "match": {"endpoint": "payments.*"}}, "did you mean 'payment_intents."),
        ({**LOSE, "match": {"nth": 0}}, "match.nth"),
        ({**LOSE, "match": {"reference": 5}}, "match.reference"),
        ({**LOSE, "action": {"how": "rest"}}, "did you mean 'reset'"),
        ({**LOSE, "action": {}}, "action.how"),
        ({**LOSE, "action": {"how": "status"}}, "status at after_commit_lost"),
        ({**LOSE, "action": {"how": "hang"}}, "hang_ms is missing"),
        ({**LOSE, "action": {"how": "reset", "hang_ms": 5}}, "means nothing with how: reset"),
        ({**LOSE, "action": {"how": "hang", "hang_ms": -1}}, "action.hang_ms"),
        ({"point": "before_commit", "action": {"how": "status", "status": 200}}, "400 to 599"),
        ({"point": "before_commit", "action": {"how": "status", "store": True}}, "stored"),
        ({"point": "after_commit_wrong", "action": {"how": "hang", "hang_ms": 1}}, "expected"),
        ({**ACCEPT, "match": {}}, "got None at unchecked, expected refunds.create"),
        ({**ACCEPT, "match": {"endpoint": "refunds.*"}}, "expected refunds.create"),
        ({**ACCEPT, "match": {"endpoint": "payment_intents.create"}}, "expected refunds.create"),
        ({**ACCEPT, "action": {"how": "reset"}}, "reset at unchecked; expected accept"),
        ({**ACCEPT, "action": {"how": "accept", "status": 500}}, "means nothing with how: accept"),
        ({**LOSE, "action": {"how": "accept"}}, "accept at after_commit_lost"),
    ],
)
def test_a_rule_that_cannot_bite_as_meant_is_an_error(raw, says):
    with pytest.raises(RuleError, match=says):
        parse(raw, "rule-1", ENDPOINTS)


def test_an_endpoint_that_exists_but_is_never_called_is_fine():
    assert rule(match={"endpoint": "webhook_endpoints.delete"}).match.endpoint


@pytest.mark.parametrize(
    ("match", "covers"),
    [
        ({}, True),
        ({"endpoint": "payment_intents.create"}, True),
        ({"endpoint": "payment_intents.*"}, True),
        ({"endpoint": "*"}, True),
        ({"endpoint": "payment_intents.confirm"}, False),
        ({"endpoint": "refunds.*"}, False),
        ({"reference": "r-1"}, True),
        ({"reference": "r-2"}, False),
        ({"key": "k"}, True),
        ({"key": "l"}, False),
        ({"endpoint": "refunds.*", "reference": "r-1"}, False),
    ],
)
def test_match(match, covers):
    assert rule(match=match).covers("payment_intents.create", "r-1", "k") is covers


def book_of(*rules, seed=7, prefix=""):
    book = RuleBook(seed, reference_prefix=prefix)
    for one in rules:
        book.add(one)
    return book


def hits(book, references):
    """Which requests, as (reference, its how manyeth), the book touches."""
    nth: dict[str, int] = {}
    touched = set()
    for reference in references:
        nth[reference] = nth.get(reference, 0) + 1
        acting, _ = book.decide(Point.AFTER_COMMIT_LOST, "payment_intents.create", reference, None)
        if acting:
            touched.add((reference, nth[reference]))
    return touched


@given(order=st.randoms(use_true_random=False), share=st.floats(0.01, 1))
@settings(max_examples=50, deadline=None)
def test_a_share_does_not_depend_on_the_interleaving(order, share):
    requests = [f"r-{n}" for n in range(40) for _ in range(3)]
    mixed = list(requests)
    order.shuffle(mixed)
    assert hits(book_of(rule(share=share)), requests) == hits(book_of(rule(share=share)), mixed)


@given(one=st.text(), other=st.text(), share=st.floats(0.01, 0.99))
@settings(max_examples=50, deadline=None)
def test_what_references_begin_with_in_one_run_alone_is_left_out_of_draws(one, other, share):
    def numbers(prefix):
        book = book_of(rule(share=share), prefix=prefix)
        found = hits(book, [f"{prefix}{n % 40}" for n in range(120)])
        return {(reference.removeprefix(prefix), nth) for reference, nth in found}

    assert numbers(one) == numbers(other) == numbers("")


def test_references_that_differ_in_the_prefix_alone_are_counted_apart():
    book = book_of(rule(match={"nth": 2}), prefix="r-")
    assert hits(book, ["r-1", "1", "r-1"]) == {("r-1", 2)}


def test_a_share_is_a_share():
    touched = hits(book_of(rule(share=0.3)), [f"r-{n}" for n in range(5000)])
    assert 1380 < len(touched) < 1620  # 0.3 within six standard errors, and the draw is fixed


def test_seed_rule_and_repetition_change_the_draw():
    draws = {
        draw(seed, id_, subject, before)
        for seed in (1, 2)
        for id_ in ("a", "b")
        for subject in ("x", "y")
        for before in (0, 1)
    }
    assert len(draws) == 16


def test_nth_counts_the_requests_of_each_reference():
    touched = hits(book_of(rule(match={"nth": 2})), ["a", "b", "a", "a", "b"])
    assert touched == {("a", 2), ("b", 2)}


def test_count_is_the_most_that_are_touched():
    assert hits(book_of(rule(count=2)), ["a", "b", "c"]) == {("a", 1), ("b", 1)}


def test_the_first_rule_that_touches_acts_and_all_count_their_matches():
    first, second = rule(id="one", count=1), rule(id="two")
    book = book_of(first, second)
    acting = [
        book.decide(Point.AFTER_COMMIT_LOST, "refunds.create", "r", None)[0] for _ in range(2)
    ]
    assert acting == [first, second]
    assert [(e.matched, e.hits) for e in book.entries()] == [(2, 1), (2, 1)]


def test_other_points_are_left_alone():
    assert book_of(rule()).decide(Point.BEFORE_COMMIT, "refunds.create", "r", None) == (None, [])


def test_lost_means_committed_and_not_answered(desk):
    desk.faults.add({**LOSE, "count": 1})
    lost = desk.pay("k")
    assert lost.how == "reset"
    assert desk.count("charges") == 1
    again = desk.pay("k")
    assert (again.how, again.json["status"]) == ("send", "succeeded")
    assert again.headers["idempotent-replayed"] == "true"
    assert desk.count("charges") == 1


def test_the_answer_to_a_replay_can_be_lost_as_well(desk):
    desk.faults.add({**LOSE, "count": 2})
    assert [desk.pay("k").how for _ in range(3)] == ["reset", "reset", "send"]
    assert desk.count("charges") == 1


def test_wrong_means_committed_and_answered_otherwise(desk):
    desk.faults.add(
        {"point": "after_commit_wrong", "count": 1, "action": {"how": "status", "status": 502}}
    )
    assert desk.pay("k").status == 502
    assert desk.pay("k").json["status"] == "succeeded"
    assert desk.count("charges") == 1


@pytest.mark.parametrize("how", ["reset", "close", "status"])
def test_before_means_that_nothing_happened(desk, how):
    desk.faults.add({"point": "before_commit", "count": 1, "action": {"how": how}})
    assert desk.pay("k").how == {"status": "send"}.get(how, how)
    assert desk.count("charges") == desk.count("events") == desk.count("results") == 0
    assert desk.pay("k").status == 200


def test_hang_before_the_commit_holds_the_key_and_then_lets_it_go(desk, new_waits):
    async def story():
        desk.faults.add(
            {"point": "before_commit", "count": 1, "action": {"how": "hang", "hang_ms": 1}}
        )
        waits = new_waits()
        params = {"amount": 1000, "currency": "usd"}
        held = asyncio.create_task(desk.send("POST", "payment_intents", params, "k", waits=waits))
        await waits.held.wait()
        meanwhile = await desk.send("POST", "payment_intents", params, "k")
        waits.go_on.set()
        return (
            await held,
            meanwhile,
            await desk.send("POST", "payment_intents", params, "k"),
        )

    held, meanwhile, after = asyncio.run(story())
    assert held.how == "close"
    assert meanwhile.status == 409
    assert after.status == 200
    assert desk.count("intents") == 1


def test_unchecked_refunds_go_beyond_what_was_captured_while_the_rule_is_there(desk):
    intent = desk.pay(reference="r-7").json
    of = {"payment_intent": intent["id"]}
    desk.faults.add(ACCEPT)
    first = desk("POST", "refunds", {**of, "amount": 700}, "a")
    second = desk("POST", "refunds", {**of, "amount": 700}, "b")
    assert (first.json["status"], second.json["amount"]) == ("succeeded", 700)
    again = desk("POST", "refunds", {**of, "amount": 700}, "b")
    assert again.headers["idempotent-replayed"] == "true"
    charge = desk("GET", f"charges/{intent['latest_charge']}").json
    assert (charge["amount_refunded"], charge["refunded"]) == (1400, True)
    desk.faults.remove(["rule-1"])
    assert desk("POST", "refunds", {**of, "amount": 1}, "c").status == 400
    rows = desk.store.database.rows(
        "SELECT key, rule, point, status FROM attempts WHERE endpoint = 'refunds.create'"
    )
    assert rows == [
        ("a", "rule-1", "unchecked", 200),
        ("b", "rule-1", "unchecked", 200),
        ("b", None, None, 200),  # the stored result, and no refund more
        ("c", None, None, 400),
    ]


def test_the_answer_to_an_unchecked_refund_can_be_lost_as_well(desk):
    intent = desk.pay().json["id"]
    taken = desk.faults.add(ACCEPT)
    lost = desk.faults.add({**LOSE, "match": {"endpoint": "refunds.create"}})
    assert desk("POST", "refunds", {"payment_intent": intent, "amount": 2000}).how == "reset"
    assert desk.count("refunds") == 1
    assert (taken.hits, lost.hits) == (1, 1)


def test_a_rule_by_reference_finds_requests_that_name_only_an_id(desk):
    desk.faults.add({**LOSE, "match": {"reference": "r-9", "endpoint": "refunds.create"}})
    one = desk.pay(reference="r-8").json["id"]
    two = desk.pay(reference="r-9")
    assert two.status == 200
    assert desk("POST", "refunds", {"payment_intent": one}).how == "send"
    assert desk("POST", "refunds", {"charge": two.json["latest_charge"]}).how == "reset"


def test_reads_can_be_lost_too(desk):
    intent = desk.pay().json["id"]
    desk.faults.add({**LOSE, "match": {"endpoint": "payment_intents.retrieve"}})
    assert desk("GET", f"payment_intents/{intent}").how == "reset"


def test_what_fails_validation_is_not_touched(desk):
    entry = desk.faults.add(LOSE)
    assert desk("POST", "payment_intents", {"amount": "x"}).status == 400
    assert entry.matched == 0


def test_ids_of_rules_are_the_same_in_every_run_of_a_plan(desk):
    assert [desk.faults.add(LOSE).rule.id for _ in range(3)] == ["rule-1", "rule-2", "rule-3"]
    with pytest.raises(RuleError, match="taken"):
        desk.faults.add({**LOSE, "id": "rule-2"})


def test_counts_outlive_the_process(new_desk, tmp_path):
    plan = [f"r-{n}" for n in random.Random(1).choices(range(5), k=40)]
    whole = new_desk()
    whole.faults.add({**LOSE, "share": 0.5})
    expected = [whole.pay(reference=reference).how for reference in plan]

    before = new_desk(tmp_path)
    before.faults.add({**LOSE, "share": 0.5})
    shown = [before.pay(reference=reference).how for reference in plan[:20]]
    before.store.close()
    after = new_desk(tmp_path)
    shown += [after.pay(reference=reference).how for reference in plan[20:]]
    assert shown == expected
    (entry,) = after.faults.book.entries()
    assert (entry.matched, entry.hits) == (40, expected.count("reset"))
    assert len(after.faults.show(entry)["requests"]) == expected.count("reset")


def test_a_lease_holds_until_its_time():
    leases = Leases()
    assert (leases.expired(10**18), leases.next_deadline_ns) == ([], None)
    leases.renew("one", now_ns=0, ttl_ms=3000)
    assert leases.expired(2_999_999_999) == []
    assert leases.expired(3_000_000_000) == ["one"]
    leases.renew(None, now_ns=0, ttl_ms=1000)
    assert leases.next_deadline_ns == 1_000_000_000
    leases.renew("one", now_ns=2_000_000_000, ttl_ms=3000)
    assert leases.expired(4_999_999_999) == [None]
    leases.disarm("one")
    assert leases.expired(10**18) == [None]


def test_rules_go_when_their_lease_runs_out(desk):
    desk.faults.add(LOSE)
    desk.faults.renew_lease(None, now_ns=0, ttl_ms=1000)
    assert desk.faults.expire(999_999_999) == {}
    assert desk.faults.book.entries()
    assert desk.faults.expire(1_000_000_000) == {None: 1}
    assert desk.faults.book.entries() == []
    assert desk.faults.expire(10**18) == {}  # disarmed with them
    assert desk.pay().how == "send"


def test_a_lease_that_runs_out_takes_the_rules_of_its_owner_alone(desk):
    for owner in ("one", "two", None):
        desk.faults.add({**LOSE, "owner": owner})
    for ttl_ms, owner in ((1000, "one"), (2000, None)):
        desk.faults.renew_lease(owner, now_ns=0, ttl_ms=ttl_ms)

    def left():
        return [entry.rule.owner for entry in desk.faults.book.entries()]

    assert desk.faults.expire(1_000_000_000) == {"one": 1}
    assert left() == ["two", None]
    assert desk.faults.expire(10**18) == {None: 1}
    assert left() == ["two"]


@pytest.mark.parametrize("owner", [None, "payresil-r7"])
def test_a_lease_outlives_the_process(tmp_path, owner):
    store = Store(tmp_path)
    faults = Faults(store, 0, ENDPOINTS)
    faults.add(LOSE | {"owner": owner})
    faults.renew_lease(owner, now_ns=0, ttl_ms=1000)
    faults.renew_lease("ended", now_ns=0, ttl_ms=1000)
    faults.disarm_lease("ended")
    store.close()
    reopened = Store(tmp_path)
    faults = Faults(reopened, 0, ENDPOINTS)
    assert faults.expire(500_000_000) == {}
    assert faults.expire(2_000_000_000) == {owner: 1}
    reopened.close()
