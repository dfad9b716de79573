"""The view `three_books`: what client, service and PSP each say of every intent, on one row.

Money is grouped by intent, the merchant reference, never by idempotency key: the keys of a
flawed service differ. A row that names no intent stands alone under ``payment …`` or
``charge …``. A null where a party is asked for a state means that it has never heard of the
intent.
"""

from __future__ import annotations

#: Intents of which the service has several payments. Normally there is one of each, which needs no
#: grouping. They are told by a hash: where two share one, both are grouped, which changes nothing.
_BOOKED = "select hash(coalesce(intent, 'payment ' || payment)) as intent_hash from books_payments"

#: The service's payments of an intent. Of a single one, each aggregate is the value itself.
_SERVICE_MONEY = """
create view service_money as
select coalesce(intent, 'payment ' || payment) as intent, 1::bigint as payments,
       coalesce(state = 'succeeded', false)::bigint as succeeded,
       coalesce(state = 'processing', false)::bigint as processing,
       coalesce(state, 'none') as state,
       amount_minor as least_minor, amount_minor as most_minor,
       case when state = 'succeeded' then captured_minor end as least_captured_minor,
       case when state = 'succeeded' then captured_minor end as most_captured_minor,
       coalesce(captured_minor, 0) as captured_minor,
       coalesce(refunded_minor, 0) as refunded_minor,
       currency, currency as last_currency, created_us, updated_us
from books_payments
where hash(coalesce(intent, 'payment ' || payment)) not in (from booked_again)
union all
select coalesce(intent, 'payment ' || payment) as intent, count(*) as payments,
       count(*) filter (state = 'succeeded') as succeeded,
       count(*) filter (state = 'processing') as processing,
       case when bool_or(state = 'succeeded') then 'succeeded'
            when bool_or(state = 'authorized') then 'authorized'
            when bool_or(state = 'processing') then 'processing'
            else coalesce(min(state), 'none') end as state,
       min(amount_minor) as least_minor, max(amount_minor) as most_minor,
       min(captured_minor) filter (state = 'succeeded') as least_captured_minor,
       max(captured_minor) filter (state = 'succeeded') as most_captured_minor,
       coalesce(sum(captured_minor), 0)::bigint as captured_minor,
       coalesce(sum(refunded_minor), 0)::bigint as refunded_minor,
       min(currency) as currency, max(currency) as last_currency,
       min(created_us) as created_us, max(updated_us) as updated_us
from books_payments
where hash(coalesce(intent, 'payment ' || payment)) in (from booked_again) group by all
"""

#: Intents of which several charges at the PSP went through.
_CHARGED = """
select hash(coalesce(reference, 'charge ' || charge)) as intent_hash from psp_charges
where status = 'succeeded'
"""

#: The PSP's charges of an intent that went through. A capture moved money; it is kept while it
#: is not refunded in full; a charge that was not captured is a hold.
_PSP_MONEY = """
create view psp_money as
select coalesce(reference, 'charge ' || charge) as intent, 1::bigint as charges,
       coalesce(captured_minor > 0, false)::bigint as captures,
       coalesce(captured_minor > coalesce(refunded_minor, 0), false)::bigint as kept,
       case when captured_minor > 0 then captured_minor end as least_captured_minor,
       captured_minor as most_captured_minor,
       coalesce(captured_minor, 0) as captured_minor,
       coalesce(refunded_minor, 0) as refunded_minor,
       currency, currency as last_currency, created_ns
from psp_charges where status = 'succeeded'
  and hash(coalesce(reference, 'charge ' || charge)) not in (from charged_again)
union all
select coalesce(reference, 'charge ' || charge) as intent, count(*) as charges,
       count(*) filter (captured_minor > 0) as captures,
       count(*) filter (captured_minor > coalesce(refunded_minor, 0)) as kept,
       min(captured_minor) filter (captured_minor > 0) as least_captured_minor,
       max(captured_minor) as most_captured_minor,
       coalesce(sum(captured_minor), 0)::bigint as captured_minor,
       coalesce(sum(refunded_minor), 0)::bigint as refunded_minor,
       min(currency) as currency, max(currency) as last_currency,
       min(created_ns) as created_ns
from psp_charges where status = 'succeeded'
  and hash(coalesce(reference, 'charge ' || charge)) in (from charged_again) group by all
"""

#: What was asked and acknowledged beyond the payment itself: a capture, maybe of less, and refunds.
#: Who was told that a capture succeeded was told that the payment did.
_ASKED_LATER = """
create view asked_later as
select intent,
       max(amount_minor) filter (kind = 'capture' and outcome <> 'fail') as capture_minor,
       bool_or(kind = 'capture' and outcome <> 'fail'
               and (acknowledged_ns is not null or not said_failed)) as capture_asked,
       bool_or(kind = 'capture' and acknowledged_ns is null and said_failed) as capture_failed,
       min(acknowledged_ns) filter (kind = 'capture') as captured_ns,
       min(acknowledged_ns) filter (kind = 'cancel') as canceled_ns,
       coalesce(sum(amount_minor) filter (kind = 'refund' and acknowledged_ns is not null),
                0)::bigint
           as refunded_minor
from (select intent, operation, min(kind) filter (kind <> 'read') as kind,
             min(amount_minor) as amount_minor,
             case when bool_and(outcome = 'fail') then 'fail' else 'tried' end as outcome,
             min(done_ns) filter (outcome = 'ok' and (answer = 'succeeded' or
                                  (kind = 'cancel' and answer = 'canceled'))) as acknowledged_ns,
             coalesce(bool_or(outcome = 'ok' and answer = 'failed'), false) as said_failed
      from attempts where operation <> 'pay' group by all)
group by intent
"""

#: `agrees`: paid once, the same everywhere, and nothing given back, as most intents are.
_THREE_BOOKS = """
create view three_books as
select *, coalesce(
         told = 'succeeded' and booked_state = 'succeeded' and booked_payments = 1
         and booked_succeeded = 1 and psp_charges = 1 and psp_captures = 1 and psp_kept = 1
         and asked_minor = booked_least_minor and asked_minor = booked_most_minor
         and expected_minor = booked_minor and booked_minor = psp_minor
         and booked_minor in (booked_least_captured_minor, booked_most_captured_minor)
         and psp_minor in (psp_least_captured_minor, psp_most_captured_minor)
         and asked_currency = booked_currency and booked_currency = booked_last_currency
         and asked_currency = psp_currency and psp_currency = psp_last_currency
         and booked_refunded_minor = 0 and psp_refunded_minor = 0 and told_refunded_minor = 0
         and told_canceled_ns is null, false) as agrees
from (
select intent, client.n, client.state as told,
       least(client.acknowledged_ns, later.captured_ns) as acknowledged_ns,
       client.amount_minor as asked_minor, client.currency as asked_currency,
       coalesce(later.capture_minor, client.amount_minor) as expected_minor,
       coalesce(later.capture_asked, false) as capture_asked,
       coalesce(later.capture_failed, false) as told_capture_failed,
       later.canceled_ns as told_canceled_ns,
       coalesce(later.refunded_minor, 0) as told_refunded_minor,
       service.state as booked_state, coalesce(service.payments, 0) as booked_payments,
       coalesce(service.succeeded, 0) as booked_succeeded,
       coalesce(service.processing, 0) as booked_processing,
       service.least_minor as booked_least_minor, service.most_minor as booked_most_minor,
       service.least_captured_minor as booked_least_captured_minor,
       service.most_captured_minor as booked_most_captured_minor,
       coalesce(service.captured_minor, 0) as booked_minor,
       coalesce(service.refunded_minor, 0) as booked_refunded_minor,
       service.currency as booked_currency, service.last_currency as booked_last_currency,
       service.created_us as booked_created_us, service.updated_us as booked_updated_us,
       coalesce(psp.charges, 0) as psp_charges, coalesce(psp.captures, 0) as psp_captures,
       coalesce(psp.kept, 0) as psp_kept,
       psp.least_captured_minor as psp_least_captured_minor,
       psp.most_captured_minor as psp_most_captured_minor,
       coalesce(psp.captured_minor, 0) as psp_minor,
       coalesce(psp.refunded_minor, 0) as psp_refunded_minor,
       psp.currency as psp_currency, psp.last_currency as psp_last_currency,
       psp.created_ns as psp_created_ns
from client_books client
full join service_money service using (intent)
full join psp_money psp using (intent)
left join asked_later later using (intent)
)
"""

#: How much of a payment its customer asked to have back, against what the PSP gave back, of those
#: that have had or asked for any refund. `asked_back_minor`: every refund that was asked for and
#: neither refused for certain nor said to have failed; `asked_all` where one named no amount and so
#: meant the whole. The PSP's refunds that failed are none.
_RETURNED = """
create view returned as
with asked as (
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
)
select intent, coalesce(asked_back_minor, 0) as asked_back_minor,
       coalesce(asked_all, false) as asked_all,
       greatest(psp_refunded_minor, coalesce(given_minor, 0)) as returned_minor
from three_books left join asked using (intent) left join given using (intent)
where asked_back_minor is not null or given_minor is not null
   or psp_refunded_minor > 0 or booked_refunded_minor > 0
"""

BOOKS_HASHES = {"booked_again": _BOOKED, "charged_again": _CHARGED}

BOOKS_VIEWS = (
    _SERVICE_MONEY,
    _PSP_MONEY,
    _ASKED_LATER,
    _THREE_BOOKS,
    _RETURNED,
)
