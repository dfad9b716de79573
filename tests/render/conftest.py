"""A made-up run that looks like a real one: customers, a PSP that loses answers, a verdict."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

from payresil.core.results import CheckResult, Doubt, Exit, Finding, Measure, Outcome, Verdict
from payresil.core.results import worst as worst_of
from payresil.core.run import Run

RUN = "20260314T101500Z-7f3a"
S = 1_000_000_000  # nanoseconds
CLAIM = "A customer is charged once, even when the PSP's answer never arrives."


@dataclass
class Tables:
    """Rows by table while they are made."""

    attempts: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    psp_attempts: list[dict[str, Any]] = field(default_factory=list)
    psp_charges: list[dict[str, Any]] = field(default_factory=list)
    books_transitions: list[dict[str, Any]] = field(default_factory=list)

    def run(self, meta: dict[str, Any]) -> Run:
        return Run.from_rows(meta, **vars(self))


@dataclass
class Plan:
    """What to make up: faults are (id, start, end) in seconds."""

    seconds: int = 40
    rate: float = 30.0
    faults: tuple[tuple[str, float, float], ...] = (("psp_lost_answers", 10.0, 18.0),)
    flaw: str | None = None
    seed: int = 7

    def meta(self) -> dict[str, Any]:
        return {
            "run": RUN,
            "scenario": "psp-lost-answers",
            "scenario_file": "scenarios/gate/psp-lost-answers.yaml",
            "seed": self.seed,
            "flaw": self.flaw,
            "system": "refpay",
            "schema_version": 1,
            "zero_wall_us": 1_773_483_300_000_000,
            "versions": {"payresil": "0.1.0", "python": "3.11.9", "postgresql": "18.4"},
            "nodes": ["a/db", "a/lb", "a/service.1", "a/service.2", "psp", "router"],
            "links": ["a/lb->a/service.1", "a/lb->a/service.2", "a/service.1->psp"],
            "capabilities": ["links", "nodes", "psp_rules"],
            "canaries": [{"name": "api_token", "sha256": "not for a report"}],
        }


def made_up(plan: Plan | None = None) -> Run:
    """A run of `plan`, always the same for the same plan."""
    plan = plan or Plan()
    random_ = random.Random(plan.seed)
    tables = Tables()
    _phases(tables, plan)
    due, n = -2.0, 0
    while (due := due + random_.expovariate(plan.rate)) < plan.seconds:
        n += 1
        _intent(tables, plan, random_, n, due)
    return tables.run(plan.meta())


def _phases(tables: Tables, plan: Plan) -> None:
    changes: list[tuple[float, str]] = [(-6.5, "up"), (-2.0, "warm-up"), (0.0, "steady")]
    for name, start, end in plan.faults:
        changes += [(start, "faulted"), (end, "recovering")]
        for what, at in (("inject", start), ("injected", start + 0.02), ("heal", end)):
            tables.events.append(_event("fault", name, what, at))
        tables.events.append(_event("fault", name, "healed", end + 0.03))
    changes += [(plan.seconds, "drain"), (plan.seconds + 2, "settle"), (plan.seconds + 3, "down")]
    changes.sort()
    for (at, phase), after in zip(changes, [*changes[1:], (plan.seconds + 4.0, "")], strict=True):
        tables.events.append(_event("phase", phase, "begin", at))
        tables.events.append(_event("phase", phase, "end", after[0]))


def _event(kind: str, name: str, what: str, at: float) -> dict[str, Any]:
    return {"at_ns": int(at * S), "kind": kind, "name": name, "what": what, "detail": "{}"}


def _intent(tables: Tables, plan: Plan, random_: random.Random, n: int, due: float) -> None:
    took = random_.lognormvariate(-3.4, 0.35)
    faulted = any(start <= due < end for _, start, end in plan.faults)
    lost = faulted and random_.random() < 0.3
    if not lost:
        answer = "declined" if random_.random() < 0.03 else "succeeded"
        took *= 3 if faulted else 1
        _attempt(tables, n, 1, due, due + took, "ok", status=200, answer=answer)
        _charge(tables, n, 1, due + took * 0.7, lost=False)
        return
    _attempt(tables, n, 1, due, due + 3.0, "unknown", error="timeout")
    _charge(tables, n, 1, due + 0.04, lost=True)
    if random_.random() < 0.1:
        return
    again = due + 3.0 + random_.uniform(0.1, 0.4)
    _attempt(tables, n, 2, again, again + took, "ok", status=200, answer="succeeded")
    tables.books_transitions.append(
        {"payment": f"pay_{n}", "intent": f"{RUN}-{n}", "seq": 2, "from_state": "processing",
         "to_state": "succeeded", "cause": "psp asked",
         "at_us": 1_773_483_300_000_000 + int((again + took) * 1e6)}
    )  # fmt: skip
    if plan.flaw:
        _charge(tables, n, 2, again + took * 0.7, lost=False)


def _attempt(
    tables: Tables, n: int, attempt: int, due: float, done: float, outcome: str, **more: Any
) -> None:
    tables.attempts.append(
        {"intent": f"{RUN}-{n}", "n": n, "operation": "pay", "attempt": attempt, "source": "load",
         "journey": "checkout", "kind": "create", "key": f"k-{n}", "amount_minor": 1999,
         "currency": "eur", "due_ns": int(due * S), "sent_ns": int((due + 0.0004) * S),
         "done_ns": int(done * S), "outcome": outcome, "payment": f"pay_{n}", **more}
    )  # fmt: skip


def _charge(tables: Tables, n: int, attempt: int, at: float, *, lost: bool) -> None:
    key = f"psp-{n}-{attempt}"
    tables.psp_attempts.append(
        {"request": f"req_{n}_{attempt}", "endpoint": "payment_intents.create", "key": key,
         "reference": f"{RUN}-{n}", "received_ns": int((at - 0.01) * S), "status": 200,
         "answered_ns": None if lost else int(at * S),
         "rule": "r1" if lost else None, "point": "after_commit_lost" if lost else None}
    )  # fmt: skip
    tables.psp_charges.append(
        {"charge": f"ch_{n}_{attempt}", "reference": f"{RUN}-{n}", "key": key,
         "amount_minor": 1999, "captured_minor": 1999, "refunded_minor": 0, "currency": "eur",
         "status": "succeeded", "captured": True, "created_ns": int(at * S)}
    )  # fmt: skip


def passing(name: str, kind: str, claim: str, *measures: Measure, **more: Any) -> CheckResult:
    return CheckResult(name, kind, claim, Outcome.PASS, measures=measures, seconds=0.03, **more)


def checks(run: Run) -> list[CheckResult]:
    """What the checks of the first scenario would say of a run where all is well."""
    intents, attempts = (run.one(f"select count(*) from {t}") for t in ("intents", "attempts"))
    charges = run.one("select count(*) from psp_charges")
    looked = (Measure("intents_judged", intents), Measure("attempts_judged", attempts))
    at_psp = Measure("psp_charges_judged", charges)
    return [
        passing("idempotency", "money", "One payment intent moves money at most once, and whoever "
                "asks again gets the same answer.", *looked, at_psp,
                Measure("intents_tried_twice", run.one(
                    "select count(*) from intents where attempts > 1"))),
        passing("durability", "money", "Every acknowledged payment is in the books that survive.",
                looked[0], Measure("data_loss", 0, "payments"),
                Measure("data_loss_eur", 0, "minor units of eur")),
        passing("reconciliation", "money", "Customer, service and PSP agree on every payment.",
                looked[0], at_psp, Measure("breaks_found", 4), Measure("breaks_left", 0),
                parameters={"within": "20s"}),
        passing("double_entry", "money", "The ledger balances for every journal and currency.",
                Measure("entries_judged", 2 * intents)),
        passing("no_leaks", "money", "No card number and no secret is in any log, table or report.",
                Measure("artefacts_judged", 31), Measure("bytes_searched", 8_412_337, "B")),
        passing("availability", "objective", "Enough of the intents that were due are answered.",
                looked[0],
                Measure("steady_availability", 0.9993, "share", 0.9971, 0.9999, "at least 99%"),
                Measure("faulted_availability", 0.972, "share", 0.939, 0.988, "at least 50%")),
        passing("latency", "objective", "Intents are answered in time when nothing is broken.",
                looked[0], Measure("latency_p99", 71.32, "ms", 66.1, 83.9, "at most 150ms")),
        passing("recovery", "objective", "The service is back in time after every fault.",
                looked[0], Measure("recovery_time", 9.25, "s", objective="at most 15s"),
                Measure("recovery_after_heal", 1.25, "s"), parameters={"rto": "15s"}),
    ]  # fmt: skip


def fault_results(run: Run) -> list[CheckResult]:
    lost = run.one("select count(*) from psp_attempts where rule is not null")
    names = [row[0] for row in run.rows("select fault from fault_windows order by start_ns")]
    return [
        passing(name, "evidence", "The PSP commits a payment, and its answer never arrives.",
                Measure("answers_lost", lost), parameters={"share": "30%"})
        for name in names
    ]  # fmt: skip


def verdict_of(
    run: Run, checks_: list[CheckResult], faults: list[CheckResult], **more: Any
) -> Verdict:
    """A verdict with the outcome and exit status that its results add up to."""
    outcome = worst_of([result.outcome for result in (*checks_, *faults)])
    status = {Outcome.PASS: Exit.PASS, Outcome.FAIL: Exit.FAIL}.get(outcome, Exit.INCONCLUSIVE)
    given = {"claim": CLAIM, "scenario": "psp-lost-answers", "exit_status": status, **more}
    return Verdict(run=RUN, outcome=outcome, checks=tuple(checks_), faults=tuple(faults), **given)


def passed(run: Run, **more: Any) -> Verdict:
    return verdict_of(run, checks(run), fault_results(run), **more)


def failed(run: Run, **more: Any) -> Verdict:
    """Every intent that was charged twice is a finding; the first few have their timelines."""
    rows = run.rows(
        "select reference, count(*) from psp_charges group by reference having count(*) > 1 "
        "order by reference"
    )
    found = tuple(
        Finding(f"captured {times} times at the PSP: 3,998 eur in all", intent,
                run.timeline(intent) if i < 5 else ())
        for i, (intent, times) in enumerate(rows)
    )  # fmt: skip
    results = checks(run)
    results[0] = replace(results[0], outcome=Outcome.FAIL, findings=found, findings_total=len(rows))
    return verdict_of(run, results, fault_results(run), **more)


def undecided(run: Run, **more: Any) -> Verdict:
    """The fault never bit, and two checks could not decide."""
    results = checks(run)
    results[0] = replace(
        results[0],
        outcome=Outcome.INCONCLUSIVE,
        doubts=(Doubt("nothing was ever tried twice, so nothing was put to the test"),),
    )
    results[6] = replace(
        results[6],
        outcome=Outcome.INCONCLUSIVE,
        doubts=(Doubt("ZeroDivisionError: division by zero", "Traceback …\n  in latency\n1/0"),),
    )
    faults = [
        replace(fault, outcome=Outcome.INCONCLUSIVE,
                doubts=(Doubt("the rule matched no request to payment_intents.cancel"),))
        for fault in fault_results(run)
    ]  # fmt: skip
    return verdict_of(run, results, faults, **more)


class Elements(HTMLParser):
    """What is needed of a parsed page: tags with attributes, their text, and the open ones."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        for tag in set(self.open) - {"html", "body", "main", "section", "table", "tbody"}:
            self.texts[tag][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def ids(self) -> list[str]:
        return [a["id"] for _, a in self.tags if a.get("id")]  # type: ignore[misc]


@pytest.fixture(scope="session")
def story() -> SimpleNamespace:
    """The makers of this file, for tests, which cannot import it under importlib mode."""
    return SimpleNamespace(
        plan=Plan, made_up=made_up, passed=passed, failed=failed, undecided=undecided,
        verdict_of=verdict_of, elements=Elements,
    )  # fmt: skip


@pytest.fixture(scope="session")
def flawless() -> Run:
    """A run in which answers were lost and no money was."""
    return made_up()


@pytest.fixture(scope="session")
def flawed() -> Run:
    """A run in which every retry after a lost answer charged again."""
    return made_up(Plan(flaw="key-per-attempt"))
