"""The PSP's events are heard and have their effect once, however often and in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from payresil.checkers.webhook_types import know_webhook_types
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run

#: What was sent, received and never came, event by event, and which of them are wrong.
_EVENTS = """
select count(*) filter (tries > 0), coalesce(sum(tries), 0)::bigint,
       count(*) filter (may_have_heard > 1), count(*) filter (received),
       list(event) filter (heard and not received), list(event) filter (received and not made),
       list(event) filter (made_for_it and not heard)
from (
  select event, bool_or(made) as made, bool_or(made_for_it) as made_for_it, bool_or(heard) as heard,
         bool_or(received) as received, count(*) filter (tried) as tries,
         count(*) filter (may_have_heard) as may_have_heard
  from (
    select event, attempt = 0 as made,
           attempt = 0 and type in (from webhook_types) as made_for_it,
           attempt > 0 as tried, attempt > 0 and delivered as heard,
           attempt > 0 and (delivered or status is null) as may_have_heard, false as received
    from psp_events
    union all
    select event, false, false, false, false, false, true from books_inbox
  )
  group by event
)
"""

#: An update tells of one change out of several, as each refund in part does to its charge, so each
#: may have an effect of its own; of every other type there is one event at most that changes
#: something about an object.
_SUBJECT = """case when type like '%.updated' or type = 'charge.refunded' or object is null
       then event else object end"""

_EFFECTS = f"""
with again as (
  select hash({_SUBJECT}, type) as key from books_inbox where effects > 0
  group by key having count(*) > 1 or max(effects) > 1
)
select min(intent) as intent, type, {_SUBJECT} as subject, sum(effects)::bigint,
       count(distinct event)
from books_inbox where effects > 0 and hash({_SUBJECT}, type) in (from again)
group by type, subject having sum(effects) > 1 order by intent, type, subject
"""

#: Unread events of payments in the books, and of those that name none on either side.
_LEFT = """
with unread as materialized (
  select intent, event, type from books_inbox where state = 'received'
), told as (
  select event, min(reference) as reference from psp_events
  where attempt = 0 and event in (select event from unread where intent is null) group by event
), left_unread as (
  select coalesce(intent, reference) as intent, event, type
  from unread left join told using (event)
)
select intent, event, type from left_unread left join three_books using (intent)
where intent is null or booked_payments > 0 order by n, intent, event
"""

#: What the inbox has, and of how much of it it says what was done about it.
_SAID = "select count(*), count(effects), count(state) from books_inbox"

#: Events, those without a name included, that are wrong (`$1`).
_WRONG = "semi join (select unnest($1::varchar[]) as wrong) on event is not distinct from wrong"

_SENT = f"""
select reference, event, type from psp_events {_WRONG}
where attempt = 0 order by reference, event
"""

_RECEIVED = f"""
select intent, event, type from books_inbox {_WRONG} order by intent, event
"""

#: Events that never came, of payments and refunds that do not know what they would have told.
_MISSED = f"""
select intent, event, type,
       case when booked_payments = 0 then 'the payment is not in the books'
            when booked_processing > 0 then 'the payment is still processing'
            else 'the refund is still processing' end
from psp_events {_WRONG} join three_books on intent = reference
where attempt = 0
  and (booked_payments = 0 or booked_processing > 0
       or object in (select psp_refund from books_refunds where state = 'processing'))
order by n, intent, event
"""

#: Objects of which an event was first heard before one that was made earlier.
_OUT_OF_ORDER = """
with several as (
  select hash(object) as key from psp_events
  where attempt > 0 and delivered and object is not null
  group by key having min(hash(event)) <> max(hash(event))
), first_heard as (
  select object, event, min(at_ns) filter (attempt = 0) as made_ns,
         min(at_ns) filter (attempt > 0 and delivered) as heard_ns
  from psp_events where hash(object) in (from several) group by object, event
), earlier as (
  select object, heard_ns,
         max(heard_ns) over (partition by object order by made_ns
                             range between unbounded preceding and 1 preceding) as earlier_ns
  from first_heard
)
select count(distinct object) from earlier where heard_ns < earlier_ns
"""


@checker(kind="money", needs=["psp_events", "books_inbox", "books_payments"])
def webhooks(run: Run) -> Iterator[Result]:
    """Each event of the PSP has its effect once, however often and in whatever order it comes.

    No event, and no two of one type about one object, changed something more than once; events
    that tell of an update or of a refund of a charge, which may be in part, each count by
    themselves. What was delivered (answered 2xx) is in the
    inbox, what is in the inbox was made by the PSP, and no event of a payment in the books was left
    unread. An event that was never delivered is counted in `never_delivered`; it is a finding where
    the service does not know by other means what it would have told. `delivered_again` counts the
    events that the service had or may have had twice, `out_of_order` the objects of which a later
    event came first.
    """
    know_webhook_types(run)
    ((events, deliveries, again, inbox, lost, strange, missed),) = run.rows(_EVENTS)
    yield Measure("events_judged", events)
    yield Measure("inbox_judged", inbox)
    yield Measure("deliveries", deliveries)
    yield Measure("delivered_again", again)
    yield Measure("out_of_order", run.one(_OUT_OF_ORDER))
    yield Measure("never_delivered", len(missed or ()))
    if not events:
        yield Doubt("the PSP told the service of no event, so nothing was put to the test")
    yield from _unsaid(run)
    for intent, type_, subject, effects, several in run.rows(_EFFECTS):
        by = f", by {several} events" if several > 1 else ""
        yield Finding(f"{type_} of {subject} had its effect {effects} times{by}", intent)
    yield from _events(run, _SENT, lost, "was delivered, and is not in the inbox")
    yield from _events(run, _RECEIVED, strange, "is in the inbox, and unknown at the PSP")
    yield from _unread(run)
    for intent, event, type_, state in run.rows(_MISSED, [missed or []]):
        yield Finding(f"event {event} ({type_}) was never delivered, and {state}", intent)


def _unsaid(run: Run) -> Iterator[Doubt]:
    """What the inbox does not say of its events, and would have to for them to be judged."""
    ((inbox, effects, states),) = run.rows(_SAID)
    for what, said in (("effect", effects), ("state", states)):
        if said < inbox:
            yield Doubt(
                f"of {inbox - said:,} of {inbox:,} events the inbox does not say the {what}, so "
                "what was done about them is unknown"
            )


def _unread(run: Run) -> Iterator[Finding | Doubt]:
    unread = run.rows(_LEFT)
    for intent, event, type_ in unread:
        if intent is not None:
            yield Finding(f"event {event} ({type_}) was left unread", intent)
    if nameless := sum(intent is None for intent, _, _ in unread):
        yield Doubt(f"{nameless:,} unread events name no payment, so whose they are is unknown")


def _events(run: Run, sql: str, events: Sequence[str] | None, wrong: str) -> Iterator[Finding]:
    for intent, event, type_ in run.rows(sql, [events]) if events else ():
        yield Finding(f"event {event} ({type_}) {wrong}", intent)
