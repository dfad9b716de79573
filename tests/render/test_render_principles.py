"""The ten principles and what touches them."""

from __future__ import annotations

from payresil.core.results import CheckResult, Outcome
from payresil.render.principles import PRINCIPLES, TOUCHES, outside, touching


def check(name):
    return CheckResult(name, "money", "", Outcome.PASS)


def test_there_are_ten_and_they_are_numbered():
    assert [principle.number for principle in PRINCIPLES] == list(range(1, 11))


def test_every_check_that_is_listed_touches_a_principle_that_there_is():
    numbers = {principle.number for principle in PRINCIPLES}
    assert all(touched and set(touched) <= numbers for touched in TOUCHES.values())


def test_a_second_check_of_a_kind_touches_the_same():
    fourth = PRINCIPLES[3]
    assert touching(fourth, [check("idempotency.2"), check("latency")]) == (check("idempotency.2"),)


def test_a_check_of_somebody_else_is_outside():
    assert outside([check("idempotency"), check("my_check")]) == (check("my_check"),)
