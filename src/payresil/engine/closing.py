"""After the last customer: settle, reconcile, audit, and read the books."""

from __future__ import annotations

from typing import Any

from payresil.core.protocols import Assembly, Environment
from payresil.engine.books import read_psp, read_service
from payresil.engine.journal import Journal
from payresil.engine.phases import Phases
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
    calls = ServiceCalls(environment.endpoints.admin, assembly.secrets)
    with phases.phase("settle"):
        bound_s = _SETTLE_HURRIED_S if hurried else _settle_bound(plan)
        give_up = (lambda: False) if hurried else stop
        result = calls.settle(plan.system.settle, environment.psp, bound_s, give_up)
        journal.write("step", "settle", "end", bound_s=bound_s, **result)
    if plan.system.reconcile is not None:
        with phases.phase("reconcile"):
            _reconcile(plan, calls, journal)
    with phases.phase("audit"):
        zero_ns = journal.zero_ns or 0
        audited = traffic.audit(plan, environment.endpoints, zero_ns)
        counts = read_psp(plan.folder, environment.psp, zero_ns)
        counts |= read_service(plan.folder, environment.endpoints.books, plan.system.books)
        journal.write("step", "audit", "end", audited=audited, rows=counts)


def _reconcile(plan: RunPlan, calls: ServiceCalls, journal: Journal) -> None:
    """The service's own job, twice: the second time it must find nothing left to do."""
    job = plan.system.reconcile
    if job is None:
        return
    for run in (1, 2):
        try:
            answer: dict[str, Any] = calls.reconcile(job)
        except ServiceCallFailed as error:
            journal.write("step", "reconcile", "failed", run=run, error=str(error))
            return
        journal.write("step", "reconcile", "end", **{**answer, "pass": run})


def _settle_bound(plan: RunPlan) -> float:
    bounds = [
        float(step.parameters["within"])
        for step in plan.scenario.checks
        if step.parameters.get("within") is not None
    ]
    # Half as long again: a system that settles late is told how late.
    return max(bounds) * 1.5 if bounds else _SETTLE_S
