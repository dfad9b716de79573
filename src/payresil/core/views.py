"""The views that checkers and people ask: intents, faults, phases, remedies, the timeline."""

from __future__ import annotations

from payresil.core.three_books import BOOKS_HASHES, BOOKS_VIEWS

#: Most intents are tried once and need no grouping, which costs the most by far. Their numbers run
#: into millions, so those that do are told by the hash of their text: where two share one, both are
#: grouped, which changes nothing.
_TRIED = """
select hash(intent) as intent_hash from attempts where operation = 'pay' and source <> 'audit'
"""

_CUSTOMERS_AGAIN = """
create view customers_again as
select intent, min(n) as n, min(source) as source, min(journey) as journey,
       min(amount_minor) as amount_minor, min(currency) as currency,
       min(due_ns) as due_ns, min(sent_ns) as sent_ns, max(done_ns) as last_ns,
       min({'at': done_ns, 'answer': answer}) filter (outcome = 'ok') as first_ok,
       max({'at': done_ns, 'answer': answer}) filter (outcome = 'ok') as last_ok,
       min(done_ns) filter (outcome = 'ok' and answer = 'succeeded') as acknowledged_ns,
       count(*) as attempts, count(*) filter (kind = 'create') as creates,
       bool_or(outcome = 'ok') as ok,
       coalesce(bool_and(outcome = 'fail') filter (kind is distinct from 'read'), false) as failed,
       min(payment) as payment
from attempts
where operation = 'pay' and source <> 'audit' and hash(intent) in (from tried_again)
group by intent
"""

#: One row an intent of what its customer did and saw; `intents` and `client_books` draw on it.
#: An intent fails with its requests to pay: a look that found nothing settles nothing.
#: Of one tried once, each aggregate above is the value itself.
_CUSTOMERS = """
create view customers as
select intent, n, source, journey, amount_minor, currency, due_ns, sent_ns, done_ns as last_ns,
       case when outcome = 'ok' then {'at': done_ns, 'answer': answer} end as first_ok,
       case when outcome = 'ok' then {'at': done_ns, 'answer': answer} end as last_ok,
       case when outcome = 'ok' and answer = 'succeeded' then done_ns end as acknowledged_ns,
       1::bigint as attempts, coalesce(kind = 'create', false)::bigint as creates,
       outcome = 'ok' as ok,
       coalesce(outcome = 'fail' and kind is distinct from 'read', false) as failed, payment
from attempts
where operation = 'pay' and source <> 'audit' and hash(intent) not in (from tried_again)
union all
from customers_again
"""

#: A customer's view of every payment. The audit's reads are left out: the customer never saw them.
_INTENTS = """
create view intents as
select intent, n, source, journey, amount_minor, currency, due_ns, sent_ns, last_ns,
       first_ok.at as ok_ns, attempts, creates,
       case when ok then 'ok' when failed then 'fail' else 'unknown' end as outcome,
       first_ok.answer as answer, payment
from customers
"""

#: What the client side knows in the end, the audit's final reads included.
_CLIENT_BOOKS = """
create view client_books as
with audited as (
  select intent, min(n) as n, min(amount_minor) as amount_minor, min(currency) as currency,
         min(payment) as payment, min(sent_ns) as sent_ns,
         max({'at': done_ns, 'answer': answer}) filter (outcome = 'ok') as last_ok,
         bool_or(outcome = 'ok') as ok, bool_and(outcome = 'fail') as failed
  from attempts where operation = 'pay' and source = 'audit' group by intent
)
select intent, coalesce(c.n, a.n) as n, coalesce(c.amount_minor, a.amount_minor) as amount_minor,
       coalesce(c.currency, a.currency) as currency, coalesce(c.payment, a.payment) as payment,
       least(c.sent_ns, a.sent_ns) as first_sent_ns, c.acknowledged_ns,
       case when coalesce(a.last_ok > c.last_ok, a.ok, false) then a.last_ok.answer
            when c.ok then c.last_ok.answer
            when coalesce(c.failed, true) and coalesce(a.failed, true) then 'fail'
            else 'unknown' end as state
from customers c full join audited a using (intent)
"""

_FAULT_WINDOWS = """
create view fault_windows as
select name as fault,
       min(at_ns) filter (what = 'inject') as start_ns,
       min(at_ns) filter (what = 'injected') as injected_ns,
       min(at_ns) filter (what = 'heal') as heal_ns,
       max(at_ns) filter (what = 'healed') as healed_ns
from events where kind = 'fault' group by name
"""

_PHASES = """
create view phases as
select name as phase, min(at_ns) filter (what = 'begin') as start_ns,
       max(at_ns) filter (what = 'end') as end_ns
from events where kind = 'phase' group by name
"""

#: Every stretch of a phase: `faulted` and `recovering` come back when there are several faults.
_PHASE_SPANS = """
create view phase_spans as
select phase, start_ns, end_ns from (
  select name as phase, what, at_ns as start_ns,
         min(at_ns) filter (what = 'end') over (
             partition by name order by at_ns
             range between current row and unbounded following) as end_ns
  from events where kind = 'phase'
) where what = 'begin'
"""

#: A remedy that may run again has another id; a step may come again within one. What is not ended
#: has neither end nor detail of an end: its detail is that of its begin.
_REMEDY_SPANS = """
create view remedy_spans as
select kind, name as remedy, step, at_ns as start_ns, ended.at as end_ns,
       coalesce(ended.what = 'failed', false) as failed,
       coalesce(ended.detail, detail) as detail, detail as begin_detail
from (
  select *, min({'at': at_ns, 'what': what, 'detail': detail}) filter (what <> 'begin') over (
             partition by kind, name, step order by at_ns
             range between current row and unbounded following) as ended
  from (
    select kind, name, what, at_ns, detail,
           case when kind = 'remedy_step' and json_valid(detail)
                then json_extract_string(detail, '$.step') end as step
    from events where kind in ('remedy', 'remedy_step')
  )
) where what = 'begin'
"""

#: Every remedy, from its begin to its end or failure.
_REMEDIES = """
create view remedies as
select remedy, start_ns, end_ns, failed, detail, begin_detail
from remedy_spans where kind = 'remedy'
"""

#: Every step of every remedy.
_REMEDY_STEPS = """
create view remedy_steps as
select remedy, step, start_ns, end_ns, failed, detail
from remedy_spans where kind = 'remedy_step'
"""

#: A number reserved for a generator whose row was lost with it: unknown, never phantom.
_LOST_ROWS = """
create view reserved_without_row as
select r.first + s.i as n, (select run from meta) || '-' || (r.first + s.i) as intent
from reserved r, lateral (select unnest(range(r.count)) as i) s
where r.first + s.i not in (select n from attempts where n is not null)
"""

_TIMELINE = """
create view timeline as
select intent, at_ns, who, what, fault from (
  select intent, sent_ns as at_ns, 'client' as who,
         'attempt ' || attempt || ' (' || source || '): ' || kind
           || case when key is null then '' else ' key ' || key end
           || case when kind = 'read' then '' else ' ' || amount_minor || ' ' || currency end
           as what, false as fault
  from attempts
  union all
  select intent, done_ns, 'client',
         'attempt ' || attempt || ' (' || source || '): ' || outcome || ', '
           || case when status is null then 'no answer: ' || coalesce(error, '?')
                   else status || ' ' || coalesce(answer, '') end
           || case when replayed then ' (replayed)' else '' end, false
  from attempts
  union all
  select reference, received_ns, 'psp', endpoint || ' key ' || coalesce(key, 'none')
           || case when replayed then ' (replay)' else '' end, false
  from psp_attempts
  union all
  select reference, coalesce(answered_ns, received_ns + 1), 'psp',
         case when answered_ns is null then endpoint || ': answer not sent'
              else endpoint || ': answered ' || status end
           || ', fault rule ' || rule || ' (' || point || ')', true
  from psp_attempts where rule is not null
  union all
  select reference, created_ns, 'psp', 'charge ' || charge || ' ' || status || ': '
           || captured_minor || ' of ' || amount_minor || ' ' || currency || ' captured, key '
           || coalesce(key, 'none'), false
  from psp_charges
  union all
  select reference, created_ns, 'psp', 'refund ' || refund || ' ' || status || ': '
           || amount_minor || ' ' || currency || ', key ' || coalesce(key, 'none'), false
  from psp_refunds
  union all
  select reference, at_ns, 'psp', 'webhook ' || type || ' delivery ' || attempt || ': '
           || coalesce(status::text, 'no answer'), false
  from psp_events where attempt > 0
  union all
  select intent, (at_us - (select zero_wall_us from meta)) * 1000, 'service',
         coalesce(from_state, 'new') || ' -> ' || to_state || ' (' || coalesce(cause, '?') || ')',
         false
  from books_transitions
  union all
  select span.intent, w.at_ns, 'harness', 'fault ' || w.name || ': ' || w.what, true
  from (select intent, min(sent_ns) as first_ns, max(done_ns) as last_ns
        from attempts where source <> 'audit' group by intent) span
  join fault_windows f on f.start_ns <= span.last_ns
       and coalesce(f.healed_ns, span.last_ns) >= span.first_ns
  join events w on w.kind = 'fault' and w.name = f.fault and w.what in ('injected', 'healed')
) where intent is not null
"""

#: Hashes of which the view of that name has those that occur more than once.
HASHES = {"tried_again": _TRIED, **BOOKS_HASHES}

VIEWS = (
    *(
        f"create view {name} as {hashes} group by intent_hash having count(*) > 1"
        for name, hashes in HASHES.items()
    ),
    _CUSTOMERS_AGAIN,
    _CUSTOMERS,
    _INTENTS,
    _CLIENT_BOOKS,
    _FAULT_WINDOWS,
    _PHASES,
    _PHASE_SPANS,
    _REMEDY_SPANS,
    _REMEDIES,
    _REMEDY_STEPS,
    _LOST_ROWS,
    _TIMELINE,
    *BOOKS_VIEWS,
)

#: Views worth keeping as tables while a run is judged: several checks ask them.
ASKED_OFTEN = (*HASHES, "customers_again", "three_books", "returned")
