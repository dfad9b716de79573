"""What was acknowledged is still there."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.checkers.refunds_asked import REFUNDS_ASKED
from payresil.core.registry import checker
from payresil.core.results import Finding, Measure, Result
from payresil.core.run import Run

_ACKNOWLEDGED = """
select count(*), coalesce(sum(psp_charges), 0)::bigint, coalesce(sum(booked_payments), 0)::bigint
from three_books where acknowledged_ns is not null
"""

#: Each side must hold one payment of exactly what was asked, in the currency it was asked in.
#: A second one beside it is a duplicate, which other checks find. Of a payment captured once no
#: more may have been given back than was asked for.
_WRONG = f"""
with {REFUNDS_ASKED}
select * from (
  select intent, n, acknowledged_ns, expected_minor, asked_currency,
         case when booked_payments = 0 then 'absent from the books of the service'
              when booked_succeeded = 0 then booked_state || ' in the books of the service'
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
         booked_succeeded = 0 as lost
  from three_books left join returned using (intent) where acknowledged_ns is not null
)
where service is not null or psp is not null order by n, intent
"""


@checker(kind="money", needs=["attempts", "books_payments", "psp_charges", "psp_refunds"])
def durability(run: Run) -> Iterator[Result]:
    """Every payment acknowledged to a customer is still in the books of the service and at the PSP,
    in the amount and currency that were asked, and nothing was given back unasked.

    Includes the prober's payments. `data_loss` counts those that the service's books no longer
    hold as succeeded, with the amount by currency; `data_loss_oldest` is when the oldest of them
    was acknowledged, in seconds of run time.
    """
    ((acknowledged, charges, payments),) = run.rows(_ACKNOWLEDGED)
    wrong = run.rows(_WRONG)
    yield Measure("acknowledged_judged", acknowledged)
    yield Measure("payments_judged", payments)
    yield Measure("psp_charges_judged", charges)
    yield from _data_loss([(row[2], row[3], row[4]) for row in wrong if row[-1]])
    for intent, _, _, minor, currency, service, psp, _ in wrong:
        where = " and ".join(place for place in (service, psp) if place)
        yield Finding(f"acknowledged {minor} {currency}, {where}", intent)


def _data_loss(lost: list[tuple[int, int, str]]) -> Iterator[Measure]:
    """`lost`: when acknowledged (ns), amount in minor units, currency."""
    yield Measure("data_loss", len(lost), "payments")
    amounts: dict[str, int] = {}
    for _, minor, currency in lost:
        amounts[currency] = amounts.get(currency, 0) + minor
    for currency, minor in sorted(amounts.items()):
        yield Measure(f"data_loss_{currency}", minor, f"minor units of {currency}")
    if lost:
        yield Measure("data_loss_oldest", min(lost)[0] / 1e9, "s")
