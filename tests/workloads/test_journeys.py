"""Refunds, captures and looks on a virtual clock: what each customer asks for, and when."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.registry import journeys
from payresil.engine.system_rules import OPERATIONS
from payresil.workloads.attempts import Attempt
from payresil.workloads.transport import Reply

from .world import (
    AUTHORIZED,
    BROKEN,
    DECLINED,
    IN_FLIGHT,
    INTENT,
    INVALID,
    LOST,
    MISSING,
    OK,
    PROCESSING,
    REFUSED,
    SLOW_DOWN,
    STILL,
    S,
    Shop,
    operation_of,
)

AMOUNT = INTENT.amount_minor
SEEDS = range(60)
NOTHING = Reply(200, {}, b"{}")


def lived(journey: str, seed: int, patience_s: float = 10.0, **scripts: list[Any]) -> Shop:
    """The shop after a customer's journey."""
    shop = Shop(**scripts)
    shop.journey(journey, seed, patience_s)
    return shop


def of_kind(rows: list[Attempt], kind: str) -> list[Attempt]:
    return [row for row in rows if row.kind == kind]


def refunds(shop: Shop) -> list[Attempt]:
    return of_kind(shop.rows, "refund")


def wish(shop: Shop) -> str:
    """Which of its choices a customer of `refund` made."""
    asked = refunds(shop)
    amounts = {row.operation: row.amount_minor or 0 for row in asked}
    if len(amounts) == 2:
        return "exceed" if sum(amounts.values()) > AMOUNT else "fit"
    if len(asked) == 2:
        return "twice"
    return "whole" if set(amounts.values()) == {AMOUNT} else "part"


@pytest.mark.parametrize("name", journeys.names())
def test_every_journey_says_what_it_does_and_needs(name: str) -> None:
    member = journeys.get(name)
    assert member.claim.endswith(".")
    assert member.traits["retries"] is True
    assert set(member.traits["needs"]) <= set(OPERATIONS)


class TestRefund:
    def test_all_wishes_occur(self) -> None:
        wishes = Counter(wish(lived("refund", seed)) for seed in SEEDS)
        assert wishes.keys() == {"part", "whole", "fit", "exceed", "twice"}
        assert min(wishes.values()) >= 3

    @pytest.mark.parametrize("seed", SEEDS)
    def test_what_is_asked_for(self, seed: int) -> None:
        shop = lived("refund", seed)
        pay, *asked = shop.rows
        assert (pay.kind, pay.operation, pay.amount_minor) == ("create", "pay", AMOUNT)
        for row in asked:
            assert row.key == f"r1-4-{row.operation}"
            assert row.operation in ("refund.1", "refund.2")
            assert 1 <= (row.amount_minor or 0) <= AMOUNT
            assert 0.1 * S <= row.due_ns - pay.done_ns <= 1.2 * S
        assert sorted(body["amount"] for body in shop.bodies("refund")) == sorted(
            row.amount_minor or 0 for row in asked
        )

    def test_two_at_once_leave_together(self) -> None:
        for seed in SEEDS:
            shop = lived("refund", seed)
            if wish(shop) in ("fit", "exceed"):
                first, second = refunds(shop)
                assert first.sent_ns == second.sent_ns
                assert {first.operation, second.operation} == {"refund.1", "refund.2"}

    def test_the_same_refund_sent_twice_has_one_key_and_amount(self) -> None:
        gaps = []
        for seed in SEEDS:
            shop = lived("refund", seed)
            if wish(shop) == "twice":
                first, second = sorted(refunds(shop), key=lambda row: row.attempt)
                assert (first.key, first.amount_minor) == (second.key, second.amount_minor)
                gaps.append(second.sent_ns - first.sent_ns)
        assert min(gaps) == 0
        assert 0.01 * S <= max(gaps) <= 0.3 * S

    @pytest.mark.parametrize(
        "answer", [DECLINED, AUTHORIZED, INVALID, MISSING, BROKEN, LOST, REFUSED, PROCESSING]
    )
    def test_nothing_is_asked_back_of_what_was_not_paid(self, answer: Any) -> None:
        for seed in range(10):
            shop = lived("refund", seed, create=[answer], read=[STILL])
            assert {row.operation for row in shop.rows} == {"pay"}

    def test_a_payment_that_was_seen_to_succeed_is_refunded(self) -> None:
        shop = lived("refund", 1, create=[PROCESSING], read=[STILL, OK])
        assert [row.kind for row in shop.rows[:3]] == ["create", "read", "read"]
        assert refunds(shop)

    def test_one_whose_patience_ended_with_the_payment_asks_for_nothing(self) -> None:
        shop = lived("refund", 1, patience_s=0.05)
        assert [row.kind for row in shop.rows] == ["create"]

    @pytest.mark.parametrize("reply", [LOST, BROKEN, IN_FLIGHT, PROCESSING, SLOW_DOWN, (9.0, OK)])
    def test_a_refund_without_an_answer_is_sent_again_with_its_key(self, reply: Any) -> None:
        shop = lived("refund", 2, patience_s=30, refund=[reply, reply, reply, OK])
        assert len(refunds(shop)) >= 4
        for operation in {row.operation for row in refunds(shop)}:
            mine = [row for row in refunds(shop) if row.operation == operation]
            assert len({(row.key, row.amount_minor) for row in mine}) == 1
            assert [row.attempt for row in sorted(mine, key=lambda row: row.sent_ns)] == list(
                range(1, len(mine) + 1)
            )
            assert any(row.outcome == "ok" for row in mine)

    def test_a_refund_that_was_refused_is_not_sent_again(self) -> None:
        for seed in SEEDS:
            shop = lived("refund", seed, refund=[INVALID])
            assert Counter(row.attempt for row in refunds(shop)).keys() <= {1, 2}
            assert {row.outcome for row in refunds(shop)} == {"fail"}

    def test_patience_ends_refunds_too(self) -> None:
        shop = lived("refund", 3, patience_s=5, refund=[BROKEN])
        assert len(refunds(shop)) > 2
        assert all(row.due_ns <= INTENT.due_ns + 5.3 * S for row in shop.rows)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_the_service_has_no_say_in_what_is_asked_for(self, seed: int) -> None:
        calm = lived("refund", seed)
        rough = lived(
            "refund", seed, 60, create=[LOST, BROKEN, OK], refund=[LOST, SLOW_DOWN, IN_FLIGHT, OK]
        )
        assert asked_for(calm, "refund") == asked_for(rough, "refund")


def asked_for(shop: Shop, kind: str) -> set[tuple[str, str | None, int | None]]:
    return {(row.operation, row.key, row.amount_minor) for row in of_kind(shop.rows, kind)}


class TestCaptureLater:
    def kinds(self, seed: int, **scripts: list[Any]) -> list[str]:
        shop = lived("capture_later", seed, create=[AUTHORIZED], **scripts)
        return [row.kind for row in shop.rows]

    def test_all_choices_occur(self) -> None:
        found = Counter[str]()
        for seed in range(200):
            shop = lived("capture_later", seed, create=[AUTHORIZED])
            pay, *later = shop.rows
            assert shop.bodies("create")[0]["capture"] == "manual"
            assert (pay.operation, pay.answer, pay.amount_minor) == ("pay", "authorized", AMOUNT)
            assert {row.operation for row in later} == {row.kind for row in later}
            assert all(0.1 * S <= row.due_ns - pay.done_ns <= 1.2 * S for row in later)
            found[later[0].kind] += 1
            if later[0].kind == "capture":
                assert {row.key for row in later} == {"r1-4-capture"}
                assert len({row.amount_minor for row in later}) == 1
                assert 1 <= (later[0].amount_minor or 0) <= AMOUNT
                found["twice"] += len(later) == 2
                found["part"] += later[0].amount_minor != AMOUNT
            else:
                assert [row.key for row in later] == ["r1-4-cancel"]
                assert shop.bodies("cancel") == [{}]
        assert 5 < found["cancel"] < 40
        assert found["cancel"] + found["capture"] == 200
        assert 30 < found["part"] < 100
        assert 20 < found["twice"] < 80

    @pytest.mark.parametrize("answer", [OK, DECLINED, INVALID, BROKEN, LOST, REFUSED, PROCESSING])
    def test_nothing_is_captured_of_what_was_not_authorized(self, answer: Any) -> None:
        for seed in range(10):
            shop = lived("capture_later", seed, create=[answer], read=[STILL])
            assert {row.operation for row in shop.rows} == {"pay"}

    def test_a_payment_sent_again_is_still_for_later(self) -> None:
        shop = lived("capture_later", 1, create=[LOST, BROKEN, AUTHORIZED])
        assert [body["capture"] for body in shop.bodies("create")] == ["manual"] * 3

    @pytest.mark.parametrize("kind", ["capture", "cancel"])
    def test_it_is_sent_again_with_its_key_until_it_is_answered(self, kind: str) -> None:
        seed = next(seed for seed in range(200) if self.kinds(seed) == ["create", kind])
        script = [LOST, PROCESSING, SLOW_DOWN, OK]
        shop = lived("capture_later", seed, create=[AUTHORIZED], **{kind: script})
        later = of_kind(shop.rows, kind)
        assert [row.outcome for row in later] == ["unknown", "unknown", "unknown", "ok"]
        assert len({(row.operation, row.key, row.amount_minor) for row in later}) == 1
        assert [row.attempt for row in later] == [1, 2, 3, 4]

    def test_without_patience_the_money_stays_held(self) -> None:
        shop = lived("capture_later", 1, patience_s=0.05, create=[AUTHORIZED])
        assert [row.kind for row in shop.rows] == ["create"]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_the_service_has_no_say_in_what_is_captured(self, seed: int) -> None:
        calm = lived("capture_later", seed, create=[AUTHORIZED])
        rough = lived(
            "capture_later", seed, 60, create=[LOST, AUTHORIZED], capture=[LOST, BROKEN, OK]
        )
        for kind in ("capture", "cancel"):
            assert asked_for(calm, kind) == asked_for(rough, kind)


class TestLookup:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_looks_are_reads_of_the_payment(self, seed: int) -> None:
        shop = lived("lookup", seed, create=[(0.2, OK)])
        looks = of_kind(shop.rows, "read")
        assert len(shop.rows) == len(looks) + 1
        assert {(row.operation, row.key) for row in looks} == {("pay", None)}
        assert {row.payment for row in shop.rows} == {"p1"}
        assert sorted(row.attempt for row in shop.rows) == list(range(1, len(shop.rows) + 1))
        paths = Counter(operation_of(one) for one in shop.sent)
        assert 1 <= paths["read"] <= 2
        assert 2 <= paths["find"] <= 5
        assert paths["create"] == 1

    def test_some_look_while_it_is_under_way(self) -> None:
        early = [
            sum(row.done_ns < shop.rows[-1].done_ns for row in shop.rows[:-1])
            for shop in (lived("lookup", seed, create=[(9.0, OK)], find=[STILL]) for seed in SEEDS)
        ]
        assert sum(count > 0 for count in early) > 30

    def test_by_the_id_alone_where_references_cannot_be_looked_up(self) -> None:
        for seed in range(20):
            shop = Shop().without("find")
            rows = shop.journey("lookup", seed)
            assert Counter(map(operation_of, shop.sent)).keys() == {"create", "read"}
            assert 3 <= len(rows) <= 5

    def test_by_the_reference_while_nobody_has_told_the_id(self) -> None:
        shop = lived("lookup", 2, create=[LOST], find=[NOTHING])
        assert "read" not in {operation_of(one) for one in shop.sent}

    def test_it_is_looked_at_whatever_was_decided(self) -> None:
        shop = lived("lookup", 4, create=[DECLINED], read=[DECLINED], find=[DECLINED])
        assert {row.answer for row in shop.rows} == {"declined"}
        assert len(of_kind(shop.rows, "read")) >= 3

    def test_what_certainly_failed_is_not_looked_at_again(self) -> None:
        for seed in range(20):
            shop = lived("lookup", seed, create=[INVALID], find=[MISSING])
            pay = of_kind(shop.rows, "create")[0]
            assert all(row.due_ns <= pay.due_ns + 0.4 * S for row in shop.rows)

    def test_nobody_looks_for_longer_than_he_is_patient(self) -> None:
        for seed in range(20):
            shop = lived("lookup", seed, patience_s=0.6)
            assert all(row.due_ns <= INTENT.due_ns + 0.6 * S for row in shop.rows)

    @pytest.mark.parametrize("seed", range(10))
    def test_a_contradiction_is_on_record(self, seed: int) -> None:
        shop = lived("lookup", seed, find=[OK, DECLINED])
        answers = {row.answer for row in shop.rows if row.outcome == "ok"}
        assert answers == {"succeeded", "declined"}


STEPS = st.lists(
    st.sampled_from(
        [
            *(OK, AUTHORIZED, DECLINED, PROCESSING, STILL, IN_FLIGHT, SLOW_DOWN, BROKEN, INVALID),
            *(MISSING, REFUSED, LOST, (1.0, OK), (9.0, LOST), (2.0, PROCESSING)),
        ]
    ),
    min_size=1,
    max_size=6,
)


@given(
    name=st.sampled_from(["refund", "lookup", "capture_later"]),
    seed=st.integers(0, 1000),
    patience_s=st.floats(0, 20),
    scripts=st.fixed_dictionaries(dict.fromkeys(OPERATIONS, STEPS)),
)
def test_whatever_the_service_does(
    name: str, seed: int, patience_s: float, scripts: dict[str, list[Any]]
) -> None:
    rows = lived(name, seed, patience_s, **scripts).rows
    first = min(rows, key=lambda row: (row.operation != "pay", row.kind == "read", row.sent_ns))
    assert (first.kind, first.due_ns) == ("create", INTENT.due_ns)
    for operation in {row.operation for row in rows}:
        mine = sorted((row for row in rows if row.operation == operation), key=lambda r: r.attempt)
        assert [row.attempt for row in mine] == list(range(1, len(mine) + 1))
        assert {row.key for row in mine if row.kind != "read"} == {f"r1-4-{operation}"}
        assert {row.key for row in mine if row.kind == "read"} <= {None}
        assert len({row.amount_minor for row in mine if row.kind != "read"}) == 1
    for row in rows:
        assert row.due_ns <= row.sent_ns <= row.done_ns <= row.sent_ns + 3 * S
        assert row.due_ns <= INTENT.due_ns + (patience_s + 0.4) * S
    needed = {"refund": "succeeded", "capture": "authorized", "cancel": "authorized"}
    for row in rows:
        if row.kind in needed:
            said = [one for one in rows if one.operation == "pay" and one.done_ns < row.sent_ns]
            assert any((one.outcome, one.answer) == ("ok", needed[row.kind]) for one in said)


@pytest.mark.parametrize("name", ["refund", "lookup", "capture_later"])
def test_the_same_seed_lives_the_same(name: str) -> None:
    def once(seed: int) -> list[Attempt]:
        return lived(name, seed, create=[LOST, PROCESSING, AUTHORIZED], read=[STILL, OK]).rows

    assert once(5) == once(5)
    assert len({json.dumps(once(seed)) for seed in range(20)}) > 15
