"""Client, service and PSP agree on every payment, once everything has come to rest."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.steps import settled, steps
from payresil.core.values import Duration

#: Every intent of the three books with the types of its breaks; most agree and have none.
#:
#: A reference that nobody sent is a phantom, but for the numbers that were reserved for a generator
#: whose rows were lost with it. What the client was told is compared only where it was final:
#: after `unknown`, either outcome is right as long as service and PSP agree. What was authorized
#: may be captured only if somebody asked for that and was not told that it failed, and is canceled
#: once a cancellation was acknowledged. Of an intent captured twice the net is compared, since a
#: service may undo a duplicate without booking it. Of one captured once that the service holds for
#: paid, no more may be refunded than was asked for.
_BREAKS = """
with pending as (
  select intent, count(*) as refunds from books_refunds
  where state = 'processing' and intent is not null group by intent
), books as (
  select three_books.*, lost.intent is not null as lost,
         told not in ('fail', 'unknown') as told_final,
         booked_minor - booked_refunded_minor as booked_net,
         psp_minor - psp_refunded_minor as psp_net,
         asked_back_minor, asked_all, returned_minor
  from three_books left join (select intent from reserved_without_row) lost using (intent)
  left join returned using (intent)
  where not agrees
     or intent in (select intent from returned) or intent in (select intent from pending)
), typed as (
  select books.*, told is null and not lost and (booked_payments > 0 or psp_captures > 0)
           as phantom,
         booked_processing > 0 or coalesce(pending.refunds, 0) > 0 as stuck_unknown,
         booked_payments = 0 and (psp_kept > 0 or told = 'succeeded') as missing_internal,
         (booked_succeeded > 0 and psp_captures = 0)
           or (booked_state = 'authorized' and psp_charges = 0) as missing_psp,
         coalesce(psp_net > 0 and booked_state not in ('succeeded', 'processing'), false)
           or coalesce(told_final and booked_state not in (told, 'processing')
                       and not (told = 'authorized'
                                and (booked_state = 'canceled'
                                     or (booked_state = 'succeeded' and capture_asked))), false)
           or coalesce(told_canceled_ns is not null
                       and booked_state not in ('canceled', 'processing'), false)
           or coalesce(told = 'fail'
                       and (booked_state in ('succeeded', 'authorized') or psp_net > 0), false)
           as status,
         psp_kept > 1 or booked_succeeded > 1 as duplicate,
         coalesce(booked_least_minor <> asked_minor or booked_most_minor <> asked_minor, false)
           or (booked_succeeded = 1 and booked_minor is distinct from
               coalesce(expected_minor, booked_minor))
           or (booked_succeeded = 1 and psp_captures = 1 and booked_minor <> psp_minor)
           or (booked_succeeded = 1 and psp_captures > 1 and psp_kept <= 1
               and booked_net <> psp_net)
           as amount,
         coalesce(booked_currency <> booked_last_currency or psp_currency <> psp_last_currency
                  or booked_currency <> psp_currency, false)
           or coalesce(booked_currency <> asked_currency, false)
           or coalesce(psp_currency <> asked_currency, false) as currency,
         (booked_succeeded = 1 and psp_captures = 1
          and booked_refunded_minor <> psp_refunded_minor)
           or (booked_succeeded > 0 and told_refunded_minor > booked_refunded_minor)
           or coalesce(booked_succeeded > 0 and psp_captures = 1 and not lost and not asked_all
                       and greatest(returned_minor, booked_refunded_minor) > asked_back_minor,
                       false) as refund
  from books left join pending using (intent)
)
select intent, unnest(breaks) as type, told, booked_state, booked_minor, booked_refunded_minor,
       booked_currency, psp_captures, psp_minor, psp_refunded_minor, psp_currency
from (
  select typed.*, case when phantom then ['phantom'] else
    (case when stuck_unknown then ['stuck_unknown'] else [] end)
    || (case when missing_internal then ['missing_internal'] else [] end)
    || (case when missing_psp then ['missing_psp'] else [] end)
    || (case when status then ['status'] else [] end)
    || (case when duplicate then ['duplicate'] else [] end)
    || (case when amount then ['amount'] else [] end)
    || (case when currency then ['currency'] else [] end)
    || (case when refund then ['refund'] else [] end) end as breaks
  from typed
)
where len(breaks) > 0 order by n, intent
"""

_JUDGED = """
select count(*), coalesce(sum(booked_payments), 0)::bigint, coalesce(sum(psp_charges), 0)::bigint
from three_books
"""

_NEVER_LEARNT = """
select count(*) from three_books where told = 'unknown' and booked_payments > 0
"""


@checker(
    kind="money", needs=["attempts", "psp_charges", "psp_refunds", "reserved", "books_payments"]
)
def reconciliation(run: Run, within: Duration | None = None) -> Iterator[Result]:
    """Customers, service and PSP agree on every payment, once everything has come to rest.

    Compared after everything was healed, settled and reconciled by the service's own job, where it
    has one; `service_job_passes` is 0 where there is none and the books are only compared. A
    disagreement that is left is a break with a type: missing_internal (at the PSP, not in the
    service), missing_psp, phantom (never sent by anyone), amount, currency, status, duplicate,
    stuck_unknown (still in flight), refund (not the same in both, forgotten, or more than anybody
    asked for). The job, run again, must change nothing. `within`: the
    system must have settled that long after the last customer was answered or gave up.
    """
    ((intents, payments, charges),) = run.rows(_JUDGED)
    yield Measure("intents_judged", intents)
    yield Measure("payments_judged", payments)
    yield Measure("psp_charges_judged", charges)
    if not payments and not run.one("select count(*) from psp_charges"):
        yield Doubt("neither the service nor the PSP has a payment: there is nothing to compare")
    yield Measure("outcomes_never_learnt", run.one(_NEVER_LEARNT))
    yield from _service_job(run)
    breaks: dict[str, int] = {}
    for intent, type_, *books in run.rows(_BREAKS):
        breaks[type_] = breaks.get(type_, 0) + 1
        yield Finding(f"{type_}: {_three(*books)}", intent)
    for type_, count in sorted(breaks.items()):
        yield Measure(f"breaks_{type_}", count)
    yield from _settling(run, within)


def _three(
    told: str | None,
    state: str | None,
    booked: int,
    booked_back: int,
    booked_currency: str | None,
    captures: int,
    captured: int,
    captured_back: int,
    psp_currency: str | None,
) -> str:
    """One line with what each of the three says."""
    service = f"{state} {_net(booked, booked_back, booked_currency)}" if state else "no payment"
    psp = f"{captures} captured, {_net(captured, captured_back, psp_currency)}"
    return (
        f"client {told or 'never sent it'}; service {service.strip()}; "
        f"PSP {psp if captures else 'nothing captured'}"
    )


def _net(minor: int, back: int, currency: str | None) -> str:
    if not minor:
        return ""
    return f"{minor:,} {currency or '?'}" + (f" less {back:,} refunded" if back else "")


def _service_job(run: Run) -> Iterator[Result]:
    passes = steps(run, "reconcile")
    yield Measure("service_job_passes", sum(step.what == "end" for step in passes))
    for step in passes:
        if step.what == "failed":
            why = step.detail.get("error", "no reason recorded")
            yield Doubt(f"the service's own reconciliation job failed: {why}")
    for step in passes[1:]:
        again = step.detail.get("remedied")
        if isinstance(again, int) and again > 0:
            yield Finding(f"the service's own job, run again, changed {again:,} things once more")
    found = run.rows(
        "select coalesce(type, 'untyped'), count(*), count(*) filter (state = 'resolved') "
        "from books_breaks group by 1 order by 1"
    )
    if passes:
        yield Measure("service_job_found", sum(count for _, count, _ in found))
        yield Measure("service_job_remedied", sum(count for _, _, count in found))
        for type_, count, _ in found:
            yield Measure(f"service_job_found_{type_}", count)


def _settling(run: Run, within: Duration | None) -> Iterator[Result]:
    settle = settled(run)
    if settle is None:
        if within is not None:
            yield Doubt("the run does not record when traffic ended or whether the system settled")
        return
    objective = None if within is None else f"at most {within}"
    took_s = settle.took_ns / 1e9
    yield Measure("settle_time", took_s if settle.done else None, "s", objective=objective)
    if settle.done:
        if within is not None and settle.took_ns > within.ns:
            yield Finding(f"settled only {took_s:.3f} s after the end of traffic, not in {within}")
    elif within is not None and settle.took_ns > within.ns:
        yield Finding(f"still not settled {took_s:.3f} s after the end of traffic: {settle.why}")
    else:
        yield Doubt(f"waited {took_s:.3f} s for the system to settle, in vain: {settle.why}")
