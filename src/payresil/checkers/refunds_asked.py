"""How much of a payment its customer asked to have refunded, against what the PSP gave back."""

from __future__ import annotations

#: Common table expressions, to stand after ``with``. `asked`: by intent, the amount of every
#: refund that was asked for and neither refused for certain nor said to have failed; `asked_all`
#: where one named no amount and so meant the whole. `given`: what the PSP's refunds, which failed
#: ones are not, add up to. `returned`: both, of intents that have had or asked for any refund.
REFUNDS_ASKED = """
asked as (
  select intent, sum(amount_minor)::bigint as asked_back_minor, bool_or(whole) as asked_all
  from (select intent, operation, coalesce(max(amount_minor), 0) as amount_minor,
               max(amount_minor) is null as whole
        from attempts where kind = 'refund' group by intent, operation
        having bool_or(outcome = 'ok' and answer is distinct from 'failed')
            or (bool_or(outcome = 'unknown') and not bool_or(outcome = 'ok')))
  group by intent
), given as (
  select reference as intent, sum(amount_minor)::bigint as given_minor from psp_refunds
  where status in ('succeeded', 'pending') and reference is not null group by reference
), returned as (
  select intent, coalesce(asked_back_minor, 0) as asked_back_minor,
         coalesce(asked_all, false) as asked_all,
         greatest(psp_refunded_minor, coalesce(given_minor, 0)) as returned_minor
  from three_books left join asked using (intent) left join given using (intent)
  where asked_back_minor is not null or given_minor is not null
     or psp_refunded_minor > 0 or booked_refunded_minor > 0
)
"""
