"""What of the acknowledged payments did not survive a failover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from payresil.checkers.promoted import LostPayment, Survivors, survivors, untested
from payresil.core.interruptions import answered_fault
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration

#: Lost payments that a finding names; the others are counted.
_NAMED = 3

_STILL_ABSENT = """
select intent, acknowledged_ns, coalesce(expected_minor, 0), coalesce(asked_currency, '?')
from three_books where acknowledged_ns is not null and booked_succeeded = 0
order by acknowledged_ns, intent
"""


def _bounds(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """At least one objective, and none that nothing could meet."""
    if all(value is None for value in values.values()):
        yield "rpo", "at least one objective: rpo, payments, amount_minor or after_reconciliation"
    for name, value in values.items():
        if value is not None and float(value) < 0:
            yield name, "0 or more"


@checker(
    kind="objective",
    needs=["replication", "attempts", "events", "snapshots", "books_payments"],
    bounds=_bounds,
)
def data_loss(
    run: Run,
    rpo: Duration | None = None,
    payments: int | None = None,
    amount_minor: int | None = None,
    after_reconciliation: int | None = None,
) -> Iterator[Result]:
    """A failover loses no more acknowledged payments than the recovery point objective allows.

    A payment is lost when its customer had been told that it succeeded before the promotion of a
    database began, and that database does not hold it as succeeded right after, before anything
    is reconciled. Of several promotions each is judged and the worst counts. `rpo`: how long
    before the fault that the remedy answered the oldest of them may have been acknowledged, 0 for
    what was acknowledged after the fault had begun; before the promotion where there was no fault
    to answer. `payments`: how many may be lost;
    `amount_minor`: how much, in each currency. `after_reconciliation`: how many of all payments
    that were ever acknowledged may be absent from the service's books in the end, when
    reconciliation with the PSP has rebuilt what it can. Give at least one of them. Where
    replication is asynchronous this stands in the place of `durability`, to which every such
    payment is a violation.
    """
    if rpo is None and payments is None and amount_minor is None and after_reconciliation is None:
        yield Doubt(
            "no objective is set: give rpo a duration, or payments, amount_minor or "
            "after_reconciliation a number"
        )
    found = survivors(run)
    yield Measure("acknowledged_judged", max((each.acknowledged for each in found), default=0))
    if not found:
        yield Doubt("no remedy promoted a database, so it was not put to the test what survives")
        return
    yield from untested(found)
    seen = [each for each in found if each.node is not None]
    if seen:
        yield from _at_failover(run, seen, rpo, payments, amount_minor)
    yield from _in_the_end(run, after_reconciliation)


def _at_failover(
    run: Run,
    seen: Sequence[Survivors],
    rpo: Duration | None,
    payments: int | None,
    amount_minor: int | None,
) -> Iterator[Result]:
    yield Measure(
        "data_loss", max(len(each.lost) for each in seen), "payments", objective=_at_most(payments)
    )
    amounts: Counter[str] = Counter()
    for each in seen:
        amounts |= _amounts(each.lost)
    for currency, minor in sorted(amounts.items()):
        unit = f"minor units of {currency}"
        yield Measure(f"data_loss_{currency}", minor, unit, objective=_at_most(amount_minor))
    oldest_ns = max((_age_ns(run, each) for each in seen if each.lost), default=None)
    if oldest_ns is not None or rpo is not None:
        oldest_s = None if oldest_ns is None else oldest_ns / 1e9
        yield Measure("data_loss_oldest", oldest_s or 0.0, "s", objective=_at_most(rpo))
    if len(seen) > 1:
        for each in seen:
            yield Measure(f"data_loss.{each.name}", len(each.lost), "payments")
    for each in seen:
        yield from _missed(run, each, rpo, payments, amount_minor)


def _age_ns(run: Run, each: Survivors) -> int:
    """How long before the fault the oldest lost payment was acknowledged (ns).

    A region that is cut off may go on for as long as it has its lease: then, before the last one.
    """
    fault = answered_fault(run, each.promotion.remedy)
    since_ns = each.promotion.start_ns if fault is None else fault[1]
    return max(since_ns, each.lost[-1].acknowledged_ns) - each.lost[0].acknowledged_ns


def _missed(
    run: Run,
    each: Survivors,
    rpo: Duration | None,
    payments: int | None,
    amount_minor: int | None,
) -> Iterator[Finding]:
    if not each.lost:
        return
    lost = f"{each.name}: {_many(each.lost)} absent from {each.node} when it was promoted"
    first = each.lost[0].intent
    if payments is not None and len(each.lost) > payments:
        yield Finding(f"{lost}, at most {payments:,} allowed: {_named(each.lost)}", first)
    for currency, minor in sorted(_amounts(each.lost).items()):
        if amount_minor is not None and minor > amount_minor:
            much = f"of {minor:,} {currency} in all, at most {amount_minor:,} allowed"
            yield Finding(f"{lost}, {much}: {_named(each.lost)}", first)
    age_ns = _age_ns(run, each)
    if rpo is not None and age_ns > rpo.ns:
        fault = answered_fault(run, each.promotion.remedy)
        since = "the promotion" if fault is None else "the fault"
        if fault is not None and each.lost[-1].acknowledged_ns > fault[1]:
            since = "the last"
        old = f"the oldest acknowledged {age_ns / 1e9:.3f} s before {since}; the RPO is {rpo}"
        yield Finding(f"{lost}, {old}: {_named(each.lost)}", first)


def _in_the_end(run: Run, allowed: int | None) -> Iterator[Result]:
    absent = [LostPayment(*row) for row in run.rows(_STILL_ABSENT)]
    objective = _at_most(allowed)
    yield Measure("data_loss_after_reconciliation", len(absent), "payments", objective=objective)
    for currency, minor in sorted(_amounts(absent).items()):
        unit = f"minor units of {currency}"
        yield Measure(f"data_loss_after_reconciliation_{currency}", minor, unit)
    if allowed is not None and len(absent) > allowed:
        yield Finding(
            f"after reconciliation: {_many(absent)} absent from the books of the service, at most "
            f"{allowed:,} allowed: {_named(absent)}",
            absent[0].intent,
        )


def _at_most(bound: Duration | int | None) -> str | None:
    if bound is None:
        return None
    return f"at most {bound}" if isinstance(bound, Duration) else f"at most {bound:,}"


def _amounts(lost: Iterable[LostPayment]) -> Counter[str]:
    """Minor units by currency."""
    amounts: Counter[str] = Counter()
    for payment in lost:
        amounts[payment.currency] += payment.minor
    return amounts


def _many(lost: Sequence[LostPayment]) -> str:
    one = len(lost) == 1
    return f"{len(lost):,} acknowledged payment{'' if one else 's'} {'is' if one else 'are'}"


def _named(lost: Sequence[LostPayment]) -> str:
    more = len(lost) - _NAMED
    names = ", ".join(payment.intent for payment in lost[:_NAMED])
    return f"{names} and {more:,} more" if more > 0 else names
