"""After the last customer: settle, reconcile, audit, and read the books."""

from __future__ import annotations

from functools import partial
from typing import Any

from payresil.core.attachment import Budget
from payresil.core.protocols import Assembly, Endpoints, Environment
from payresil.core.registry import checkers
from payresil.core.scenario import Scenario
from payresil.engine.books import read_psp, read_service
from payresil.engine.created import CREATED_FILE, list_created, take_back
from payresil.engine.journal import Journal
from payresil.engine.phases import Phases
from payresil.engine.regional_books import read_regions
from payresil.engine.run_plan import RunPlan
from payresil.engine.service_calls import ServiceCallFailed, ServiceCalls
from payresil.engine.stopping import Stop
from payresil.engine.traffic import Traffic

#: How long to wait for the system to settle where no check sets a bound.
_SETTLE_S = 30.0
#: After an interruption, or when something broke, the books are read as they are, soon.
_SETTLE_HURRIED_S = 2.0


def close_books(
    plan: RunPlan,
    assembly: Assembly,
    environment: Environment,
    traffic: Traffic,
    journal: Journal,
    phases: Phases,
    stop: Stop,
    *,
    hurried: bool,
) -> None:
    """Ask the system to come to rest, then read what each party says happened.

    `hurried` does not wait for the system to settle: it was interrupted, or something broke.

    Raises:
        EnvironmentBroke: when the books cannot be read.
    """
    endpoints = environment.endpoints
    calls = ServiceCalls(endpoints.admin, assembly.secrets, endpoints.ca_file)
    with phases.phase("settle"):
        bound_s = _SETTLE_HURRIED_S if hurried else settle_bound(plan.scenario)
        give_up = (lambda: False) if hurried else stop
        result = calls.settle(plan.system.settle, environment.psp, bound_s, give_up)
        journal.write("step", "settle", "end", bound_s=bound_s, **result)
    if plan.system.reconcile is not None:
        with phases.phase("reconcile"):
            _reconcile(plan, calls, journal)
    try:
        with phases.phase("audit"):
            _audit(plan, assembly, environment, traffic, calls, journal)
    finally:
        if plan.attached is not None:
            _leave_it_as_it_was(plan, plan.attached.file.budget, endpoints, traffic, journal)


def _audit(
    plan: RunPlan,
    assembly: Assembly,
    environment: Environment,
    traffic: Traffic,
    calls: ServiceCalls,
    journal: Journal,
) -> None:
    zero_ns = journal.zero_ns or 0
    audited = traffic.audit(plan, environment.endpoints, zero_ns)
    counts = {}
    # Others use a system that runs already, too.
    only = None if plan.attached is None else f"{assembly.run}-"
    if "psp_rules" in environment.capabilities:
        epochs = plan.system.epoch_header is not None
        counts = read_psp(plan.folder, environment.psp, zero_ns, only=only, epochs=epochs)
    if "regions" in environment.capabilities:
        read_regions(plan.folder, plan.system, environment, journal)
    counts |= read_service(plan.folder, plan.system, environment.endpoints, calls, only=only)
    journal.write("step", "audit", "end", audited=audited, rows=counts)


def _leave_it_as_it_was(
    plan: RunPlan, budget: Budget, endpoints: Endpoints, traffic: Traffic, journal: Journal
) -> None:
    """List what was created in somebody else's system, and undo it where that is known."""
    spent = traffic.sent()
    if spent >= budget.low_for_customers:
        words = (
            f"the budget of {budget.requests:,} requests was spent after {spent:,} requests of "
            "customers: no new ones came after that"
        )
        journal.write("harness", "budget", "warning", error=words)
    created = list_created(plan.folder)
    detail: dict[str, Any] = {"created": len(created)}
    if plan.system.undo:
        ask = partial(traffic.undo, plan, endpoints)
        detail = take_back(plan.folder, created, plan.system.undo, ask)
    left = detail["created"] - detail.get("undone", 0)
    journal.write("step", "undo", "end", **detail, file=CREATED_FILE)
    if left:
        words = f"{left:,} payments stay in the system; {CREATED_FILE} in the run folder lists them"
        journal.write("harness", "undo", "warning", error=words)


def _reconcile(plan: RunPlan, calls: ServiceCalls, journal: Journal) -> None:
    """The service's own job, twice: the second time it must find nothing left to do."""
    job = plan.system.reconcile
    if job is None:
        return
    for run in (1, 2):
        try:
            answer, remedied = calls.reconcile(job)
        except ServiceCallFailed as error:
            journal.write("step", "reconcile", "failed", run=run, error=str(error))
            return
        detail: dict[str, Any] = {"pass": run, "answer": answer}
        if remedied is not None:
            detail["remedied"] = remedied
        journal.write("step", "reconcile", "end", **detail)


def settle_bound(scenario: Scenario) -> float:
    """How many seconds the system gets to come to rest: by the checks that set a bound for it."""
    bounds = [
        float(step.parameters["within"])
        for step in scenario.checks
        if step.parameters.get("within") is not None
        # An alert's time has nothing to do with coming to rest.
        and not checkers.get(step.checker).traits.get("alerts")
    ]
    # Half as long again: a system that settles late is told how late.
    return max(bounds) * 1.5 if bounds else _SETTLE_S
