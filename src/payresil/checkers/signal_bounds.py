"""What the attempts on record allow an instance to have counted between two readings.

At least those that were surely counted in between, at most those that can have been. No tolerance
is needed, and none is given but for the moment in which a service has answered and not counted yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from payresil.checkers.signal_stretches import Stretch
from payresil.core.run import Run

#: A service may count an answer this long after its client has it.
_COUNTED_LATE_NS = 50_000_000

#: Stretches between two readings: each was taken somewhere between its `at_ns` and its `read_ns`.
_STRETCHES = """
with stretches as (
  select unnest($numbers::int[]) as k, unnest($names::varchar[]) as node,
         unnest($from_at::bigint[]) as from_at, unnest($from_read::bigint[]) as from_read,
         unnest($to_at::bigint[]) as to_at, unnest($to_read::bigint[]) as to_read
)
"""

#: What an instance answered. The audit's reads may go by a route that is not counted. A read may
#: have been sent twice by a balancer that lost its connection, as only a fault makes it.
_ANSWERED = f"""
{_STRETCHES}, answered as (
  select instance, sent_ns, done_ns, source, done_ns - sent_ns as took_ns,
         status >= 500 as is_error,
         case when kind in ('read', 'find') and done_ns >= $broken then 2 else 1 end as times
  from attempts where instance is not null
)
select k, count(*) filter (sure), count(*) filter (sure and is_error), sum(times)::bigint,
       coalesce(sum(times) filter (is_error), 0)::bigint, sum(times * took_ns)::bigint,
       count(*), sum(took_ns)::bigint, coalesce(sum(took_ns) filter (sure), 0)::bigint
from (
  select k, is_error, times, took_ns,
         source <> 'audit' and sent_ns >= from_read and done_ns <= to_at - {_COUNTED_LATE_NS}
           as sure
  from stretches join answered on instance = node
    and done_ns >= from_at - {_COUNTED_LATE_NS} and sent_ns <= to_read
) group by k
"""

#: Requests that no instance is known to have answered: any may have counted them, and long after
#: the client gave up.
_UNANSWERED = f"""
{_STRETCHES}
select k, count(*), sum(to_read - sent_ns)::bigint
from stretches join (select sent_ns from attempts where instance is null and sent_ns is not null
                     and error is distinct from 'refused') on sent_ns <= to_read
group by k
"""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the attempts allow an instance to have counted in a stretch."""

    least: int = 0
    least_errors: int = 0
    most: int = 0
    most_errors: int = 0
    most_ns: int = 0  # that the requests took altogether
    answers: int = 0
    waited_ns: int = 0  # for these answers
    least_ns: int = 0  # that clients waited for requests surely counted


def bounds_of(run: Run, stretches: list[Stretch]) -> dict[int, Allowed]:
    """What was allowed in each stretch, by its place in the list."""
    if not stretches:
        return {}
    places: dict[str, Any] = {
        "numbers": list(range(len(stretches))),
        "names": [stretch.first.node for stretch in stretches],
        "from_at": [stretch.first.at_ns for stretch in stretches],
        "from_read": [stretch.first.read_ns for stretch in stretches],
        "to_at": [stretch.last.at_ns for stretch in stretches],
        "to_read": [stretch.last.read_ns for stretch in stretches],
    }
    broken = run.one("select coalesce(min(start_ns), 9223372036854775807) from fault_windows")
    unanswered = {k: row for k, *row in run.sql.execute(_UNANSWERED, places).fetchall()}
    answered = {
        k: row for k, *row in run.sql.execute(_ANSWERED, {**places, "broken": broken}).fetchall()
    }
    return {
        k: _together(answered.get(k, [0] * 8), unanswered.get(k, [0] * 2))
        for k in range(len(stretches))
    }


def _together(answered: Sequence[int], unanswered: Sequence[int]) -> Allowed:
    least, least_errors, most, most_errors, most_ns, answers, waited_ns, least_ns = answered
    more, more_ns = unanswered
    return Allowed(
        least,
        least_errors,
        most + more,
        most_errors + more,
        most_ns + more_ns,
        answers,
        waited_ns,
        least_ns,
    )
