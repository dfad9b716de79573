from __future__ import annotations

import json
import sys

import pytest

from payresil.core import registry
from payresil.core.registry import OpenSet
from payresil.core.results import Doubt, Exit, Finding, Line, Measure, Outcome
from payresil.core.run import Run
from payresil.core.scenario import CheckStep, FaultStep, Scenario, SystemChoice, Workload
from payresil.core.schemas import SCHEMAS
from payresil.core.values import Duration, Rate, Share
from payresil.core.verdict_file import from_json, to_json
from payresil.engine import judge as judging
from payresil.engine.judge import FINDINGS_KEPT, WITNESSES, judge

S = 1_000_000_000


@pytest.fixture
def sets(monkeypatch):
    """Empty sets of checkers and faults, for members that a test writes."""
    made = {}
    for name in ("checkers", "faults"):
        made[name] = OpenSet(name.removesuffix("s"), "payresil.systems")  # a package without any
        monkeypatch.setattr(registry, name, made[name])
        monkeypatch.setattr(judging, name, made[name])
    return made


@pytest.fixture
def check(sets):
    """Register a checker that gives these results, or calls this function."""

    def register(name, *results, kind="money", needs=(), call=None):
        def says(run, **parameters):
            """It holds.

            More about it.
            """
            yield from results

        sets["checkers"].add(name, call or says, kind=kind, needs=needs)

    return register


def scenario(*checks, faults=()):
    steps = [c if isinstance(c, CheckStep) else CheckStep(c) for c in checks]
    return Scenario(
        "s",
        "Customers are charged once.",
        SystemChoice("refpay"),
        1,
        Workload(Rate(1.0), Duration(1.0), {"checkout": 1}),
        tuple(faults),
        tuple(steps),
    )


def event(at_s, kind, name, what, **detail):
    return {
        "at_ns": round(at_s * S),
        "kind": kind,
        "name": name,
        "what": what,
        "detail": json.dumps(detail),
    }


COMPLETE = [
    event(at_s, "phase", name, what)
    for name, begin, end in (("steady", 0, 9), ("drain", 9, 10), ("audit", 10, 11))
    for at_s, what in ((begin, "begin"), (end, "end"))
]
INJECTED = [
    event(at_s, "fault", "lost", what)
    for at_s, what in ((2, "inject"), (2.1, "injected"), (5, "heal"), (5.1, "healed"))
]
LOST = FaultStep("lost", "psp_lost", Duration(2.0), Duration(3.0), {"share": Share(0.3)})


def attempt(n, **more):
    return {
        "intent": f"r-{n}",
        "n": n,
        "operation": "pay",
        "attempt": 1,
        "source": "load",
        "kind": "create",
        "sent_ns": n * S,
        "done_ns": n * S + 5,
        "due_ns": n * S,
        "outcome": "ok",
        "answer": "succeeded",
        "status": 200,
        "amount_minor": 5,
        "currency": "eur",
    } | more


def recorded(*events, meta=(), **tables):
    """A run that was recorded whole, with more events."""
    return Run.from_rows(
        {"run": "r", **dict(meta)},
        **{"attempts": [attempt(1)], "events": [*COMPLETE, *events]} | tables,
    )


JUDGED = Measure("rows_judged", 3)


def test_a_check_that_finds_and_doubts_nothing_passes(check):
    check("good", JUDGED)
    verdict = judge(recorded(), scenario("good"))
    assert (verdict.outcome, verdict.exit_status) == (Outcome.PASS, Exit.PASS)
    assert (verdict.run, verdict.scenario) == ("r", "s")
    assert verdict.claim == "Customers are charged once."
    good, whole = verdict.checks
    assert good.claim == "It holds."
    assert good.kind == "money"
    assert good.measures == (JUDGED,)
    assert good.seconds > 0
    assert (whole.name, whole.kind, whole.outcome) == ("run", "evidence", Outcome.PASS)


def test_a_finding_fails(check):
    check("bad", JUDGED, Finding("gone"), kind="objective")
    verdict = judge(recorded(), scenario("bad"))
    assert (verdict.outcome, verdict.exit_status) == (Outcome.FAIL, Exit.FAIL)


@pytest.mark.parametrize(
    "results",
    [
        [],
        [Measure("rows_judged", 0)],
        [Measure("rows_judged", None), Measure("other_judged", 0)],
        [Measure("seconds", 3)],
        [JUDGED, Doubt("cannot tell")],
    ],
)
def test_nothing_passes_vacuously(check, results):
    check("vain", *results)
    verdict = judge(recorded(), scenario("vain"))
    assert (verdict.outcome, verdict.exit_status) == (Outcome.INCONCLUSIVE, Exit.INCONCLUSIVE)
    assert verdict.checks[0].doubts


def test_one_count_that_is_not_zero_is_enough(check):
    check("good", Measure("refunds_judged", 0), JUDGED)
    assert judge(recorded(), scenario("good")).outcome is Outcome.PASS


def test_a_finding_beats_a_doubt(check):
    check("bad", JUDGED, Doubt("hm"), Finding("gone"))
    (result, _) = judge(recorded(), scenario("bad")).checks
    assert result.outcome is Outcome.FAIL
    assert len(result.doubts) == 1


def test_the_worst_check_wins(check):
    check("good", JUDGED)
    check("vain")
    check("bad", JUDGED, Finding("gone"), kind="objective")
    assert judge(recorded(), scenario("good", "vain")).outcome is Outcome.INCONCLUSIVE
    assert judge(recorded(), scenario("good", "vain", "bad")).outcome is Outcome.FAIL


def test_a_checker_that_raises_is_a_doubt_with_its_traceback(check):
    def breaks(run):
        yield JUDGED
        yield Finding("before")
        raise ZeroDivisionError("by nought")

    check("breaks", call=breaks)
    (result, _) = judge(recorded(), scenario("breaks")).checks
    assert result.outcome is Outcome.FAIL  # what it had found stands
    (doubt,) = result.doubts
    assert doubt.message == "raised ZeroDivisionError: by nought"
    assert "in breaks" in doubt.traceback


def test_a_checker_that_ends_the_process_is_a_doubt(check):
    def ends(run):
        yield JUDGED
        sys.exit(0)

    check("ends", call=ends)
    (result, _) = judge(recorded(), scenario("ends")).checks
    assert result.outcome is Outcome.INCONCLUSIVE
    (doubt,) = result.doubts
    assert doubt.message == "raised SystemExit: 0"
    assert "in ends" in doubt.traceback


@pytest.mark.parametrize("call", [lambda run: None, lambda run: ["fine"], lambda run, x: []])
def test_a_checker_of_the_wrong_shape_is_a_doubt(check, call):
    check("odd", call=call)
    (result, _) = judge(recorded(), scenario("odd")).checks
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "TypeError" in result.doubts[0].message


def test_an_unknown_checker_is_a_doubt(check):
    check("idempotency", JUDGED)
    (result, _) = judge(recorded(), scenario("idempotence")).checks
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "did you mean idempotency?; is an --import missing?" in result.doubts[0].message


def test_a_missing_table_is_a_doubt_and_the_checker_is_not_asked(check):
    def never(run):
        raise AssertionError("asked")

    check("needy", call=never, needs=("attempts", "psp_charges"))
    (result, _) = judge(recorded(), scenario("needy")).checks
    assert [doubt.message for doubt in result.doubts] == [
        "this run did not record psp_charges, without which nothing can be judged"
    ]


@pytest.mark.parametrize("need", ["replication", "regions", "signals", "logs"])
def test_what_a_system_must_have_is_no_table_that_a_run_could_lack(check, need):
    check("knowing", JUDGED, needs=("attempts", need))
    (result, _) = judge(recorded(), scenario("knowing")).checks
    assert result.outcome is Outcome.PASS


def test_parameters_reach_the_checker_and_are_kept_as_written(check):
    seen = {}

    def asks(run, **parameters):
        seen.update(parameters)
        yield JUDGED

    check("asks", call=asks)
    given = {"within": Duration(20.0), "steady": Share(0.99), "phase": "steady", "n": 3}
    (result, _) = judge(recorded(), scenario(CheckStep("asks", given))).checks
    assert seen == given
    assert result.parameters == {"within": "20s", "steady": "99%", "phase": "steady", "n": 3}


def test_the_second_of_a_kind_has_a_name_of_its_own(check):
    check("good", JUDGED)
    check("other", JUDGED)
    names = [c.name for c in judge(recorded(), scenario("good", "other", "good", "good")).checks]
    assert names == ["good", "other", "good.2", "good.3", "run"]


def test_many_findings_are_counted_and_the_first_are_kept(check):
    check("bad", JUDGED, *(Finding(f"no {n}") for n in range(1000)))
    (result, _) = judge(recorded(), scenario("bad")).checks
    assert result.findings_total == 1000
    assert [f.message for f in result.findings] == [f"no {n}" for n in range(FINDINGS_KEPT)]


def test_the_first_findings_get_their_timeline(check):
    own = (Line(None, "client", "said so"),)
    check(
        "bad",
        JUDGED,
        Finding("own", "r-1", own),
        Finding("of no intent"),
        *(Finding("bad", f"r-{n}") for n in range(1, 9)),
    )
    run = recorded(attempts=[attempt(n) for n in range(1, 9)])
    (result, _) = judge(run, scenario("bad")).checks
    witnesses = [finding.witness for finding in result.findings]
    assert witnesses[0] == own
    assert witnesses[1] == ()
    assert witnesses[2] == run.timeline("r-1")
    assert len(witnesses[2]) == 2
    assert all(witnesses[2:WITNESSES])
    assert not any(witnesses[WITNESSES:])


@pytest.fixture
def fault(sets):
    """Register a fault whose evidence gives these results."""

    def register(*results, call=None):
        def evidence(run, window):
            yield from results

        def psp_lost(environment, share):
            """The PSP's answer is lost."""

        sets["faults"].add("psp_lost", psp_lost, evidence=call or evidence, needs=())

    return register


def test_evidence_that_a_fault_bit(check, fault):
    check("good", JUDGED)
    fault(Measure("answers_lost", 4))
    verdict = judge(recorded(*INJECTED), scenario("good", faults=[LOST]))
    assert verdict.outcome is Outcome.PASS
    (bit,) = verdict.faults
    assert (bit.name, bit.kind, bit.claim) == ("lost", "evidence", "The PSP's answer is lost.")
    assert bit.parameters == {"share": "30%"}


def test_the_window_reaches_from_inject_to_healed(check, fault):
    seen = []

    def evidence(run, window):
        seen.append(window)
        yield Measure("hit", 1)

    check("good", JUDGED)
    fault(call=evidence)
    judge(recorded(*INJECTED), scenario("good", faults=[LOST]))
    judge(recorded(*INJECTED[:3]), scenario("good", faults=[LOST]))
    assert [(w.fault, w.start_ns, w.end_ns) for w in seen] == [
        ("lost", 2 * S, 5_100_000_000),
        ("lost", 2 * S, None),
    ]


@pytest.mark.parametrize("results", [[], [Measure("hit", 0)], [Measure("hit", 3), Doubt("hm")]])
def test_a_fault_that_did_not_bite_leaves_the_run_undecided(check, fault, results):
    check("good", JUDGED)
    fault(*results)
    verdict = judge(recorded(*INJECTED), scenario("good", faults=[LOST]))
    assert (verdict.outcome, verdict.exit_status) == (Outcome.INCONCLUSIVE, Exit.INCONCLUSIVE)
    assert verdict.faults[0].doubts


@pytest.mark.parametrize("events", [[], INJECTED[:1], INJECTED[2:]])
def test_a_fault_that_was_never_injected(check, fault, events):
    check("good", JUDGED)
    fault(Measure("hit", 9))
    verdict = judge(recorded(*events), scenario("good", faults=[LOST]))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.faults[0].doubts == (Doubt("lost was never injected"),)


def test_evidence_that_raises_is_a_doubt(check, fault):
    check("good", JUDGED)
    fault(call=lambda run, window: run.rows("select nonsense"))
    verdict = judge(recorded(*INJECTED), scenario("good", faults=[LOST]))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.faults[0].doubts[0].traceback


def broken(at_s=6):
    return event(at_s, "harness", "environment", "broken", error="a/db ended with status 1")


def test_what_broke_is_told_and_is_exit_4(check):
    check("good", JUDGED)
    verdict = judge(recorded(broken()), scenario("good"))
    assert verdict.broken == "a/db ended with status 1"
    assert (verdict.outcome, verdict.exit_status) == (Outcome.INCONCLUSIVE, Exit.BROKEN)


def test_a_money_finding_beats_what_broke_and_an_objective_does_not(check):
    check("money", JUDGED, Finding("gone"))
    check("slow", JUDGED, Finding("slow"), kind="objective")
    assert judge(recorded(broken()), scenario("money")).exit_status == Exit.FAIL
    assert judge(recorded(broken()), scenario("slow")).exit_status == Exit.BROKEN


def test_an_interrupted_run(check):
    check("good", JUDGED)
    run = recorded(event(6, "harness", "harness", "interrupted"))
    verdict = judge(run, scenario("good"))
    assert verdict.interrupted
    assert (verdict.outcome, verdict.exit_status) == (Outcome.INCONCLUSIVE, Exit.INTERRUPTED)
    both = judge(
        recorded(broken(), event(6, "harness", "harness", "interrupted")), scenario("good")
    )
    assert both.exit_status == Exit.BROKEN


FLAW = {
    "flaw": "key-per-attempt",
    "flaw_exposed_by": {"check": "idempotency", "scenario": "scenarios/gate/lost.yaml"},
}


def test_a_flaw_that_was_not_caught_says_where_it_is(check):
    check("good", JUDGED)
    assert judge(recorded(meta=FLAW), scenario("good")).warnings == (
        "no check caught the flaw key-per-attempt in this run; idempotency is known to catch it in "
        "scenarios/gate/lost.yaml",
    )
    unknown = {**FLAW, "flaw_exposed_by": None}
    assert judge(recorded(meta=unknown), scenario("good")).warnings == (
        "no check caught the flaw key-per-attempt in this run",
    )


def test_a_flaw_that_was_caught_and_a_run_without_one_need_no_word(check):
    check("bad", JUDGED, Finding("charged twice"))
    check("good", JUDGED)
    assert judge(recorded(meta=FLAW), scenario("good", "bad")).warnings == ()
    assert judge(recorded(), scenario("good")).warnings == ()


def test_warnings_are_passed_on(check):
    check("good", JUDGED)
    run = recorded(
        event(6, "harness", "prober", "warning", message="late"), meta={"warnings": ["no retries"]}
    )
    assert judge(run, scenario("good")).warnings == ("no retries", "late")


def test_a_detail_that_is_no_json_does_not_matter(check):
    check("good", JUDGED)
    odd = {**broken(), "detail": "{half"}
    assert judge(recorded(odd), scenario("good")).broken == "{half"
    nothing = {**broken(), "detail": None}
    assert judge(recorded(nothing), scenario("good")).broken == "environment"


@pytest.mark.parametrize("missing", ["drain", "audit"])
def test_a_run_that_ended_early_is_undecided(check, missing):
    check("good", JUDGED)
    events = [e for e in COMPLETE if (e["name"], e["what"]) != (missing, "end")]
    verdict = judge(recorded(events=events), scenario("good"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.checks[-1].doubts == (Doubt(f"the run did not get through the phase {missing}"),)


def test_a_remedy_that_failed_leaves_the_run_undecided(check):
    check("good", JUDGED)
    begun = [
        event(3, "remedy", "failover", "begin"),
        event(3, "remedy_step", "failover", "begin", step="promote"),
    ]
    failed = [
        event(4, "remedy_step", "failover", "failed", step="promote", error="no answer"),
        event(4, "remedy", "failover", "failed", error="no answer"),
    ]
    verdict = judge(recorded(*begun, *failed), scenario("good"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert [d.message for d in verdict.checks[-1].doubts] == [
        "remedy failover failed at step promote: no answer"
    ]
    verdict = judge(recorded(*begun), scenario("good"))
    assert [d.message for d in verdict.checks[-1].doubts] == [
        "remedy failover never ended: the run ended at step promote"
    ]


def test_an_empty_run_is_undecided_and_says_why(check):
    check("good", JUDGED)
    verdict = judge(Run.from_rows(), scenario("good"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert [d.message for d in verdict.checks[-1].doubts] == [
        "no attempt was recorded: nobody tried to pay",
        "the run did not get through the phase drain",
        "the run did not get through the phase audit",
    ]


def test_a_scenario_that_checks_nothing_is_undecided(sets):
    verdict = judge(recorded(), scenario())
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.checks[-1].doubts == (Doubt("the scenario checks nothing"),)


def test_tables_that_cannot_be_added_up_are_a_doubt_not_a_crash(check):
    check("bad", JUDGED, Finding("gone", "r-1"))
    huge = [{"payment": f"p{n}", "intent": "r-1", "captured_minor": 2**63 - 1} for n in range(2)]
    transition = {"payment": "p", "intent": "r-1", "to_state": "x", "at_us": 2**62}
    run = recorded(books_payments=huge, books_transitions=[transition])
    verdict = judge(run, scenario("bad"))
    assert "cannot be put together" in verdict.checks[-1].doubts[0].message
    assert "timelines" in verdict.checks[0].doubts[0].message
    assert verdict.exit_status == Exit.FAIL


def test_judging_twice_says_the_same_and_the_file_holds_it(check, fault):
    check("bad", JUDGED, Finding("gone", "r-1"), Doubt("hm"))
    fault(Measure("hit", 1))
    run = recorded(*INJECTED)
    first, second = (judge(run, scenario("bad", faults=[LOST])) for _ in range(2))
    assert from_json(to_json(first)) == first
    without_time = [json.loads(to_json(verdict)) for verdict in (first, second)]
    for verdict in without_time:
        for result in (*verdict["checks"], *verdict["faults"]):
            result["seconds"] = 0
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize(
    "name",
    [
        "idempotency",
        "durability",
        "reconciliation",
        "double_entry",
        "availability",
        "latency",
        "recovery",
        "no_leaks",
    ],
)
def test_no_checker_of_ours_passes_an_empty_run(name):
    given = {"rto": Duration(15.0)} if name == "recovery" else {}
    nothing = {table: [] for table in SCHEMAS}
    for tables in ({}, nothing, nothing | {"events": COMPLETE + INJECTED}):
        run = Run.from_rows({}, **tables)
        result = judge(run, scenario(CheckStep(name, given))).checks[0]
        assert result.outcome is Outcome.INCONCLUSIVE, name
        assert result.claim.endswith(".")
        assert all(doubt.traceback is None for doubt in result.doubts), result.doubts
