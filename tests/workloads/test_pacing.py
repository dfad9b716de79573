"""Who takes which arrival, on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from payresil.core.plan import Arrival
from payresil.workloads.pacing import Pacer


def arrival(n: int, due_s: float) -> Arrival:
    return Arrival(n, due_s, "checkout", 100, "eur", 0)


def pacer(*due: float) -> Pacer:
    return Pacer(iter([arrival(n, due_s) for n, due_s in enumerate(due)]))


@dataclass
class Customers:
    """Customers that ask a pacer, and what each was given."""

    pacer: Pacer
    given: dict[int, list[Arrival | None]] = field(default_factory=dict)

    def ask(self, name: int) -> None:
        self.pacer.ask(self.given.setdefault(name, []).append)

    def numbers(self) -> list[int]:
        """Of arrivals, in the order in which customers are numbered."""
        return [one.n for got in self.given.values() for one in got if one is not None]


def test_nothing_is_given_before_it_is_due() -> None:
    customers = Customers(pacer(1.0))
    customers.ask(1)
    assert customers.pacer.release(999_999_999) == 0
    assert customers.given == {1: []}
    assert customers.pacer.release(1_000_000_000) == 0
    assert customers.numbers() == [0]


def test_the_customer_who_became_free_last_is_asked_first() -> None:
    customers = Customers(pacer(0.0, 1.0, 5.0))
    customers.ask(1)
    customers.ask(2)
    customers.pacer.release(0)
    assert [one.n for one in customers.given[2] if one] == [0]
    customers.pacer.release(10**9)
    assert [one.n for one in customers.given[1] if one] == [1]


def test_what_finds_nobody_free_waits_and_is_taken_at_once_in_order() -> None:
    customers = Customers(pacer(0.0, 0.1, 0.2, 9.0))
    assert customers.pacer.release(2 * 10**8) == 3
    assert customers.pacer.overdue == 3
    for name in (1, 2, 3, 4):
        customers.ask(name)
    assert customers.numbers() == [0, 1, 2]
    assert customers.given[4] == []


def test_warm_up_is_before_zero() -> None:
    customers = Customers(pacer(-2.0, -1.0, 1.0))
    assert customers.pacer.next_due_ns == -2 * 10**9
    assert customers.pacer.release(-15 * 10**8) == 1
    assert customers.pacer.next_due_ns == -(10**9)


def test_at_the_end_everybody_goes_home() -> None:
    customers = Customers(pacer(0.0))
    customers.ask(1)
    customers.ask(2)
    customers.pacer.release(0)
    assert customers.given[1] == [None]
    customers.ask(2)
    assert customers.given[2] == [arrival(0, 0.0), None]
    assert customers.pacer.next_due_ns is None


def test_an_empty_plan_sends_everybody_home() -> None:
    customers = Customers(pacer())
    customers.ask(1)
    assert customers.given == {1: [None]}


def test_stopping_leaves_out_what_is_not_due_and_nothing_else() -> None:
    customers = Customers(pacer(0.0, 0.1, 9.0))
    customers.pacer.release(10**8)
    customers.pacer.stop()
    assert customers.pacer.next_due_ns is None
    for name in (1, 2, 3):
        customers.ask(name)
    assert customers.numbers() == [0, 1]
    assert customers.given[3] == [None]


def test_a_stop_while_the_next_arrival_is_being_drawn_holds() -> None:
    def arrivals() -> Iterator[Arrival]:
        yield arrival(0, 0.0)
        stopping.stop()  # as when a number is being reserved and SIGTERM comes
        yield arrival(1, 1.0)

    stopping = Pacer(arrivals())
    customers = Customers(stopping)
    assert stopping.release(0) == 1
    assert stopping.next_due_ns is None
    customers.ask(1)
    customers.ask(2)
    assert customers.numbers() == [0]
    assert customers.given[2] == [None]


def test_trim_sends_home_those_whom_nothing_needed() -> None:
    customers = Customers(pacer(0.0, 0.1, 9.0))
    for name in range(10):
        customers.ask(name)
    assert customers.pacer.trim(keep=2) == 0  # nobody has been free for a whole period yet
    customers.pacer.release(10**8)  # two of ten were needed
    assert customers.pacer.trim(keep=2) == 6
    assert sorted(name for name, got in customers.given.items() if got == [None]) == list(range(6))
    assert sorted(customers.numbers()) == [0, 1]


@given(
    gaps=st.lists(st.integers(0, 5), max_size=40),
    steps=st.lists(st.sampled_from(["ask", "tick", "tick2", "trim"]), max_size=120),
    stop_at=st.none() | st.integers(0, 120),
)
def test_each_arrival_is_given_exactly_once_in_order_and_never_early(
    gaps: list[int], steps: list[str], stop_at: int | None
) -> None:
    due_ns = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    schedule = Pacer(iter([arrival(n, ns / 1e9) for n, ns in enumerate(due_ns)]))
    now, given_at, homes = 0, [], 0

    def hand(one: Arrival | None) -> None:
        nonlocal homes
        if one is None:
            homes += 1
        else:
            given_at.append((one.n, now))

    asked, stopped_at = 0, None
    for index, step in enumerate(steps):
        if index == stop_at:
            schedule.stop()
            stopped_at = now
        if step == "ask":
            schedule.ask(hand)
            asked += 1
        elif step == "trim":
            schedule.trim(1)
        else:
            now += 1 if step == "tick" else 2
            schedule.release(now)
    if stopped_at is None:
        now = max([now, *due_ns])
        schedule.release(now)
    while schedule.overdue:
        schedule.ask(hand)
        asked += 1
    numbers = [n for n, _ in given_at]
    assert numbers == list(range(len(numbers)))
    assert all(at >= due_ns[n] for n, at in given_at)
    if stopped_at is None:
        assert len(numbers) == len(gaps)
        assert asked == homes + len(numbers)
