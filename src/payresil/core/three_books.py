"""The view `three_books`: what client, service and PSP each say of every intent, on one row.

Money is grouped by intent, the merchant reference, never by idempotency key: the keys of a
flawed service differ. A row that names no intent stands alone under ``payment …`` or
``charge …``. A null where a party is asked for a state means that it has never heard of the
intent.
"""

from __future__ import annotations

#: The service's payments of an intent. Normally there is one.
_SERVICE_MONEY = """
create view service_money as
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
       min(currency) as currency, max(currency) as last_currency
from books_payments group by all
"""

#: The PSP's charges of an intent that went through. A capture moved money; it is kept while it
#: is not refunded in full; a charge that was not captured is a hold.
_PSP_MONEY = """
create view psp_money as
select coalesce(reference, 'charge ' || charge) as intent, count(*) as charges,
       count(*) filter (captured_minor > 0) as captures,
       count(*) filter (captured_minor > coalesce(refunded_minor, 0)) as kept,
       min(captured_minor) filter (captured_minor > 0) as least_captured_minor,
       max(captured_minor) as most_captured_minor,
       coalesce(sum(captured_minor), 0)::bigint as captured_minor,
       coalesce(sum(refunded_minor), 0)::bigint as refunded_minor,
       min(currency) as currency, max(currency) as last_currency
from psp_charges where status = 'succeeded' group by all
"""

#: What was asked and acknowledged beyond the payment itself: a capture of less, refunds.
_ASKED_LATER = """
create view asked_later as
select intent,
       max(amount_minor) filter (kind = 'capture' and outcome <> 'fail') as capture_minor,
       (coalesce(sum(amount_minor) filter (kind = 'refund' and acknowledged), 0))::bigint
           as refunded_minor
from (select intent, operation, min(kind) filter (kind <> 'read') as kind,
             min(amount_minor) as amount_minor,
             case when bool_and(outcome = 'fail') then 'fail' else 'tried' end as outcome,
             bool_or(outcome = 'ok' and answer = 'succeeded') as acknowledged
      from attempts where operation <> 'pay' group by all)
group by intent
"""

_THREE_BOOKS = """
create view three_books as
select intent, client.n, client.state as told, client.acknowledged_ns,
       client.amount_minor as asked_minor, client.currency as asked_currency,
       coalesce(later.capture_minor, client.amount_minor) as expected_minor,
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
       coalesce(psp.charges, 0) as psp_charges, coalesce(psp.captures, 0) as psp_captures,
       coalesce(psp.kept, 0) as psp_kept,
       psp.least_captured_minor as psp_least_captured_minor,
       psp.most_captured_minor as psp_most_captured_minor,
       coalesce(psp.captured_minor, 0) as psp_minor,
       coalesce(psp.refunded_minor, 0) as psp_refunded_minor,
       psp.currency as psp_currency, psp.last_currency as psp_last_currency
from client_books client
full join service_money service using (intent)
full join psp_money psp using (intent)
left join asked_later later using (intent)
"""

BOOKS_VIEWS = (_SERVICE_MONEY, _PSP_MONEY, _ASKED_LATER, _THREE_BOOKS)
