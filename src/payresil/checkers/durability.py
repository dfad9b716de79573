"""What customers were told is still true."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.registry import checker
from payresil.core.results import Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration

_ACKNOWLEDGED = """
select count(*), coalesce(sum(psp_charges), 0)::bigint, coalesce(sum(booked_payments), 0)::bigint,
       count(booked_created_us)
from three_books where acknowledged_ns is not null
"""

#: Each side must hold one payment of exactly what was asked, in the currency it was asked in.
#: A second one beside it is a duplicate, which other checks find. Of a payment captured once no
#: more may have been given back than was asked for. `$1`: how far clocks may differ (ns).
#:
#: What was written down only after it had been acknowledged was lost and found again: a whole
#: payment shows by when it was made, one that was lost in part by when it first succeeded. That
#: is looked up of those alone that changed after they had been acknowledged.
_WRONG = """
with changed_late as materialized (
  select intent from three_books
  where acknowledged_ns is not null and booked_payments > 0
    and (coalesce((booked_updated_us - (select zero_wall_us from meta)) * 1000
                  > acknowledged_ns + $1, true)
         or coalesce((booked_created_us - (select zero_wall_us from meta)) * 1000
                     > acknowledged_ns + $1, false))
), succeeded as (
  select intent, min(at_us) as succeeded_us from books_transitions
  where to_state = 'succeeded' and intent in (from changed_late) group by intent
), acknowledged as (
  select three_books.*,
         (booked_created_us - (select zero_wall_us from meta)) * 1000 - acknowledged_ns
           as created_late_ns,
         (succeeded_us - (select zero_wall_us from meta)) * 1000 - acknowledged_ns
           as succeeded_late_ns
  from three_books left join succeeded using (intent)
  where acknowledged_ns is not null
    and (not agrees or intent in (from changed_late) or intent in (select intent from returned))
)
select * from (
  select intent, n, acknowledged_ns, expected_minor, asked_currency,
         case when booked_payments = 0 then 'absent from the books of the service'
              when booked_succeeded = 0 then booked_state || ' in the books of the service'
              when created_late_ns > $1
                then format('in the books of the service only {:.3f} s later: lost, and found '
                            || 'again', created_late_ns / 1e9)
              when succeeded_late_ns > $1
                then format('succeeded in the books of the service only {:.3f} s later: lost, '
                            || 'and found again', succeeded_late_ns / 1e9)
              when booked_currency is distinct from asked_currency
                then 'in the books of the service in ' || coalesce(booked_currency, 'no currency')
              when coalesce(expected_minor not in (booked_least_captured_minor,
                                                   booked_most_captured_minor), true)
                then 'in the books of the service as ' || booked_minor end as service,
         case when psp_captures = 0 then 'not captured at the PSP'
              when psp_currency is distinct from asked_currency
                then 'captured at the PSP in ' || coalesce(psp_currency, 'no currency')
              when coalesce(expected_minor not in (psp_least_captured_minor,
                                                   psp_most_captured_minor), true)
                then 'captured at the PSP as ' || psp_minor
              when psp_captures = 1 and not asked_all and returned_minor > asked_back_minor
                then 'refunded at the PSP: ' || returned_minor || ', asked for '
                     || asked_back_minor end as psp,
         booked_succeeded = 0 or coalesce(created_late_ns > $1, false)
           or coalesce(succeeded_late_ns > $1, false) as lost
  from acknowledged left join returned using (intent)
)
where service is not null or psp is not null order by n, intent
"""

#: Customers who were told for good that they paid nothing: the last final answer says so, every
#: attempt was refused for certain, or what was authorized was cancelled or could not be captured.
#: One who was told at any time that it was paid has been judged by that.
_TOLD_UNPAID = """
acknowledged_ns is null
and (told in ('fail', 'failed', 'declined', 'canceled')
     or told_canceled_ns is not null or told_capture_failed)
"""

_REFUSALS = f"select count(*) from three_books where {_TOLD_UNPAID}"

#: Their money must not have moved, not even there and back. A capture that the customer asked for
#: without learning what became of it may have been undone by the cancellation that followed. What
#: only the audit was told, no customer was.
_TAKEN = f"""
with taken as (
  select intent, n, psp_minor, psp_currency, psp_refunded_minor,
         case when told_canceled_ns is not null then 'canceled'
              when told_capture_failed then 'capture failed'
              when told = 'fail' then 'nothing happened' else told end as said
  from three_books
  where {_TOLD_UNPAID} and psp_captures > 0
    and not (said = 'canceled' and psp_kept = 0 and capture_asked)
), heard as (
  select intent from attempts
  where source <> 'audit' and operation in ('pay', 'capture', 'cancel')
    and intent in (select intent from taken)
  group by intent having bool_or(outcome = 'ok') or bool_and(outcome = 'fail')
)
select intent, said, psp_minor, psp_currency, psp_refunded_minor
from taken where intent in (from heard) order by n, intent
"""


@checker(kind="money", needs=["attempts", "books_payments", "psp_charges", "psp_refunds"])
def durability(
    run: Run,
    clock_skew: Duration = Duration(0.05),  # noqa: B008 - a value, never changed
) -> Iterator[Result]:
    """What customers were told stays true: what was acknowledged is there, and nothing was taken
    from those who were told that they paid nothing.

    An acknowledged payment is in the books of the service from then on, and at the PSP, in the
    amount and currency that were asked, and was not given back unasked. Includes the prober's
    payments. `data_loss` counts those acknowledged that the service's books no longer hold as
    succeeded, or did not when they were acknowledged: they were lost and found again. With it come
    the amount by currency, and in `data_loss_oldest_at` when the oldest of them was acknowledged,
    in seconds of run time. Money taken from a customer who was told otherwise is a violation even
    when it was given back later. `clock_skew`: how far the clock of the service's database may be
    ahead of the harness's. Where regions replicate asynchronously, a failover loses payments by
    design: ask `data_loss` there, which holds what a promoted database lacked, the same payments
    that this finds absent or written down again later, against a recovery point objective.
    """
    ((acknowledged, charges, payments, timed),) = run.rows(_ACKNOWLEDGED)
    wrong = run.rows(_WRONG, [clock_skew.ns])
    yield Measure("acknowledged_judged", acknowledged)
    yield Measure("booking_times_judged", timed)
    yield Measure("refusals_judged", run.one(_REFUSALS))
    yield Measure("payments_judged", payments)
    yield Measure("psp_charges_judged", charges)
    yield from _data_loss([(row[2], row[3], row[4]) for row in wrong if row[-1]])
    for intent, _, _, minor, currency, service, psp, _ in wrong:
        where = " and ".join(place for place in (service, psp) if place)
        yield Finding(f"acknowledged {minor} {currency}, {where}", intent)
    for intent, said, minor, currency, refunded in run.rows(_TAKEN):
        back = f", {refunded:,} refunded later" if refunded else ""
        yield Finding(f"told {said}, captured {minor:,} {currency} at the PSP{back}", intent)


def _data_loss(lost: list[tuple[int, int, str]]) -> Iterator[Measure]:
    """`lost`: when acknowledged (ns), amount in minor units, currency."""
    yield Measure("data_loss", len(lost), "payments")
    amounts: dict[str, int] = {}
    for _, minor, currency in lost:
        amounts[currency] = amounts.get(currency, 0) + minor
    for currency, minor in sorted(amounts.items()):
        yield Measure(f"data_loss_{currency}", minor, f"minor units of {currency}")
    if lost:
        yield Measure("data_loss_oldest_at", min(lost)[0] / 1e9, "s")
