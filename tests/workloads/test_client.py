"""Customers on a virtual clock: what they send, when they send it again, and what is recorded."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.mapping import MappingError, Request
from payresil.core.registry import journeys
from payresil.core.schemas import ATTEMPTS
from payresil.workloads.attempts import Attempt
from payresil.workloads.transport import Reply, error_name

from .world import (
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
    World,
)


def kinds(rows: list[Attempt]) -> list[tuple[str, str]]:
    return [(row.kind, row.outcome) for row in rows]


def test_a_row_has_the_columns_of_the_table() -> None:
    assert list(Attempt._fields) == ATTEMPTS.names


def test_an_answer_at_once_is_one_row() -> None:
    (row,) = World(OK).journey("checkout")
    assert row == Attempt(
        "r1-4", 4, "pay", 1, "load", "checkout", "create", "r1-4-pay", 1250, "eur",
        3 * S, 3 * S, 3 * S + 10**7, "ok", 201, None, "succeeded", "p1", False, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("reply", [OK, DECLINED, INVALID, MISSING])
def test_what_is_settled_is_not_asked_again(reply: Reply) -> None:
    assert len(World(reply, BROKEN).journey("checkout")) == 1


@pytest.mark.parametrize("reply", [LOST, BROKEN, IN_FLIGHT, REFUSED, SLOW_DOWN, (9.0, OK)])
def test_without_a_clear_answer_the_same_key_is_sent_again(reply: Any) -> None:
    first, second = World(reply, OK).journey("checkout")
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.key == second.key == "r1-4-pay"
    assert (second.kind, second.outcome) == ("create", "ok")
    assert first.done_ns < second.due_ns == second.sent_ns


def test_a_timeout_takes_as_long_as_it_may() -> None:
    first, _ = World((99.0, OK), OK).journey("checkout")
    assert (first.done_ns - first.sent_ns, first.error, first.status) == (3 * S, "timeout", None)


def test_processing_is_read_until_it_is_final() -> None:
    world = World(PROCESSING, STILL, BROKEN, LOST, STILL, OK)
    rows = world.journey("checkout", patience_s=60)
    assert kinds(rows) == [("create", "unknown"), *[("read", "unknown")] * 4, ("read", "ok")]
    assert [row.attempt for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.key for row in rows] == ["r1-4-pay", *[None] * 5]
    assert {row.payment for row in rows} == {"p1"}
    assert [request.path for request in world.sent[1:]] == ["/p/p1"] * 5


def test_a_payment_that_cannot_be_read_is_sent_again() -> None:
    rows = World(PROCESSING, MISSING, OK).journey("checkout")
    assert kinds(rows) == [("create", "unknown"), ("read", "fail"), ("create", "ok")]


def test_an_unknown_answer_that_names_no_payment_is_not_read() -> None:
    rows = World(Reply(202, {}, b'{"s": "processing"}'), OK).journey("checkout")
    assert kinds(rows) == [("create", "unknown"), ("create", "ok")]


def test_patience_ends() -> None:
    rows = World(BROKEN).journey("checkout", patience_s=10)
    assert 5 < len(rows) < 20
    assert all(row.due_ns <= INTENT.due_ns + 10 * S for row in rows)
    assert {row.outcome for row in rows} == {"unknown"}


def test_without_patience_there_is_still_one_attempt() -> None:
    world = World(BROKEN)
    world.now += 60 * S  # the load started it late
    (row,) = world.journey("checkout", patience_s=1)
    assert (row.due_ns, row.sent_ns) == (3 * S, 63 * S)


def test_waits_grow_and_are_jittered() -> None:
    waits = {}
    for seed in (1, 2):
        rows = World(BROKEN).journey("checkout", seed=seed, patience_s=30)
        waits[seed] = [(b.due_ns - a.done_ns) / S for a, b in pairwise(rows)]
        for index, wait in enumerate(waits[seed]):
            most = min(0.25 * 2**index, 2.0)
            assert most / 2 <= wait <= most + 1e-9
    assert waits[1] != waits[2]


def test_the_same_seed_waits_the_same() -> None:
    assert World(BROKEN).journey("checkout", seed=5) == World(BROKEN).journey("checkout", seed=5)


def test_429_is_certain_until_something_is_unknown() -> None:
    rows = World(SLOW_DOWN, LOST, SLOW_DOWN, OK).journey("checkout")
    assert [row.outcome for row in rows] == ["fail", "unknown", "unknown", "ok"]


def test_429_beside_one_in_flight_is_unknown() -> None:
    world = World((1.0, OK), (0.01, SLOW_DOWN))
    client = world.client()

    def life() -> None:
        again = client.attempt_later(0.1, "create")
        client.attempt("create")
        again()

    world.live(life)
    assert sorted(row.outcome for row in world.rows) == ["ok", "unknown"]


@pytest.mark.parametrize("seed", range(12))
def test_the_impatient_send_twice_with_one_key(seed: int) -> None:
    rows = World((0.3, OK), (0.2, OK)).journey("impatient", seed=seed)
    assert sorted(row.attempt for row in rows) == [1, 2]
    assert {row.key for row in rows} == {"r1-4-pay"}
    first, second = sorted(rows, key=lambda row: row.attempt)
    assert 0 <= second.due_ns - first.due_ns <= 0.4 * S


def test_some_of_the_impatient_send_both_at_the_same_time() -> None:
    together = []
    for seed in range(40):
        rows = World((0.3, OK), (0.3, OK)).journey("impatient", seed=seed)
        together.append(rows[0].sent_ns == rows[1].sent_ns)
    assert 5 < sum(together) < 35


def test_the_impatient_one_who_meets_his_own_request_asks_again() -> None:
    rows = World((0.5, OK), (0.01, IN_FLIGHT), OK).journey("impatient", seed=3)
    assert sorted(row.outcome for row in rows) == ["ok", "unknown"]


def test_journeys_say_that_they_retry() -> None:
    for name in ("checkout", "impatient"):
        assert journeys.get(name).traits["retries"] is True
        assert journeys.get(name).claim.endswith(".")


def test_a_refund_has_an_operation_a_key_and_an_amount_of_its_own() -> None:
    world = World(OK, LOST, PROCESSING, OK)
    client = world.client()

    def life() -> None:
        client.pay()
        client.perform("refund", "refund.1", amount_minor=50)

    world.live(life)
    pay, *refunds = world.rows
    assert (pay.operation, pay.amount_minor) == ("pay", 1250)
    assert [row.kind for row in refunds] == ["refund"] * 3  # a refund is not read as a payment
    assert [row.attempt for row in refunds] == [1, 2, 3]
    assert {(row.operation, row.key, row.amount_minor) for row in refunds} == {
        ("refund.1", "r1-4-refund.1", 50)
    }
    assert [json.loads(request.body) for request in world.sent[1:]] == [{"amount": 50}] * 3
    assert refunds[0].due_ns == pay.done_ns


def test_to_find_a_payment_is_recorded_as_a_read_of_it() -> None:
    world = World(OK)
    world.live(lambda: world.client().attempt("find"))
    (row,) = world.rows
    assert (row.operation, row.kind, row.key, row.payment) == ("pay", "read", None, "p1")
    assert world.sent[0].path == "/p?ref=r1-4"


def test_a_read_that_got_no_answer_leaves_nothing_unclear() -> None:
    world = World(LOST, SLOW_DOWN)
    client = world.client()

    def life() -> None:
        client.attempt("find")
        client.attempt("create")

    world.live(life)
    assert kinds(world.rows) == [("read", "unknown"), ("create", "fail")]


@pytest.mark.parametrize(("seconds", "waits"), [(0.0, True), (10.0, True), (10.1, False)])
def test_nobody_waits_beyond_his_patience(seconds: float, waits: bool) -> None:
    world = World(OK)
    client = world.client(patience_s=10)
    assert world.live(lambda: client.wait(seconds)) is waits
    assert world.now - INTENT.due_ns in range(round(seconds * waits * S), 11 * S)


def test_what_is_begun_beside_ends_with_its_result() -> None:
    world = World((0.5, OK))
    client = world.client()

    def life() -> list[Any]:
        others = [client.beside(lambda n=n: client.attempt("create", f"pay.{n}")) for n in "12"]
        return [other().state for other in others]

    assert world.live(life) == ["succeeded", "succeeded"]
    assert len({row.sent_ns for row in world.rows}) == 1


def test_one_who_is_stopped_leaves_a_row() -> None:
    class Stopped(BaseException):
        pass

    class Cut(World):
        def send(self, request: Request, timeout_s: float) -> Reply:
            raise Stopped

    world = Cut(OK)
    with pytest.raises(Stopped):
        world.client().attempt("create")
    assert [(row.outcome, row.error) for row in world.rows] == [("unknown", "abandoned")]


def test_a_journey_that_asks_for_what_is_not_described_fails() -> None:
    with pytest.raises(MappingError, match="no operation 'void'"):
        World(OK).client().attempt("void")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "reset"),
        (BrokenPipeError(), "reset"),
        (OSError(113, "no route"), "network"),
    ],
)
def test_error_names(error: BaseException, name: str) -> None:
    assert error_name(error) == name


REPLIES = st.sampled_from(
    [
        OK,
        DECLINED,
        PROCESSING,
        STILL,
        IN_FLIGHT,
        SLOW_DOWN,
        BROKEN,
        INVALID,
        MISSING,
        REFUSED,
        LOST,
        (1.0, OK),
        (9.0, LOST),
        (2.0, PROCESSING),
    ]
)


@given(
    script=st.lists(REPLIES, min_size=1, max_size=12),
    journey=st.sampled_from(["checkout", "impatient"]),
    seed=st.integers(0, 1000),
    patience_s=st.floats(0, 20),
)
def test_whatever_the_service_does(
    script: list[Any], journey: str, seed: int, patience_s: float
) -> None:
    world = World(*script)
    rows = world.journey(journey, seed, patience_s)
    assert len(rows) == len(world.sent) >= 1
    assert sorted(row.attempt for row in rows) == list(range(1, len(rows) + 1))
    assert {row.key for row in rows if row.kind == "create"} == {"r1-4-pay"}
    assert {row.key for row in rows if row.kind == "read"} <= {None}
    for row in rows:
        assert row.due_ns <= row.sent_ns <= row.done_ns <= row.sent_ns + 3 * S
        assert (row.status is None) == (row.error is not None)
        double = journey == "impatient" and row.due_ns <= INTENT.due_ns + 0.4 * S
        assert row.due_ns <= INTENT.due_ns + patience_s * S or double
    if journey == "checkout":
        assert all(row.outcome != "ok" for row in rows[:-1])
