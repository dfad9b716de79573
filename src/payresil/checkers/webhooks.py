"""The PSP's events are heard and have their effect once, however often and in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from payresil.checkers.webhook_types import know_webhook_types
from payresil.core.grouping import Codes, ambiguous, columns, grouped, keep_suspects, repeated
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run

#: What was sent, received and never came, event by event, and which of them are wrong.
#: What a row says of an event, as the lowest bits of its code.
_MADE, _MADE_FOR_IT, _TRIED, _HEARD, _MAY_HAVE_HEARD, _RECEIVED = (1 << bit for bit in range(6))
_BITS = 6

_SAID_OF_EVENTS = f"""
select (hash(event) >> {_BITS} << {_BITS})
       | case when attempt = 0 and type in (from webhook_types) then {_MADE | _MADE_FOR_IT}
              when attempt = 0 then {_MADE}
              when attempt > 0 and delivered then {_TRIED | _HEARD | _MAY_HAVE_HEARD}
              when attempt > 0 and status is null then {_TRIED | _MAY_HAVE_HEARD}
              when attempt > 0 then {_TRIED} else 0 end::ubigint
from psp_events
union all
select (hash(event) >> {_BITS} << {_BITS}) | {_RECEIVED}::ubigint from books_inbox
"""

_SUSPECT = "hash(event) >> 32 in (from events_at_first)"

#: The second look: which of them are wrong.
_EVENTS = f"""
select list(event) filter (heard and not received), list(event) filter (received and not made),
       list(event) filter (made_for_it and not heard)
from (
  select event, bool_or(made) as made, bool_or(made_for_it) as made_for_it, bool_or(heard) as heard,
         bool_or(received) as received
  from (
    select event, attempt = 0 as made,
           attempt = 0 and type in (from webhook_types) as made_for_it,
           attempt > 0 and delivered as heard, false as received
    from psp_events where {_SUSPECT}
    union all
    select event, false, false, false, true from books_inbox where {_SUSPECT}
  )
  group by event
)
"""

_DELIVERIES = "select count(*) from psp_events where attempt > 0"

#: An update tells of one change out of several, as each refund in part does to its charge, so each
#: may have an effect of its own; of every other type there is one event at most that changes
#: something about an object.
_SUBJECT = """case when type like '%.updated' or type = 'charge.refunded' or object is null
       then event else object end"""

_CHANGES = f"select hash({_SUBJECT}, type) from books_inbox where effects > 0"

_EFFECTS = f"""
select min(intent) as intent, type, {_SUBJECT} as subject, sum(effects)::bigint,
       count(distinct event)
from books_inbox
where effects > 1 or (effects > 0 and hash({_SUBJECT}, type) >> 32 in (from changed_again))
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

_IN_INBOX = f"""
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

#: Objects of which several events were heard.
_HEARD_OF = """
select (hash(object) >> 32 << 32) | (hash(event) >> 32) from psp_events
where attempt > 0 and delivered and object is not null
"""

#: Objects of which an event was first heard before one that was made earlier.
_OUT_OF_ORDER = """
with first_heard as (
  select object, event, min(at_ns) filter (attempt = 0) as made_ns,
         min(at_ns) filter (attempt > 0 and delivered) as heard_ns
  from psp_events where hash(object) >> 32 in (from heard_several) group by object, event
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
    events = grouped(columns(run.sql, _SAID_OF_EVENTS)[0], _BITS)
    said = events.said()
    keep_suspects(run.sql, "events_at_first", events.keys[_may_be_wrong(said)])
    ((lost, strange, missed),) = run.rows(_EVENTS)
    tried = int(np.count_nonzero(said & _TRIED))
    yield Measure("events_judged", tried)
    yield Measure("inbox_judged", int(np.count_nonzero(said & _RECEIVED)))
    yield Measure("deliveries", run.one(_DELIVERIES))
    yield Measure("delivered_again", int(np.count_nonzero(events.saying(_MAY_HAVE_HEARD) > 1)))
    keep_suspects(run.sql, "heard_several", ambiguous(columns(run.sql, _HEARD_OF)[0]))
    yield Measure("out_of_order", run.one(_OUT_OF_ORDER))
    yield Measure("never_delivered", len(missed or ()))
    if not tried:
        yield Doubt("the PSP told the service of no event, so nothing was put to the test")
    yield from _unsaid(run)
    keep_suspects(run.sql, "changed_again", repeated(columns(run.sql, _CHANGES)[0]))
    for intent, type_, subject, effects, several in run.rows(_EFFECTS):
        by = f", by {several} events" if several > 1 else ""
        yield Finding(f"{type_} of {subject} had its effect {effects} times{by}", intent)
    yield from _events(run, _SENT, lost, "was delivered, and is not in the inbox")
    yield from _events(run, _IN_INBOX, strange, "is in the inbox, and unknown at the PSP")
    yield from _unread(run)
    for intent, event, type_, state in run.rows(_MISSED, [missed or []]):
        yield Finding(f"event {event} ({type_}) was never delivered, and {state}", intent)


def _may_be_wrong(said: Codes) -> npt.NDArray[np.bool_]:
    """Which events were heard and not received, received and not made, or made and not heard."""
    made, heard, received = (said & bit != 0 for bit in (_MADE, _HEARD, _RECEIVED))
    for_it = said & _MADE_FOR_IT != 0
    wrong: npt.NDArray[np.bool_] = (heard & ~received) | (received & ~made) | (for_it & ~heard)
    return wrong


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
