"""Once everything is healed, nothing stays unknown and no queue stays full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from payresil.checkers.webhook_types import know_webhook_types
from payresil.core.grouping import columns, grouped, keep_suspects
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.steps import settled
from payresil.core.values import Duration

#: When the last fault was healed, how many there were, how many are not known to be healed.
_HEALED = """
select max(healed_ns), count(*), count(*) filter (healed_ns is null) from fault_windows
where start_ns is not null
"""

_TRAFFIC_ENDED = "select end_ns from phases where phase = 'drain'"

#: Until when the system was watched: after that its books were read.
_WATCHED = """
select max(at_ns) from events
where (kind = 'phase' and name = 'audit' and what = 'begin')
   or (kind = 'step' and name in ('settle', 'reconcile'))
"""

#: Before any run began, so that nothing was open then.
_NEVER_NS = -(2**61)


def _run_time(column: str) -> str:
    """SQL for a moment of the service's wall clock in nanoseconds of run time."""
    return f"({column} - (select zero_wall_us from meta)) * 1000"


#: What a row says of an event, as the lowest bits of its code: it was made before the heal (`$1`),
#: delivered before the heal, delivered at least within `$2` after the end of traffic (`$3`).
_MADE_BEFORE, _OVER_BEFORE, _OVER_IN_TIME = (1 << bit for bit in range(3))
_BITS = 3

_SAID_OF_EVENTS = f"""
select (hash(event) >> {_BITS} << {_BITS})
       | case when attempt = 0 and at_ns <= $1 then {_MADE_BEFORE}
              when attempt > 0 and delivered and coalesce(answered_ns, at_ns) <= $3 + $2
                then case when coalesce(answered_ns, at_ns) <= $1
                          then {_OVER_BEFORE | _OVER_IN_TIME} else {_OVER_IN_TIME} end
              else 0 end::ubigint
from psp_events where type in (from webhook_types)
"""

#: What is open until it is over, by what it is called: SQL for intent, begun_ns, over_ns and
#: whether it still is open, of all that was open at `$1` (ns), still is, or was over only after
#: `$3 + $2`. A payment is open until it first leaves `processing`, and one that did not change
#: after a moment had left it by then.
_OPEN = {
    "payments": f"""
with changed as materialized (
  select payment, intent, state = 'processing' as still, {_run_time("created_us")} as begun_ns
  from books_payments
  where state = 'processing' or {_run_time("updated_us")} > $3 + $2
     or coalesce({_run_time("created_us")} <= $1 and {_run_time("updated_us")} > $1, true)
), known as (
  select payment, min({_run_time("at_us")}) as over_ns from books_transitions
  where to_state <> 'processing' and payment in (select payment from changed) group by payment
)
select intent, begun_ns, over_ns, still from changed left join known using (payment)
where still or over_ns is null or over_ns > $1
""",
    "refunds": f"""
select * from (
  select intent, {_run_time("created_us")} as begun_ns, {_run_time("updated_us")} as over_ns,
         state = 'processing' as still
  from books_refunds
) where still or over_ns > $3 + $2 or (begun_ns <= $1 and coalesce(over_ns > $1, true))
""",
    "messages": f"""
select * from (
  select intent, {_run_time("created_us")} as begun_ns, {_run_time("sent_us")} as over_ns,
         sent_us is null as still
  from books_outbox
) where still or over_ns > $3 + $2 or (begun_ns <= $1 and over_ns > $1)
""",
    "unread events": f"""
select intent, {_run_time("received_us")} as begun_ns, null::bigint as over_ns, true as still
from books_inbox where state = 'received'
""",
    "webhooks": """
with undelivered as (
  select event, min(at_ns) filter (attempt = 0) as begun_ns,
         min(coalesce(answered_ns, at_ns)) filter (attempt > 0 and delivered) as over_ns
  from psp_events
  where type in (from webhook_types) and hash(event) >> 32 in (from perhaps_undelivered)
  group by event having over_ns is null or over_ns > $3 + $2 or (begun_ns <= $1 and over_ns > $1)
)
select reference as intent, begun_ns, over_ns, over_ns is null as still
from psp_events sent join undelivered on sent.event is not distinct from undelivered.event
where attempt = 0
""",
}

#: `$1`: the last heal; `$2`: the bound; `$3`: the end of traffic; `$4`: until when it was watched.
#: What was begun after the heal has the bound from the end of traffic on, or from its beginning
#: if that was later still.
_SUMMED = """
select open_at_heal, undated, late, last.at, last.intent,
       late_later, last_later.at, last_later.intent,
       still, still_since_heal, overdue, oldest.at, oldest.intent
from (
  select count(*) filter (at_heal) as open_at_heal,
         count(*) filter (at_heal and not still and over_ns is null) as undated,
         count(*) filter (at_heal and over_ns > $1 + $2) as late,
         max({{'at': over_ns, 'intent': intent}}) filter (at_heal and over_ns is not null) as last,
         count(*) filter (late_later) as late_later,
         max({{'at': over_ns, 'intent': intent}}) filter (late_later) as last_later,
         count(*) filter (still) as still,
         count(*) filter (still and at_heal) as still_since_heal,
         count(*) filter (still and case when at_heal then $1 else $3 end + $2 <= $4) as overdue,
         min({{'at': begun_ns, 'intent': intent}}) filter (still) as oldest
  from (select *, coalesce(begun_ns <= $1, $1 > {never}) as at_heal,
               not at_heal and coalesce(over_ns > greatest(begun_ns, $3) + $2, false) as late_later
        from ({source}))
)
"""

_JUDGED = """
select (select count(*) from books_payments), (select count(*) from books_refunds),
       (select count(*) from books_outbox),
       (select count(*) from psp_events
        where attempt = 0 and type in (from webhook_types))
"""


@dataclass(frozen=True, slots=True)
class _Times:
    """The moments of a run that convergence is measured by, in nanoseconds of run time."""

    healed_ns: int | None  # None: no fault was healed
    traffic_ended_ns: int
    watched_ns: int
    within: Duration

    @property
    def bounds(self) -> list[int]:
        """The parameters of the queries here, from `$1` on."""
        healed_ns = _NEVER_NS if self.healed_ns is None else self.healed_ns
        return [healed_ns, self.within.ns, self.traffic_ended_ns, self.watched_ns]


@dataclass(frozen=True, slots=True)
class _Queue:
    """What was open of one kind when everything was healed, and what still is in the end."""

    kind: str
    open_at_heal: int
    undated: int  # over, and nothing says since when
    late: int  # over, later than allowed
    last_ns: int | None  # when the last one was over
    last_intent: str | None
    late_later: int  # begun after the heal and over, later than allowed
    last_later_ns: int | None
    last_later_intent: str | None
    still: int
    still_since_heal: int
    overdue: int  # still open, for longer than allowed
    oldest_ns: int | None  # when the oldest that is still open began
    oldest_intent: str | None


@checker(kind="objective", needs=["events", "books_payments", "books_transitions", "psp_events"])
def convergence(run: Run, within: Duration) -> Iterator[Result]:
    """Once everything is healed, the system comes to rest in time: no outcome is unknown any more
    and no queue holds anything.

    `convergence_time` runs from the last heal to the moment when the last of what was open then was
    over: payments and refunds in processing, messages of the outbox, webhooks not delivered. What
    began later has until `within` after the end of traffic, as has everything where there was no
    fault, and what began after the end of traffic until `within` after its beginning. In the end
    nothing may be open, events in the inbox that were not read included.
    """
    times = _times(run, within)
    if times is None:
        yield Doubt("the run does not record when traffic ended and until when it was watched")
        return
    _look_at_events(run, times)
    payments, refunds, messages, events = run.rows(_JUDGED)[0]
    yield Measure("payments_judged", payments)
    yield Measure("refunds_judged", refunds)
    yield Measure("messages_judged", messages)
    yield Measure("events_judged", events)
    yield from _unhealed(run)
    queues = [_queue(run, kind, times) for kind in _OPEN]
    if times.healed_ns is not None:
        yield from _measures(queues, times.healed_ns, within)
        for queue in queues:
            yield from _after_heal(queue, times.healed_ns, within)
    for queue in queues:
        yield from _after_traffic(queue, times)
        yield from _left(queue, times)
    yield from _at_rest(run, within)


def _times(run: Run, within: Duration) -> _Times | None:
    traffic_ended_ns, watched_ns = run.one(_TRAFFIC_ENDED), run.one(_WATCHED)
    if traffic_ended_ns is None or watched_ns is None:
        return None
    return _Times(run.one(_HEALED), traffic_ended_ns, watched_ns, within)


def _look_at_events(run: Run, times: _Times) -> None:
    """Pick those that may have been open when everything was healed, or later than allowed."""
    know_webhook_types(run)
    events = grouped(columns(run.sql, _SAID_OF_EVENTS, times.bounds[:3])[0], _BITS)
    said = events.said()
    made_before, over_before, in_time = (
        said & bit != 0 for bit in (_MADE_BEFORE, _OVER_BEFORE, _OVER_IN_TIME)
    )
    closed = over_before | (in_time & ~made_before)
    keep_suspects(run.sql, "perhaps_undelivered", events.keys[~closed])


def _unhealed(run: Run) -> Iterator[Doubt]:
    ((_, faults, unhealed),) = run.rows(_HEALED)
    if unhealed:
        yield Doubt(f"{unhealed} of {faults} faults are not known to have been healed")


def _queue(run: Run, kind: str, times: _Times) -> _Queue:
    sql = _SUMMED.format(source=_OPEN[kind], never=_NEVER_NS)
    return _Queue(kind, *run.rows(sql, times.bounds)[0])


def _measures(queues: list[_Queue], healed_ns: int, within: Duration) -> Iterator[Measure]:
    known = not any(queue.still_since_heal or queue.undated for queue in queues)
    last_ns = max(queue.last_ns or healed_ns for queue in queues)
    took_s = (last_ns - healed_ns) / 1e9 if known else None
    yield Measure("convergence_time", took_s, "s", objective=f"at most {within}")
    for queue in queues:
        yield Measure(f"{queue.kind.replace(' ', '_')}_open_at_heal", queue.open_at_heal)


def _after_heal(queue: _Queue, healed_ns: int, within: Duration) -> Iterator[Finding | Doubt]:
    if queue.late and queue.last_ns is not None:
        yield Finding(
            f"{queue.late:,} {queue.kind} were open for more than {within} after everything was "
            f"healed, the last one for {(queue.last_ns - healed_ns) / 1e9:.3f} s",
            queue.last_intent,
        )
    if queue.undated:
        yield Doubt(f"of {queue.undated:,} {queue.kind} nothing says when they were over")


def _after_traffic(queue: _Queue, times: _Times) -> Iterator[Finding]:
    if queue.last_later_ns is not None:
        which = queue.kind if times.healed_ns is None else f"{queue.kind} that began later"
        took_s = (queue.last_later_ns - times.traffic_ended_ns) / 1e9
        yield Finding(
            f"{queue.late_later:,} {which} were open for more than {times.within} after the end of "
            f"traffic, the last one for {took_s:.3f} s",
            queue.last_later_intent,
        )


def _left(queue: _Queue, times: _Times) -> Iterator[Finding | Doubt]:
    if not queue.still:
        return
    since = "" if queue.oldest_ns is None else f", the oldest since {queue.oldest_ns / 1e9:.3f} s"
    said = f"{queue.still:,} {queue.kind} are still open{since}"
    if queue.overdue:
        yield Finding(said, queue.oldest_intent)
        return
    begin_ns = times.traffic_ended_ns
    if queue.still_since_heal and times.healed_ns is not None:
        begin_ns = times.healed_ns
    yield Doubt(
        f"{said}; watched for only {(times.watched_ns - begin_ns) / 1e9:.3f} s of the "
        f"{times.within} that they have"
    )


def _at_rest(run: Run, within: Duration) -> Iterator[Result]:
    settle = settled(run)
    if settle is None:
        yield Doubt("the run does not record whether the system settled")
        return
    took_s = settle.took_ns / 1e9
    yield Measure(
        "settle_time", took_s if settle.done else None, "s", objective=f"at most {within}"
    )
    if settle.done and settle.took_ns > within.ns:
        yield Finding(f"settled only {took_s:.3f} s after the end of traffic, not in {within}")
    elif not settle.done and settle.took_ns > within.ns:
        yield Finding(f"still not settled {took_s:.3f} s after the end of traffic: {settle.why}")
    elif not settle.done:
        yield Doubt(f"waited {took_s:.3f} s for the system to settle, in vain: {settle.why}")
