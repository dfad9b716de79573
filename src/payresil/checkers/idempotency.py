"""One intent moves money at most once, and asking again gets the same answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from payresil.core.grouping import ambiguous, columns, grouped, keep_suspects, repeated
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run

#: States that are no answer yet, where a run does not say which are.
_PENDING = ("processing",)

_CHARGED_TWICE = """
select intent, psp_captures, psp_minor, psp_refunded_minor, psp_currency
from three_books where psp_captures > 1 order by n, intent
"""

#: More refunds than were asked for. Refunds by which the service undid a duplicate charge are its
#: own affair, so an intent that the PSP captured twice is left out. What the service itself says
#: that it found is no excuse: it is the one that is judged.
_REFUNDED_TWICE = """
with asked as (
  select intent, count(distinct operation) as refunds from attempts
  where kind = 'refund' and outcome <> 'fail' group by intent
), done as (
  select reference as intent, count(*) as refunds from psp_refunds
  where status in ('succeeded', 'pending') and reference is not null group by reference
)
select intent, done.refunds, asked.refunds
from done join asked using (intent) join three_books using (intent)
where done.refunds > asked.refunds and psp_captures = 1
order by intent
"""

#: Several holds of one intent none of which was captured or released: the customer can spend less
#: by each. A hold beside a capture, or one that was released, is none of these.
_HELD_TWICE = """
select reference, count(*), sum(amount_minor)::bigint, min(currency)
from psp_charges join three_books on reference = intent
where status = 'succeeded' and psp_captures = 0
  and coalesce(captured_minor, 0) = 0 and coalesce(refunded_minor, 0) < amount_minor
  and not exists (
    select 1 from psp_attempts released
    where released.payment_intent = psp_charges.payment_intent
      and endpoint = 'payment_intents.cancel'
      and (released.status = 200 or point in ('after_commit_lost', 'after_commit_wrong')))
group by reference, n having count(*) > 1 order by n, reference
"""

#: Payments run into millions and nearly all have one intent and one final answer. A code here is
#: half a hash of the payment, half one of its intent or of a final answer.
_PAYMENT_AND_INTENT = """
select (hash(payment) >> 32 << 32) | (hash(intent) >> 32) from attempts where payment is not null
"""
_PAYMENT_AND_ANSWER = """
select (hash(payment) >> 32 << 32) | (hash(answer) >> 32) from attempts
where payment is not null and operation = 'pay' and outcome = 'ok' and answer is not null
"""

#: What was answered of payments, where it is not the same every time. Suspects are told by half a
#: hash: where two share one, both are looked at, which changes nothing. Grouped by payment, so that
#: reads count as much as replays.
_ANSWERED_DIFFERENTLY = """
create or replace temp table answered_differently as
select payment, min(intent) as least_intent, max(intent) as greatest_intent,
       min(intent) filter (is_final) as intent,
       min(answer) filter (is_final and answer <> 'authorized') as one,
       max(answer) filter (is_final and answer <> 'authorized') as other,
       bool_or(answer = 'authorized') filter (is_final) as authorized,
       bool_or(answer in ('declined', 'failed')) filter (is_final) as refused
from (
  select payment, intent, answer, operation = 'pay' and outcome = 'ok' as is_final from attempts
  where payment is not null and hash(payment) >> 32 in (from several_answers)
)
group by payment
having least_intent <> greatest_intent or one <> other or (authorized and refused)
"""

#: An answer may go from authorized on to succeeded or canceled; every other change of a final
#: answer contradicts it.
_CONTRADICTED = """
select intent, payment, case when one <> other then one else 'authorized' end as one, other
from answered_differently
where one <> other or (authorized and refused) order by intent, payment
"""

#: A refund alone may fail after it succeeded, where the bank sends it back.
_OPERATION_CONTRADICTED = """
select intent, operation from attempts
where operation <> 'pay' and kind <> 'read' and outcome = 'ok'
group by intent, operation
having bool_or(answer = 'failed') and bool_or(answer = 'succeeded')
  and (min(kind) <> 'refund' or max(sent_ns) filter (answer = 'succeeded')
                                >= min(done_ns) filter (answer = 'failed'))
order by intent, operation
"""

_SHARED = """
select payment, least_intent, greatest_intent from answered_differently
where least_intent <> greatest_intent order by least_intent, payment
"""

_KEY_AND_PAYMENT = """
select (hash(operation, key) >> 32 << 32) | (hash(payment) >> 32) from attempts
where key is not null and kind <> 'read' and payment is not null
"""
_KEY_AND_AMOUNT = """
select (hash(operation, key) >> 32 << 32) | (hash(amount_minor, currency) >> 32) from attempts
where key is not null and kind <> 'read' and outcome = 'ok'
"""

#: Keys that stand for several payments or amounts, told by half a hash as well.
_SAME_KEY = """
select * from (
  select min(intent) as intent, operation, key,
         min(payment) as payment, max(payment) as other_payment,
         min(amount_minor) filter (outcome = 'ok') as amount,
         max(amount_minor) filter (outcome = 'ok') as other_amount,
         min(currency) filter (outcome = 'ok') as currency,
         max(currency) filter (outcome = 'ok') as other_currency
  from attempts where key is not null and kind <> 'read'
    and hash(operation, key) >> 32 in (from keys_several)
  group by operation, key
)
where payment <> other_payment or amount <> other_amount or currency <> other_currency
order by intent, operation, key
"""

_LOOKS = """
select count(*) from attempts where kind = 'read' and operation = 'pay' and source <> 'audit'
"""

#: What customers saw who looked a payment up after they had the final answer: how often, and what
#: is another story. Whoever looked has tried again, so the first answer is at hand. Who was
#: declined without being told a name need not find anything. `$1`: states that are no answer yet.
_LOOKED = """
with looks as materialized (
  select intent, looked.payment, first_ok.at as told_ns, first_ok.answer as told,
         status = 404 or (status between 200 and 299 and answer is null) as nothing,
         case when outcome = 'unknown' and status between 200 and 299
                   and list_contains($1::varchar[], answer) then answer end as pending
  from (
    select intent, payment, sent_ns as looked_ns, outcome, status, answer from attempts
    where kind = 'read' and operation = 'pay' and source <> 'audit'
  ) looked join customers_again using (intent)
  where looked_ns > first_ok.at
), told as (
  select intent, min(payment) as payment from attempts
  where operation = 'pay' and source <> 'audit' and outcome = 'ok'
    and (intent, done_ns) in (select intent, told_ns from looks)
  group by intent
)
select count(*), list(distinct [intent, payment, told, came]) filter (came is not null)
from (
  select intent, told.payment, told,
         case when looks.payment <> told.payment then 'payment ' || looks.payment
              when nothing and (told.payment is not null or told not in ('declined', 'failed'))
                then 'nothing'
              else 'it ' || pending end as came
  from looks left join told using (intent)
)
"""

#: The client sent the same thing twice, or the PSP got the same request to move money twice.
_SENT_TWICE = """
select hash(intent) from customers_again where creates > 1
union all
select hash(intent) as intent_hash from attempts where operation <> 'pay' and kind <> 'read'
group by intent_hash, operation having count(*) > 1
"""

#: A code here tells the endpoint by its lowest bits.
_MOVING = ("payment_intents.create", "payment_intents.confirm", "payment_intents.capture")
_ENDPOINT_BITS = 2
_ASKED_PSP = f"""
select (hash(reference) >> {_ENDPOINT_BITS} << {_ENDPOINT_BITS})
       | list_position({list(_MOVING)}, endpoint)::ubigint
from psp_attempts where reference is not null and endpoint in {_MOVING}
"""

_ANSWERS_LOST = """
select count(*) from psp_attempts where answered_ns is null or point = 'after_commit_lost'
"""

_NAMELESS = """
select count(*) from psp_charges where reference is null and captured_minor > 0
"""


@checker(kind="money", needs=["attempts", "psp_attempts", "psp_charges", "psp_refunds"])
def idempotency(run: Run) -> Iterator[Result]:
    """One payment intent moves money at most once, and whoever asks again gets the same answer.

    Judged by intent, never by key: the keys of a flawed service differ. Two captures of one intent
    are a violation even when one was refunded later, since the customer's money moved twice; so are
    two holds of one intent that were neither captured nor released. Who looks a payment up after
    its final answer finds it, and neither another one nor a pending one.
    """
    yield from _measures(run)
    for intent, captures, minor, refunded, currency in run.rows(_CHARGED_TWICE):
        back = f", {refunded:,} refunded later" if refunded else ""
        yield Finding(
            f"captured {captures} times at the PSP: {minor:,} {currency} in all{back}", intent
        )
    for intent, holds, minor, currency in run.rows(_HELD_TWICE):
        yield Finding(f"held {holds} times at the PSP: {minor:,} {currency} in all", intent)
    for intent, done, asked in run.rows(_REFUNDED_TWICE):
        yield Finding(f"refunded {done} times at the PSP, asked for {asked}", intent)
    _look_at_answers(run)
    for intent, payment, one, other in run.rows(_CONTRADICTED):
        yield Finding(f"payment {payment} was answered as {one} and as {other}", intent)
    for intent, operation in run.rows(_OPERATION_CONTRADICTED):
        yield Finding(f"{operation} was answered as failed and as succeeded", intent)
    for payment, intent, other in run.rows(_SHARED):
        yield Finding(f"payment {payment} was the answer to {intent} and to {other}", intent)
    yield from _looks(run)
    yield from _keys(run)


def _tried_twice(run: Run) -> int:
    """How many intents were, told by the hashes of their text."""
    sent = columns(run.sql, _SENT_TWICE)[0] >> _ENDPOINT_BITS
    asked = repeated(columns(run.sql, _ASKED_PSP)[0]) >> _ENDPOINT_BITS
    return len(grouped(np.concatenate([sent, asked])).keys)


def _keep_ambiguous(run: Run, name: str, *codes: str) -> None:
    """Make a table of suspects of what stands with several other things."""
    found = [ambiguous(columns(run.sql, sql)[0]) for sql in codes]
    keep_suspects(run.sql, name, np.concatenate(found))


def _look_at_answers(run: Run) -> None:
    """Make the table `answered_differently`."""
    _keep_ambiguous(run, "several_answers", _PAYMENT_AND_INTENT, _PAYMENT_AND_ANSWER)
    run.sql.execute(_ANSWERED_DIFFERENTLY)


def _look_at_keys(run: Run) -> None:
    """Make the table of suspects that `_SAME_KEY` looks at again."""
    _keep_ambiguous(run, "keys_several", _KEY_AND_PAYMENT, _KEY_AND_AMOUNT)


def _looks(run: Run) -> Iterator[Result]:
    if not run.one(_LOOKS):
        yield Measure("looks_judged", 0)
        return
    ((looks, others),) = run.rows(_LOOKED, [run.meta.get("pending") or _PENDING])
    yield Measure("looks_judged", looks)
    for intent, payment, told, came in sorted(others or (), key=lambda look: (look[0], look[3])):
        named = f"payment {payment}" if payment else "the payment"
        yield Finding(f"{named} was answered as {told}, and a later look found {came}", intent)


def _keys(run: Run) -> Iterator[Result]:
    _look_at_keys(run)
    for intent, operation, key, *answers in run.rows(_SAME_KEY):
        payment, other_payment, amount, other_amount, currency, other_currency = answers
        if payment != other_payment:
            yield Finding(
                f"key {key} ({operation}) gave payment {payment} and payment {other_payment}",
                intent,
            )
        if (amount, currency) != (other_amount, other_currency):
            yield Finding(
                f"key {key} ({operation}) was accepted for {amount} {currency} "
                f"and for {other_amount} {other_currency}",
                intent,
            )


def _measures(run: Run) -> Iterator[Result]:
    tried_twice = _tried_twice(run)
    charges = run.one("select count(*) from psp_charges")
    yield Measure("intents_judged", run.one("select count(*) from intents"))
    yield Measure("attempts_judged", run.one("select count(*) from attempts"))
    yield Measure("psp_charges_judged", charges)
    yield Measure("intents_tried_twice", tried_twice)
    yield Measure("answers_lost", run.one(_ANSWERS_LOST))
    if charges == 0:
        yield Doubt("the PSP made no charge, so nothing could have been charged twice")
    if tried_twice == 0:
        yield Doubt("nothing was ever tried twice, so nothing was put to the test")
    if nameless := run.one(_NAMELESS):
        yield Doubt(
            f"{nameless} captures at the PSP name no intent, so they cannot be told from "
            "duplicates; the service must pass the merchant reference on"
        )
