"""The service's ledger balances and holds what was captured and refunded, once."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.grouping import columns, grouped, keep_suspects, sums
from payresil.core.registry import checker
from payresil.core.results import Finding, Measure, Result
from payresil.core.run import Run

#: Odd, so that no number of such legs comes to zero by overflow either.
_UNSAID = 2**62 - 57

#: Journals run into millions and nearly all are right. So a first look asks only which sums of a
#: journal and a currency may be wrong. A leg without an amount counts as more than any other legs
#: make up for.
_SUMS = f"""
select hash(journal, currency), coalesce(amount_minor, {_UNSAID})
from books_entries where journal is not null
"""
_NAMES = "select hash(journal) from books_entries where journal is not null"
_ONE_CURRENCY = """
select count(distinct currency) = 1 and count(currency) = count(*)
from books_entries where journal is not null
"""

_JOURNALS = """
select journal, currency, sum(amount_minor) as off, count(*) as legs, min(intent) as intent
from books_entries
where journal is null or hash(journal, currency) >> 32 in (from journals_at_first)
group by journal, currency
having count(*) < 2 or sum(amount_minor) <> 0 or bool_or(amount_minor is null)
order by intent, journal, currency
"""

_BALANCES = """
select account, currency, kept.balance_minor, posted.balance_minor
from (select account, currency, sum(balance_minor) as balance_minor
      from books_balances group by account, currency) kept
full join (select account, currency, sum(amount_minor) as balance_minor
           from books_entries group by account, currency) posted using (account, currency)
where coalesce(kept.balance_minor, 0) <> coalesce(posted.balance_minor, 0)
order by account, currency
"""

#: What is posted less what is booked is zero of nearly every payment, here too. What needs a second
#: look however that may be counts twice: what names no payment or currency, and reversals.
_POSTED_LESS_BOOKED = """
select hash(payment, currency), -coalesce(captured_minor, 0), -coalesce(refunded_minor, 0),
       case when payment is null or currency is null then 2 else 1 end::bigint
from books_payments
union all
select hash(payment, currency),
       case when journal_kind = 'capture' and amount_minor > 0 then amount_minor else 0 end,
       case when journal_kind = 'refund' and amount_minor > 0 then amount_minor else 0 end,
       case when journal_kind = 'reversal' or payment is null or currency is null
            then 2 else 0 end::bigint
from books_entries
where journal_kind = 'reversal' or journal_kind in ('capture', 'refund') and amount_minor > 0
"""

_SUSPECT = "hash(payment, currency) >> 32 in (from payments_at_first)"

#: A journal moves the sum of its debits. A reversal takes back a capture or a refund, which its
#: kind does not say: where there is one, the net over accounts is compared instead, since legs
#: that mirror each other cancel out on their accounts.
_PAYMENTS = f"""
with posted as (
  select payment, currency, min(intent) as intent,
         sum(amount_minor) filter (journal_kind = 'capture' and amount_minor > 0) as captured,
         sum(amount_minor) filter (journal_kind = 'refund' and amount_minor > 0) as refunded,
         bool_or(journal_kind = 'reversal') as reversed
  from books_entries where journal_kind in ('capture', 'refund', 'reversal') and {_SUSPECT}
  group by payment, currency
), reversed as (
  select payment, currency, sum(net) filter (net > 0) as net
  from (select payment, currency, account, sum(amount_minor) as net from books_entries
        where journal_kind in ('capture', 'refund', 'reversal')
          and payment in (select payment from posted where reversed)
        group by payment, currency, account)
  group by payment, currency
), booked as (
  select payment, intent, currency, coalesce(captured_minor, 0) as captured,
         coalesce(refunded_minor, 0) as refunded from books_payments where {_SUSPECT}
)
select payment, currency, coalesce(booked.intent, posted.intent) as intent,
       coalesce(booked.captured, 0), coalesce(posted.captured, 0),
       coalesce(booked.refunded, 0), coalesce(posted.refunded, 0),
       coalesce(posted.reversed, false), coalesce(reversed.net, 0)
from booked full join posted using (payment, currency)
left join reversed using (payment, currency)
where case when posted.reversed
           then coalesce(reversed.net, 0)
                <> coalesce(booked.captured, 0) - coalesce(booked.refunded, 0)
           else coalesce(booked.captured, 0) <> coalesce(posted.captured, 0)
             or coalesce(booked.refunded, 0) <> coalesce(posted.refunded, 0) end
order by intent, payment, currency
"""


@checker(kind="money", needs=["books_entries", "books_balances", "books_payments"])
def double_entry(run: Run) -> Iterator[Result]:
    """The service's ledger balances, and holds every capture and every refund exactly once.

    Every journal has two legs or more that sum to zero in each currency; every account's balance
    is the sum of its entries; what is posted for a payment is what was captured and refunded.
    """
    yield Measure("entries_judged", run.one("select count(*) from books_entries"))
    yield Measure("journals_judged", _look_at_journals(run))
    yield Measure("balances_judged", run.one("select count(*) from books_balances"))
    yield Measure(
        "captured_payments_judged",
        run.one("select count(*) from books_payments where captured_minor > 0"),
    )
    for journal, currency, off, legs, intent in run.rows(_JOURNALS):
        wrong = f"is off by {off:,} {currency}" if off else f"has {legs} leg in {currency}"
        yield Finding(f"journal {journal} {wrong}", intent)
    for account, currency, kept, posted in run.rows(_BALANCES):
        yield Finding(
            f"account {account} is kept as {_amount(kept, currency)}, "
            f"its entries sum to {_amount(posted, currency)}"
        )
    _look_at_payments(run)
    for row in run.rows(_PAYMENTS):
        yield _payment(*row)


def _look_at_journals(run: Run) -> int:
    """Make the table of sums to look at again; how many journals there are."""
    groups, (off,) = sums(*columns(run.sql, _SUMS))
    keep_suspects(run.sql, "journals_at_first", groups.keys[(groups.counts < 2) | (off != 0)])
    if run.one(_ONE_CURRENCY):  # else a journal may have several sums
        return len(groups.keys)
    return len(grouped(columns(run.sql, _NAMES)[0]).keys)


def _look_at_payments(run: Run) -> None:
    groups, (captured, refunded, counted) = sums(*columns(run.sql, _POSTED_LESS_BOOKED))
    suspects = groups.keys[(captured != 0) | (refunded != 0) | (counted > 1)]
    keep_suspects(run.sql, "payments_at_first", suspects)


def _payment(
    payment: str | None,
    currency: str | None,
    intent: str | None,
    captured: int,
    posted: int,
    refunded: int,
    posted_back: int,
    reversed_: bool,
    net: int,
) -> Finding:
    booked = f"payment {payment}: captured {captured:,} {currency} less {refunded:,} refunded"
    if reversed_:
        return Finding(f"{booked}; the ledger has {net:,} net of reversals", intent)
    return Finding(f"{booked}; the ledger has {posted:,} less {posted_back:,}", intent)


def _amount(minor: int | None, currency: str | None) -> str:
    return "nothing" if minor is None else f"{minor:,} {currency}"
