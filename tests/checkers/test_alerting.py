from __future__ import annotations

import json

import pytest

from payresil.checkers.alerting import alerting
from payresil.core.values import Duration

S = 1_000_000_000
NAME = "PspCircuitOpen"
WITHIN = {"alert": NAME, "within": Duration(5.0)}


def answered(history, *, to_s=44, **more):
    asked = {
        "alert": NAME,
        "from_ns": -2 * S,
        "to_ns": to_s * S,
        "step_ns": S,
        "rule_known": True,
        "rule_error": None,
    } | more
    history.event(44, "step", "prometheus", "answered", json.dumps(asked))
    history.tables.setdefault("alerts", [])


def fires(history, from_s, to_s, state="firing", labels='node="a"'):
    """Evaluated every second, 0.4 s after it."""
    history.tables.setdefault("alerts", []).extend(
        {
            "alert": NAME,
            "labels": labels,
            "state": state,
            "at_ns": second * S + S * 2 // 5,
            "until_ns": (second + 1) * S,
        }
        for second in range(from_s, to_s)
    )


def test_an_alert_that_fires_and_resolves_in_time(empty, ask):
    answered(empty)
    fires(empty, 11, 13, "pending")
    fires(empty, 13, 20)
    said = ask(alerting, empty.run(), **WITHIN, resolves_within=Duration(3.0))
    assert said.passes
    assert said.value("time_to_fire") == pytest.approx(3.4)
    assert said.value("time_to_resolve") == pytest.approx(1.99)
    assert said.value("faults_judged") == 1
    assert said.value("moments_judged") == 47
    assert said.value("steady_moments") == 10


def test_one_that_fires_late(empty, ask):
    answered(empty)
    fires(empty, 16, 20)
    (finding,) = ask(alerting, empty.run(), **WITHIN).findings
    assert "fired 6.400 s after its start; the objective is 5s" in finding.message


def test_one_that_is_only_pending(empty, ask):
    answered(empty)
    fires(empty, 11, 20, "pending")
    said = ask(alerting, empty.run(), **WITHIN)
    assert "never fired" in said.findings[0].message
    assert said.value("time_to_fire") is None


def test_one_that_fires_in_the_steady_phase(empty, ask):
    answered(empty)
    fires(empty, 4, 6)
    fires(empty, 12, 19)
    (finding,) = ask(alerting, empty.run(), **WITHIN).findings
    assert finding.message == (
        f'{NAME} {{node="a"}} fired in the steady phase, from 4.400 s to 6.000 s'
    )


def test_one_that_fires_in_the_warm_up_alone(empty, ask):
    answered(empty)
    fires(empty, -2, -1)
    fires(empty, 12, 19)
    assert ask(alerting, empty.run(), **WITHIN).passes


def test_one_that_fires_already(empty, ask):
    answered(empty)
    fires(empty, 8, 20)
    said = ask(alerting, empty.run(), **WITHIN)
    assert "steady phase" in said.findings[0].message
    assert "was firing already" in said.doubts[0].message


def test_one_that_does_not_resolve_in_time(empty, ask):
    answered(empty)
    fires(empty, 12, 30)
    said = ask(alerting, empty.run(), **WITHIN, resolves_within=Duration(10.0))
    assert "still fired 11.990 s after the heal; the objective is 10s" in said.findings[0].message
    assert ask(alerting, empty.run(), **WITHIN).passes


def test_one_that_never_resolves(empty, ask):
    answered(empty)
    fires(empty, 12, 44)
    said = ask(alerting, empty.run(), **WITHIN, resolves_within=Duration(60.0))
    assert "still fired when it was last looked at, 25.990 s" in said.doubts[0].message
    assert said.value("time_to_resolve") is None


def test_a_watch_that_ended_too_early(empty, ask):
    answered(empty, to_s=14)
    said = ask(alerting, empty.run(), **WITHIN)
    assert "watched for only 4.000 s of the 5s" in said.doubts[0].message
    assert not said.findings


def test_each_of_several_faults_is_judged(empty, ask):
    for at_s, what in ((30, "inject"), (30, "injected"), (34, "heal"), (34, "healed")):
        empty.event(at_s, "fault", "second", what)
    answered(empty)
    fires(empty, 12, 19)
    said = ask(alerting, empty.run(), **WITHIN, resolves_within=Duration(5.0))
    assert [f.message.split(":")[0] for f in said.findings] == ["second"]
    assert said.value("time_to_fire.second") is None
    first = next(name for name in said.measures if name.startswith("time_to_resolve."))
    fault = first.removeprefix("time_to_resolve.")
    assert ask(alerting, empty.run(), **WITHIN, fault=fault).passes
    assert "no fault third" in ask(alerting, empty.run(), **WITHIN, fault="third").doubts[0].message


def test_a_fault_that_was_never_healed(empty, ask):
    empty["events"][:] = [e for e in empty["events"] if e["what"] != "healed"]
    answered(empty)
    fires(empty, 12, 19)
    assert "never healed" in ask(alerting, empty.run(), **WITHIN).doubts[0].message


def test_no_fault(empty, ask):
    empty["events"][:] = [e for e in empty["events"] if e["kind"] != "fault"]
    answered(empty)
    said = ask(alerting, empty.run(), **WITHIN)
    assert "no fault was injected" in said.doubts[0].message


def test_no_steady_phase(empty, ask):
    empty["events"][:] = [e for e in empty["events"] if e["name"] != "steady"]
    answered(empty)
    fires(empty, 12, 19)
    assert "no steady phase" in ask(alerting, empty.run(), **WITHIN).doubts[0].message


def test_a_rule_that_cannot_be_evaluated(empty, ask):
    answered(empty, rule_error="many-to-many matching")
    assert "many-to-many" in ask(alerting, empty.run(), **WITHIN).doubts[0].message


def test_a_rule_that_may_not_be_there(empty, ask):
    answered(empty, rule_known=False)
    assert "whether it has a rule" in ask(alerting, empty.run(), **WITHIN).doubts[0].message
    fires(empty, 12, 19)
    assert ask(alerting, empty.run(), **WITHIN).passes


def test_no_prometheus(empty, ask):
    (doubt,) = ask(alerting, empty.run(), **WITHIN).doubts
    assert doubt.message == "no Prometheus watched this run"


def test_order_of_rows_does_not_matter(empty, same_in_any_order):
    answered(empty)
    fires(empty, 12, 30)
    fires(empty, 14, 22, labels='node="b"')
    same_in_any_order(alerting, empty, 3, **WITHIN, resolves_within=Duration(10.0))
