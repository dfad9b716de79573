"""How many requests the PSP gets for each thing that a customer wants."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from payresil.core.grouping import columns, grouped, keep_as
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Ratio

#: Fewer operations than these say nothing of a mean, however alike they are.
_FEWEST = 30

#: Two-sided 95 % of a normal distribution.
_Z = 1.959963984540054

#: The finding of a mean names so many payments.
_WORST = 5

#: Requests that can move money; everything else that the PSP is asked only reads.
_MOVING = (
    "endpoint in ('payment_intents.create', 'payment_intents.confirm', 'payment_intents.capture', "
    "'payment_intents.cancel', 'refunds.create')"
)

#: What a request says, as the lowest bits of its code; the others are the payment's number.
_CAPTURE, _UNDOING, _REFUSAL = (1 << bit for bit in range(3))
_BITS = 3

_REQUESTS = f"""
select (n << {_BITS})::ubigint
       | case when endpoint = 'payment_intents.capture' then {_CAPTURE}
              when endpoint in ('payment_intents.cancel', 'refunds.create') then {_UNDOING}
              else 0 end::ubigint
       | case when endpoint in ('payment_intents.capture', 'payment_intents.cancel',
                                'refunds.create')
                   and status between 400 and 499 and status not in (409, 429)
              then {_REFUSAL} else 0 end::ubigint
from (
  select endpoint, status, try_cast(substr(reference, length(run) + 2) as bigint) as n
  from psp_attempts, meta where {_MOVING} and starts_with(reference, run || '-')
)
where n between 0 and {2**60}
"""

#: By payment that reached the PSP: what was asked for, and how often who asked. The attempts of
#: an operation are numbered from 1, so the first ones count the operations. Of captures, and of
#: cancellations and refunds, at most so many got to the PSP as it had requests of that kind; and
#: of those that the customer was refused at once, as many as the PSP itself refused. Joined by the
#: payment's number, which takes less room than its text.
_PAYMENTS = """
create or replace temp table payments_at_psp as
with later as (
  select n, count(*) filter (attempt = 1) as operations,
         count(*) filter (attempt = 1 and operation = 'capture') as captures,
         count(*) filter (attempt = 1 and outcome = 'fail' and status <> 429) as refused,
         count(*) filter (kind not in ('read', 'find')) as sent
  from attempts where operation <> 'pay' and source <> 'audit' group by n
), reached as (
  select n, requests, coalesce(later.operations, 0) as wanted, coalesce(later.sent, 0) as sent,
         coalesce(least(later.captures, told_psp.captures)
                  + least(later.operations - later.captures, undoings), 0) as at_most,
         coalesce(later.operations - refused + least(refused, refusals), 0) as not_refused
  from told_psp left join later using (n)
), counted as (
  select *, least(at_most, greatest(not_refused, 1)) as later from reached
)
select n, due_ns, 1 + later as operations, creates + sent - (wanted - later) as sent, requests
from counted join intents using (n)
"""

#: Null for a phase where the payment was due before or after all of them.
_SUMS = """
select phase, count(*), sum(operations)::bigint, sum(sent)::bigint, sum(requests)::bigint,
       sum(operations * operations)::bigint, sum(operations * requests)::bigint,
       sum(requests * requests)::bigint, max(requests / operations)
from payments_at_psp left join phase_spans
  on phase in ('steady', 'faulted', 'recovering')
  and due_ns >= start_ns and (end_ns is null or due_ns < end_ns)
group by phase order by phase nulls last
"""

#: Payments that were due in each phase but those named.
_DUE = """
select phase, count(*) from intents join phase_spans
  on phase in ('steady', 'faulted', 'recovering') and not list_contains(?::varchar[], phase)
  and due_ns >= start_ns and (end_ns is null or due_ns < end_ns)
group by phase order by min(start_ns)
"""

_ALL_REQUESTS = f"select count(*), count(*) filter ({_MOVING}) from psp_attempts"

_WORST_OF = """
select run || '-' || n, requests, operations, sent from payments_at_psp, meta
where requests > ? * operations
order by requests / operations desc, n
"""


@dataclass(frozen=True, slots=True)
class _Sums:
    """Payments of a phase that reached the PSP, added up."""

    payments: int = 0
    operations: int = 0
    sent: int = 0  # by customers, to the service
    requests: int = 0  # to the PSP
    operations_squared: int = 0
    operations_by_requests: int = 0
    requests_squared: int = 0
    most: float = 0.0  # requests for an operation of one payment

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.payments + other.payments,
            self.operations + other.operations,
            self.sent + other.sent,
            self.requests + other.requests,
            self.operations_squared + other.operations_squared,
            self.operations_by_requests + other.operations_by_requests,
            self.requests_squared + other.requests_squared,
            max(self.most, other.most),
        )

    @property
    def mean(self) -> float:
        """Requests to the PSP for each operation."""
        return self.requests / self.operations

    @property
    def interval(self) -> tuple[float, float]:
        """The mean's 95 % interval: that of a ratio over independent payments."""
        if self.payments < 2:
            return 0.0, math.inf
        spread = (
            self.requests_squared
            - 2 * self.mean * self.operations_by_requests
            + self.mean**2 * self.operations_squared
        )
        variance = max(0.0, spread) / (self.payments - 1) * self.payments
        half = _Z * math.sqrt(variance) / self.operations
        return max(0.0, self.mean - half), self.mean + half


@checker(kind="objective", needs=["attempts", "psp_attempts", "events"])
def amplification(
    run: Run, mean: Ratio | None = None, most: Ratio | None = None
) -> Iterator[Result]:
    """Trouble is not multiplied: the PSP gets at most so many requests for each thing that a
    customer wants.

    A thing wanted is a payment, capture, cancellation or refund, however often its customer asks
    for it; requests that can move money count. What never reached the PSP is left out, since it
    would dilute the mean: payments, and refunds that the service refused by itself. `mean` bounds
    the mean over everything and over the payments due in each phase, judged by its 95 % interval;
    `most` bounds every single payment. How often customers themselves sent each thing, and what the
    PSP got for each request of theirs, stands beside it: so the blame can be laid.
    """
    if mean is None and most is None:
        yield Doubt("no objective is set: give mean or most a ratio such as 2x")
    _count_requests(run)
    run.sql.execute(_PAYMENTS)
    phases = {row[0]: _Sums(*row[1:]) for row in run.rows(_SUMS)}
    whole = sum(phases.values(), _Sums())
    yield Measure("operations_judged", whole.operations)
    yield Measure("requests_judged", whole.requests)
    if not whole.requests:
        yield Doubt("no request that can move money reached the PSP for any payment on record")
        return
    yield from _measures(whole, mean, most)
    yield from _everything(run, whole, mean)
    yield from _means(run, phases, whole, mean)
    if most is not None and whole.most > most:
        for intent, requests, operations, sent in run.rows(_WORST_OF, [float(most)]):
            yield Finding(f"{_said(requests, operations, sent)}; {most} is allowed", intent)


def _count_requests(run: Run) -> None:
    """Make the table `told_psp`: by payment, how many requests of which kind the PSP got."""
    groups = grouped(columns(run.sql, _REQUESTS)[0], _BITS)
    keep_as(
        run.sql,
        "told_psp",
        n=(groups.keys >> _BITS).astype(np.int64),
        requests=groups.counts,
        captures=groups.saying(_CAPTURE),
        undoings=groups.saying(_UNDOING),
        refusals=groups.saying(_REFUSAL),
    )


def _measures(whole: _Sums, mean: Ratio | None, most: Ratio | None) -> Iterator[Measure]:
    bound = None if mean is None else f"at most {mean}"
    yield Measure("psp_requests_per_operation", whole.mean, "x", *whole.interval, bound)
    bound = None if most is None else f"at most {most}"
    yield Measure("psp_requests_per_operation_most", whole.most, "x", objective=bound)
    yield Measure("customers_requests_per_operation", whole.sent / whole.operations, "x")
    if whole.sent:
        yield Measure("psp_requests_per_customers_request", whole.requests / whole.sent, "x")


def _means(
    run: Run, phases: dict[str | None, _Sums], whole: _Sums, mean: Ratio | None
) -> Iterator[Result]:
    named = {phase: found for phase, found in phases.items() if phase and found.operations}
    for phase, found in named.items():
        name = f"{phase}_psp_requests_per_operation"
        yield Measure(name, found.mean, "x", *_finite(found.interval))
    if mean is None:
        return
    for where, found in {"overall": whole, **named}.items():
        low, high = found.interval
        said = (
            f"{where}: {found.requests:,} requests to the PSP for {found.operations:,} things that "
            f"customers wanted, {found.mean:.2f}x; the objective is {mean}"
        )
        if found.operations < _FEWEST:
            yield Doubt(f"{said}; it takes {_FEWEST} to judge a mean")
        elif low > mean:
            blame = f"customers themselves sent each {found.sent / found.operations:.2f} times"
            yield Finding(f"{said}; {blame}; worst: {_worst(run)}")
        elif high > mean:
            yield Doubt(f"{said}, undecided by a 95 % interval of {low:.2f}x to {high:.2f}x")
    for phase, due in run.rows(_DUE, [list(named)]):
        yield Doubt(
            f"{phase}: none of {due:,} payments that were due reached the PSP: there is no mean to "
            "judge"
        )


def _finite(interval: tuple[float, float]) -> tuple[float | None, float | None]:
    low, high = interval
    return low, (high if math.isfinite(high) else None)


def _worst(run: Run) -> str:
    rows = run.rows(f"{_WORST_OF} limit {_WORST}", [1.0])
    return ", ".join(f"{intent} ({requests:,})" for intent, requests, _, _ in rows)


def _said(requests: int, operations: int, sent: int) -> str:
    things = "one thing" if operations == 1 else f"{operations:,} things"
    return (
        f"{requests:,} requests to the PSP for {things} that the customer wanted and sent "
        f"{sent:,} times"
    )


def _everything(run: Run, whole: _Sums, mean: Ratio | None) -> Iterator[Result]:
    """All that the PSP was asked: to read, too, and for nobody in particular."""
    of_any_kind, moving = run.rows(_ALL_REQUESTS)[0]
    yield Measure("psp_requests_of_any_kind", of_any_kind / whole.operations, "x")
    unnamed = moving - whole.requests
    yield Measure("requests_of_no_known_payment", unnamed)
    if mean is None or whole.mean > mean:
        return
    if whole.requests + unnamed > mean * whole.operations:
        yield Doubt(
            f"{unnamed:,} requests to the PSP that can move money name no payment on record: with "
            f"them it could be more than {mean}"
        )
