from __future__ import annotations

import itertools

import pytest

from payresil.core.results import Exit, Line, Outcome, exit_status, worst


def test_the_worst_outcome_wins() -> None:
    assert worst([Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE]) is Outcome.FAIL
    assert worst([Outcome.PASS, Outcome.INCONCLUSIVE]) is Outcome.INCONCLUSIVE
    assert worst([Outcome.PASS]) is Outcome.PASS


def test_nothing_judged_is_no_pass() -> None:
    assert worst([]) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("outcome", "status"), [(Outcome.PASS, 0), (Outcome.FAIL, 1), (Outcome.INCONCLUSIVE, 3)]
)
def test_the_status_of_a_run_that_went_through(outcome: Outcome, status: int) -> None:
    found = exit_status(outcome, money_finding=False, broken=False, interrupted=False)
    assert found == status


@pytest.mark.parametrize(
    ("outcome", "broken", "interrupted"),
    list(itertools.product(Outcome, [False, True], [False, True])),
)
def test_a_money_finding_is_a_failure_whatever_else_happened(
    outcome: Outcome, broken: bool, interrupted: bool
) -> None:
    found = exit_status(outcome, money_finding=True, broken=broken, interrupted=interrupted)
    assert found == Exit.FAIL


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.INCONCLUSIVE])
def test_what_broke_beats_what_could_not_be_decided(outcome: Outcome, interrupted: bool) -> None:
    found = exit_status(outcome, money_finding=False, broken=True, interrupted=interrupted)
    assert found == Exit.BROKEN


def test_an_interrupted_run_says_so() -> None:
    found = exit_status(Outcome.PASS, money_finding=False, broken=False, interrupted=True)
    assert found == Exit.INTERRUPTED


def test_a_pass_needs_that_nothing_at_all_happened() -> None:
    for outcome, money, broken, interrupted in itertools.product(
        Outcome, [False, True], [False, True], [False, True]
    ):
        found = exit_status(outcome, money_finding=money, broken=broken, interrupted=interrupted)
        clean = outcome is Outcome.PASS and not (money or broken or interrupted)
        assert (found == Exit.PASS) == clean


def test_a_line_of_a_witness() -> None:
    assert str(Line(1_500_000_000, "psp", "charge ch_1")) == "     1.500s  psp      charge ch_1"
    assert str(Line(None, "client", "asked")).startswith("         ?s  client")
