"""A failover by hand, judged and rendered whole: every figure is known beforehand."""

from __future__ import annotations

import pytest

from payresil.core.results import Outcome
from payresil.core.scenario import CheckStep, Scenario, SystemChoice, Workload
from payresil.core.values import Duration, Rate
from payresil.engine.judge import judge
from payresil.render.html import html
from payresil.render.md import md
from payresil.render.text import text

STEPS = {
    "detect": (10, 11),
    "decide": (11, 11),
    "fence": (11, 13),
    "promote": (13, 13.5),
    "switch": (13.5, 13.75),
    "resolve": (13.75, 15),
    "reconcile": (15, 16),
}
CHECKS = (
    CheckStep("data_loss", {"rpo": Duration(2), "payments": 3, "after_reconciliation": 0}),
    CheckStep("recovery", {"rto": Duration(15)}),
    CheckStep("no_split_brain"),
)


@pytest.fixture
def scenario():
    return Scenario(
        "region-loss-async",
        "A lost region loses little.",
        SystemChoice("refpay-two-regions"),
        1,
        Workload(Rate(10.0), Duration(40.0), {"checkout": 1}),
        (),
        CHECKS,
    )


@pytest.fixture
def failed_over(history):
    """Region a is gone from 10 on; b/db lacks payments 18 and 19, and customers wait until 14."""
    for n in range(100, 400):
        due_s = n / 10
        lost = due_s < 13.75
        history.attempt(n, due_s, outcome="unknown" if lost else "ok", answer=None)
    history.remedy("failover", STEPS)
    history.snapshot("promoted", "b/db", 13.6, range(18))
    history.snapshot("end", "b/db", 43.5, range(20))
    history.snapshot("before_rejoin", "a/db", 43.2, range(20))
    history.epoch(1, "a", -3)
    history.epoch(2, "b", 13)
    return history


def test_every_figure_is_the_one_that_was_made(failed_over, scenario):
    run = failed_over.run()
    verdict = judge(run, scenario)
    measured = {m.name: m.value for check in verdict.checks for m in check.measures}
    assert [d.message for check in verdict.checks for d in check.doubts] == []
    assert verdict.outcome is Outcome.PASS
    assert verdict.exit_status == 0
    assert measured["recovery_time"] == 4
    assert measured["detection_time"] == 1
    assert measured["decision_time"] == 0
    assert measured["step_fence"] == 2
    assert measured["time_to_zero_unknowns"] == 5
    assert measured["time_to_zero_unreconciled"] == 6
    assert measured["data_loss"] == 2
    assert measured["data_loss_eur"] == 1018 + 1019
    assert measured["data_loss_oldest"] == pytest.approx(10 - 9.02)
    assert measured["data_loss_after_reconciliation"] == 0
    for page in (text(run, verdict), md(run, verdict), html(run, verdict)):
        shown = page.replace("\\_", "_").replace("data loss", "data_loss")
        assert "failover" in shown
        assert "data_loss" in shown


def test_one_that_lost_more_fails(failed_over, scenario):
    failed_over.tables["snapshots"] = [
        row for row in failed_over["snapshots"] if row["intent"] not in ("1a2b-16", "1a2b-17")
    ]
    verdict = judge(failed_over.run(), scenario)
    assert verdict.exit_status == 1
    assert verdict.checks[0].findings[0].witness
