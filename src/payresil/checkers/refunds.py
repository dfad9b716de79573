"""Refunds give back what was captured and no more, and both books know of each."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run

#: Every refund that customers asked for, however often, with what they asked for in all.
_ASKED = """
with asked as (
  select intent, operation, max(amount_minor) as asked_minor,
         bool_or(outcome = 'ok' and answer = 'succeeded') as acknowledged,
         bool_or(outcome = 'ok' and answer = 'failed')
           or (bool_and(outcome = 'fail')
               and bool_or(status between 400 and 499 and status <> 429)) as refused
  from attempts where kind = 'refund' and source <> 'audit' group by intent, operation
), beyond as (
  select intent from asked join three_books using (intent)
  group by intent having sum(asked.asked_minor) > coalesce(min(psp_most_captured_minor), 0)
)
select count(*), count(*) filter (acknowledged),
       count(*) filter (refused and intent in (from beyond)), (select count(*) from beyond)
from asked
"""

_GIVEN = "select count(*) from psp_refunds where status in ('succeeded', 'pending')"

_MORE_THAN_CAPTURED = """
with given as (
  select charge, sum(amount_minor)::bigint as given_minor from psp_refunds
  where status in ('succeeded', 'pending') and charge is not null group by charge
)
select * from (
  select reference, charge, coalesce(captured_minor, 0) as captured_minor,
         greatest(coalesce(refunded_minor, 0), coalesce(given_minor, 0)) as given_minor, currency
  from psp_charges left join given using (charge)
)
where given_minor > captured_minor order by reference, charge
"""

#: What a payment says was refunded, against the refunds in the same books.
_BOOKS = """
with refunds as (
  select payment, min(intent) as intent,
         coalesce(sum(amount_minor) filter (state = 'succeeded'), 0)::bigint as refunds_minor
  from books_refunds group by payment
)
select * from (
  select coalesce(booked.intent, refunds.intent) as intent, payment, currency,
         coalesce(captured_minor, 0) as captured_minor,
         coalesce(refunded_minor, 0) as refunded_minor,
         coalesce(refunds_minor, 0) as refunds_minor
  from books_payments booked full join refunds using (payment)
)
where refunded_minor > captured_minor or refunded_minor <> refunds_minor order by intent, payment
"""

_STUCK = """
select intent, refund, coalesce(amount_minor, 0), coalesce(currency, '?') from books_refunds
where state = 'processing'
order by intent, refund
"""

_UNNAMED = """
select intent, refund, coalesce(amount_minor, 0), coalesce(currency, '?') from books_refunds
where state = 'succeeded' and psp_refund is null order by intent, refund
"""

#: Refund by refund. One that is still processing in the books is no disagreement yet. Refunds by
#: which the service undid a duplicate, or a charge that it did not count as paid, are its own
#: affair and need no booking: idempotency, reconciliation and durability judge those. What undoes a
#: duplicate gives the whole charge back, and of several charges there is one that is none.
_UNLIKE = """
with ours as (
  select psp_refund, min(intent) as intent, count(*) as times, min(refund) as refund,
         min(state) as state, min(amount_minor) as amount_minor, min(currency) as currency
  from books_refunds where psp_refund is not null group by psp_refund
), theirs as (
  select reference, refund as psp_refund, status, amount_minor as given_minor,
         currency as given_currency, status in ('succeeded', 'pending') as given, charge
  from psp_refunds
), nameless as (
  select intent from books_refunds
  where psp_refund is null and state = 'processing' and intent is not null
), compared as (
  select coalesce(intent, reference) as intent, psp_refund,
         case when times > 1 then 'booked ' || times || ' times'
              when times is null and given then 'at the PSP, not in the books'
              when state = 'succeeded' and status is null then 'in the books, not at the PSP'
              when state = 'succeeded' and status <> 'succeeded'
                then 'succeeded in the books, ' || status || ' at the PSP'
              when state = 'failed' and given
                then 'failed in the books, ' || status || ' at the PSP'
              when given and state = 'succeeded' and (amount_minor, currency)
                   is distinct from (given_minor, given_currency)
                then coalesce(amount_minor, 0) || ' ' || coalesce(currency, '?')
                     || ' in the books' end as wrong,
         coalesce(given_minor, amount_minor, 0) as minor,
         coalesce(given_currency, currency, '?') as minor_currency, times is null as unbooked,
         charge
  from ours full join theirs using (psp_refund)
), wholly as (
  select *, unbooked and coalesce(minor >= captured_minor, true) as whole
  from (from compared where wrong is not null)
  left join (select charge, captured_minor from psp_charges) using (charge)
), counted as (
  select *, whole and count(*) filter (whole) over (partition by intent) < psp_captures as undoes
  from wholly left join three_books using (intent)
)
select intent, psp_refund, minor, minor_currency, wrong from counted
where not (unbooked and coalesce(booked_succeeded = 0 or psp_captures = 0 or undoes, false))
  and not (unbooked and coalesce(intent in (from nameless), false))
order by intent, psp_refund
"""

#: A refund that was acknowledged must be there, told from others of its payment by its amount; one
#: that named no amount (null) by there being as many in all.
_ACKNOWLEDGED = """
with told as (
  select intent, amount_minor, count(*) as refunds from (
    select intent, operation, max(amount_minor) as amount_minor from attempts
    where kind = 'refund' and outcome = 'ok' and answer = 'succeeded' and source <> 'audit'
    group by intent, operation)
  group by intent, amount_minor
), booked as (
  select intent, amount_minor, count(*) as refunds from books_refunds
  where state = 'succeeded' group by grouping sets ((intent, amount_minor), (intent))
), given as (
  select reference as intent, amount_minor, count(*) as refunds from psp_refunds
  where status in ('succeeded', 'pending')
  group by grouping sets ((reference, amount_minor), (reference))
)
select * from (
  select told.intent, told.amount_minor, told.refunds, coalesce(booked.refunds, 0) as booked,
         coalesce(given.refunds, 0) as given
  from told
  left join booked on booked.intent = told.intent
       and booked.amount_minor is not distinct from told.amount_minor
  left join given on given.intent = told.intent
       and given.amount_minor is not distinct from told.amount_minor
)
where booked < refunds or given < refunds order by intent, amount_minor
"""


@checker(
    kind="money",
    needs=["attempts", "psp_charges", "psp_refunds", "books_payments", "books_refunds"],
)
def refunds(run: Run) -> Iterator[Result]:
    """No more is refunded than was captured, and both books hold every refund, once and alike.

    Of no charge may the PSP have given back more than was captured, and of no payment may the
    service's books say so; what they say of a payment is the sum of its refunds that succeeded.
    Each of those is at the PSP in the same amount, currency and state, and each that the PSP made
    is in the books, but for those that undid a duplicate, giving back the whole of it, or a charge
    that the books do not count as paid. A refund that was acknowledged is in both; none is
    processing in the end.
    `asked_beyond_captured` counts payments of which more was asked back than was captured,
    `refused_over_captured` the refunds of these that were refused.
    """
    ((asked, acknowledged, refused, beyond),) = run.rows(_ASKED)
    booked = run.one("select count(*) from books_refunds")
    given = run.one(_GIVEN)
    yield Measure("refunds_asked_judged", asked)
    yield Measure("booked_refunds_judged", booked)
    yield Measure("psp_refunds_judged", given)
    yield Measure("refunds_acknowledged", acknowledged)
    yield Measure("asked_beyond_captured", beyond)
    yield Measure("refused_over_captured", refused)
    if not booked and not (asked and given):
        yield Doubt("no customer's refund was made, so nothing was put to the test")
    yield from _too_much(run)
    yield from _one_by_one(run, named=not booked or _are_named(run))
    for intent, minor, told, ours, theirs in run.rows(_ACKNOWLEDGED):
        of = "" if minor is None else f" of {minor:,}"
        yield Finding(
            f"refunds{of}: {told} acknowledged, {ours} in the books, {theirs} at the PSP", intent
        )


def _are_named(run: Run) -> bool:
    """Whether the service's books name the PSP's refunds at all."""
    return bool(run.one("select count(psp_refund) from books_refunds"))


def _too_much(run: Run) -> Iterator[Finding]:
    for intent, charge, captured, given, currency in run.rows(_MORE_THAN_CAPTURED):
        yield Finding(
            f"charge {charge}: {given:,} {currency} refunded at the PSP, {captured:,} captured",
            intent,
        )
    for intent, payment, currency, captured, refunded, summed in run.rows(_BOOKS):
        said = f"payment {payment}: {refunded:,} {currency or '?'} refunded in the books"
        if refunded > captured:
            yield Finding(f"{said}, {captured:,} captured", intent)
        if refunded != summed:
            yield Finding(f"{said}, its refunds come to {summed:,}", intent)


def _one_by_one(run: Run, *, named: bool) -> Iterator[Result]:
    for intent, refund, minor, currency in run.rows(_STUCK):
        yield Finding(f"refund {refund} of {minor:,} {currency} is still processing", intent)
    if not named:
        yield Doubt("the books name no refund of the PSP, so refunds cannot be compared one by one")
        return
    for intent, refund, minor, currency in run.rows(_UNNAMED):
        yield Finding(f"refund {refund} of {minor:,} {currency} names none of the PSP", intent)
    for intent, refund, minor, currency, wrong in run.rows(_UNLIKE):
        yield Finding(f"refund {refund} of {minor:,} {currency}: {wrong}", intent)
