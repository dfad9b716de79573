"""The service's ledger balances and holds what was captured and refunded, once."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.registry import checker
from payresil.core.results import Finding, Measure, Result
from payresil.core.run import Run

#: Journals run into millions and nearly all are right. So a first look at each asks only whether
#: something may be wrong, and what that finds is looked at by currency.
_FIRST_LOOK = """
create or replace temp table journals_at_first as
select journal,
       count(*) < 2 or sum(amount_minor) <> 0 or min(currency) <> max(currency)
         or bool_or(amount_minor is null or currency is null) as suspect
from books_entries where journal is not null group by journal
"""

_JOURNALS = """
select journal, currency, sum(amount_minor) as off, count(*) as legs, min(intent) as intent
from books_entries
where journal is null
   or journal in (select journal from journals_at_first where suspect)
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

#: Those of no payment or currency are suspects as well.
_SUSPECT = """
semi join (select payment as suspect, currency as suspect_currency from suspects)
  on payment is not distinct from suspect and currency is not distinct from suspect_currency
"""

#: A journal moves the sum of its debits. A reversal takes back a capture or a refund, which its
#: kind does not say: where there is one, the net over accounts is compared instead, since legs
#: that mirror each other cancel out on their accounts.
#:
#: Suspects first here, too: what is posted less what is booked is zero of nearly every payment.
_PAYMENTS = f"""
with suspects as materialized (
  select payment, currency from (
    select payment, currency, 1 as booked, -captured_minor as captured,
           -refunded_minor as refunded, false as reversed,
           payment is null or currency is null as nameless
    from books_payments
    union all
    select payment, currency, 0,
           case when journal_kind = 'capture' and amount_minor > 0 then amount_minor end,
           case when journal_kind = 'refund' and amount_minor > 0 then amount_minor end,
           journal_kind = 'reversal', payment is null or currency is null
    from books_entries
    where journal_kind = 'reversal'
       or journal_kind in ('capture', 'refund') and amount_minor > 0
  )
  group by payment, currency
  having sum(captured) <> 0 or sum(refunded) <> 0 or sum(booked) > 1
    or bool_or(reversed or nameless)
), posted as (
  select payment, currency, min(intent) as intent,
         sum(amount_minor) filter (journal_kind = 'capture' and amount_minor > 0) as captured,
         sum(amount_minor) filter (journal_kind = 'refund' and amount_minor > 0) as refunded,
         bool_or(journal_kind = 'reversal') as reversed
  from books_entries {_SUSPECT} where journal_kind in ('capture', 'refund', 'reversal')
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
         coalesce(refunded_minor, 0) as refunded from books_payments {_SUSPECT}
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
    run.sql.execute(_FIRST_LOOK)
    yield Measure("journals_judged", run.one("select count(*) from journals_at_first"))
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
    for row in run.rows(_PAYMENTS):
        yield _payment(*row)


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
