"""The share of customers who got an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from payresil.checkers.lateness import UNDECIDED, due_in, lateness
from payresil.checkers.shares import too_few, weigh
from payresil.core.intervals import wilson
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Share

#: Payments due, ended ok, of unknown outcome, and approved, where a condition holds.
_COUNTS = """
count(*) filter ({due}), count(*) filter (({due}) and outcome = 'ok'),
count(*) filter (({due}) and outcome = 'unknown'),
count(*) filter (({due}) and outcome = 'ok' and answer in ('succeeded', 'authorized'))
"""


@checker(kind="objective", needs=["attempts", "events"])
def availability(
    run: Run,
    steady: Share | None = None,
    faulted: Share | None = None,
    recovering: Share | None = None,
) -> Iterator[Result]:
    """Customers get a final answer: of the payments due in a phase, the share that ends ok.

    Counted by when a payment was due, whatever became of it; an unknown outcome is not ok, a
    decline is. Warm-up and prober are left out. Judged by the 95 % interval (Wilson): met when all
    of it is at the objective or above, missed when all of it is below, undecided in between. An
    objective of 100% is judged by the count itself, since no sample could show it. One that was
    missed while the load generator was the bottleneck is undecided. `approved` is the share of
    answers that were no decline.
    """
    objectives = {"steady": steady, "faulted": faulted, "recovering": recovering}
    if all(objective is None for objective in objectives.values()):
        yield Doubt("no objective is set: give steady, faulted or recovering a share")
    counts = _counts(run, objectives)
    for phase, objective in objectives.items():
        yield from _phase(run, phase, objective, *counts[phase])


def _counts(run: Run, phases: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Payments due in each phase, those that ended ok, in unknown, and approved: in one go."""
    columns = ", ".join(_COUNTS.format(due=due_in(run, phase)) for phase in phases)
    (found,) = run.rows(f"select {columns} from intents")
    return {phase: found[4 * i : 4 * i + 4] for i, phase in enumerate(phases)}


def _phase(
    run: Run, phase: str, objective: Share | None, due: int, ok: int, unknown: int, approved: int
) -> Iterator[Result]:
    yield Measure(f"{phase}_intents_judged", due)
    if due == 0:
        if objective is not None:
            yield Doubt(f"no payment was due while the system was {phase}")
        return
    low, high = wilson(ok, due)
    yield Measure(
        f"{phase}_availability",
        ok / due,
        "share",
        low,
        high,
        None if objective is None else f"at least {objective}",
    )
    yield Measure(f"{phase}_unknown", unknown)
    if ok:
        yield Measure(f"{phase}_approved", approved / ok, "share", *wilson(approved, ok))
    if objective is not None:
        yield from _judge(run, phase, objective, due, ok)


def _judge(run: Run, phase: str, objective: Share, due: int, ok: int) -> Iterator[Result]:
    said = f"{phase}: {ok:,} of {due:,} due payments ended ok"
    weighed = weigh(ok, due, objective)
    if weighed == "undecided":
        yield too_few(said, ok, due, objective, "due payments even when all are ok")
    elif weighed == "missed":
        missed = f"{said}, {ok / due:.3%}; the objective is {objective}"
        late = lateness(run, phase, due)
        if late.is_bottleneck:
            yield Doubt(f"{missed}; {UNDECIDED}")
            yield late.doubt()
        else:
            yield Finding(missed)
