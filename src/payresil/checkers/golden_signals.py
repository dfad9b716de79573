"""Whether operators see what customers saw: the service's own metrics against the attempts.

A counter is read once a second, so its increase between two readings is known exactly, and the
attempts bound what it may be: at least those that were surely counted in between, at most those
that can have been. No tolerance is needed, and none is given but for the moment in which a service
has answered and not counted yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from payresil.checkers.instances import service_instances
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run

#: A service may count an answer this long after its client has it.
_COUNTED_LATE_NS = 50_000_000
#: … and time it by as much longer than its client did, on average.
_TIMED_LATE_S = 0.001
#: A service that says its requests took less than this part of what their clients waited, with no
#: fault in the way, does not show its operators what customers saw.
_LEAST_TIMED = 0.1
#: A scrape that nothing followed was answered within this.
_SCRAPE_NS = 1_000_000_000

#: Readings of every instance: what was counted so far. A label that never occurred is not there
#: yet, which is 0. The sampler asks one node after the other, so a node had answered when the next
#: one was asked.
_READINGS = """
with moments as (
  select at_ns, lead(at_ns) over (order by at_ns) as next_ns
  from (select distinct at_ns from samples)
), picked as (
  select at_ns, node, metric, value, labels, {picks} as counts
  from samples where list_contains($nodes::varchar[], node)
)
select node, at_ns, coalesce(any_value(next_ns), at_ns + {scrape}) as read_ns,
       coalesce(sum(value) filter (metric = $traffic and counts), 0),
       coalesce(sum(value) filter (metric = $traffic and counts and {status} like '5%'), 0),
       coalesce(sum(value) filter (metric = $latency || '_count' and counts), 0),
       coalesce(sum(value) filter (metric = $latency || '_sum' and counts), 0),
       sum(value) filter (metric = $saturation),
       bool_or(metric = $traffic), bool_or(metric = $latency || '_count')
from picked left join moments using (at_ns)
group by node, at_ns having bool_or(metric = 'up' and value = 1)
order by node, at_ns
"""

#: When an instance began or ended: what it counted before is gone.
_RESTARTS = """
select name, at_ns from events
where kind = 'node' and what in ('started', 'stopped', 'killed', 'exited')
"""

_PHASES = """
select phase, start_ns, end_ns from phase_spans
where phase in ('steady', 'faulted', 'recovering') and end_ns is not null order by start_ns
"""

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
class _Reading:
    """What one instance had counted when it was asked."""

    node: str
    at_ns: int
    read_ns: int  # when it had surely answered
    requests: float
    errors: float
    timed: float
    seconds: float
    saturation: float | None
    shows_requests: bool
    shows_latency: bool

    def __str__(self) -> str:
        return (
            f"{self.requests:,.0f} requests, {self.errors:,.0f} errors, {self.timed:,.0f} timed "
            f"requests, {self.seconds:,.3f} s"
        )

    def follows(self, earlier: _Reading) -> bool:
        """Whether nothing was counted down in between, as only a new start may."""
        return (
            self.requests >= earlier.requests
            and self.errors >= earlier.errors
            and self.timed >= earlier.timed
            and self.seconds >= earlier.seconds
        )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Two readings of one instance that was not started anew in between."""

    phase: str | None  # None: the longest there is
    first: _Reading
    last: _Reading

    def __str__(self) -> str:
        span = f"{self.first.at_ns / 1e9:.3f} s to {self.last.at_ns / 1e9:.3f} s"
        return f"{self.first.node}, {self.phase + ', ' if self.phase else ''}{span}"


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What the attempts allow an instance to have counted in a stretch."""

    least: int = 0
    least_errors: int = 0
    most: int = 0
    most_errors: int = 0
    most_ns: int = 0  # that the requests took altogether
    answers: int = 0
    waited_ns: int = 0  # for these answers
    least_ns: int = 0  # that clients waited for requests surely counted


@checker(kind="objective", needs=["attempts", "events", "samples", "signals"])
def golden_signals(run: Run) -> Iterator[Result]:
    """Operators see what customers saw: the service's own metrics agree with every attempt.

    Traffic, errors (5xx) and latency of each instance, as its counters grew between two readings:
    over the longest stretches without a new start, and over each phase. Attempts that the instance
    answered wholly in between must be counted; no more may be than it answered or nobody did.
    Latency must count the same requests, and add up to no more than their customers waited; where
    nothing is broken and it shows less than a tenth of that, it is in doubt. A counter never falls
    without a new start. Saturation is shown, since customers cannot know it.
    """
    signals = run.meta.get("signals")
    if not isinstance(signals, Mapping):
        yield Doubt("run.json does not name the service's metrics (`signals` in the system file)")
        return
    readings = _readings(run, signals, service_instances(run))
    yield from _unseen(run, readings, signals)
    starts = _starts(run)
    yield from _falls(readings, starts)
    stretches = list(_stretches(run, readings, starts))
    yield Measure("stretches_judged", len(stretches))
    allowed = _allowed(run, stretches)
    yield from _measures(stretches, allowed)
    yield from _saturation(run, readings, signals)
    if not run.one("select count(instance) from attempts"):
        yield Doubt(
            "no answer says which instance gave it: name the header that does under "
            "api.instance_header in the system file"
        )
        return
    lost = run.one("select count(*) from reserved_without_row")
    for k, stretch in enumerate(stretches):
        yield from _judge(stretch, allowed.get(k, _Allowed()), lost)
        if stretch.phase == "steady":
            yield from _hidden(stretch, allowed.get(k, _Allowed()))
    yield from _unjudged(readings, stretches, allowed)


def _readings(
    run: Run, signals: Mapping[str, Any], nodes: tuple[str, ...]
) -> dict[str, list[_Reading]]:
    where: Mapping[str, list[str]] = signals.get("where") or {}
    picks = [
        f"list_contains($where_{i}::varchar[], {_label(name)})" for i, name in enumerate(where)
    ]
    sql = _READINGS.format(
        picks=" and ".join(picks) or "true",
        scrape=_SCRAPE_NS,
        status=_label(signals.get("status", "status")),
    )
    named = {name: str(signals.get(name)) for name in ("traffic", "latency", "saturation")}
    wanted = {f"where_{i}": list(values) for i, values in enumerate(where.values())}
    found: dict[str, list[_Reading]] = {node: [] for node in nodes}
    for row in run.sql.execute(sql, {"nodes": list(nodes), **named, **wanted}).fetchall():
        found[row[0]].append(_Reading(*row))
    return found


def _label(name: str) -> str:
    """SQL for the value of a label in text such as ``route="pay",status="201"``."""
    pattern = f'(^|,){re.escape(name)}="([^"]*)"'.replace("'", "''")
    return f"regexp_extract(labels, '{pattern}', 2)"


def _unseen(
    run: Run, readings: Mapping[str, list[_Reading]], signals: Mapping[str, Any]
) -> Iterator[Doubt]:
    if not readings:
        yield Doubt("run.json lists no instance of the service (nodes)")
    for node, found in readings.items():
        if len(found) < 2:
            yield Doubt(f"{node}: its metrics were read {len(found)} times, and it takes two")
            continue
        if not any(reading.shows_requests for reading in found):
            yield Doubt(f"{node} never showed {signals['traffic']}, its counter of requests")
        if not any(reading.shows_latency for reading in found):
            yield Doubt(f"{node} never showed {signals['latency']}_count, its latency")
        if not any(reading.saturation is not None for reading in found):
            yield Doubt(f"{node} never showed {signals['saturation']}, its saturation")


def _starts(run: Run) -> dict[str, list[int]]:
    """When each node began or ended."""
    found: dict[str, list[int]] = {}
    for name, at_ns in run.rows(_RESTARTS):
        found.setdefault(name, []).append(at_ns)
    return found


def _falls(
    readings: Mapping[str, list[_Reading]], starts: Mapping[str, list[int]]
) -> Iterator[Finding]:
    for node, found in readings.items():
        falls = [
            (earlier, later)
            for earlier, later in pairwise(found)
            if not later.follows(earlier) and not _is_anew(earlier, later, starts.get(node, []))
        ]
        if falls:
            before, after = falls[0]
            yield Finding(
                f"{node}: its counters fell {len(falls):,} times without a new start, first "
                f"between {before.at_ns / 1e9:.3f} s and {after.at_ns / 1e9:.3f} s, from {before} "
                f"to {after}"
            )


def _is_anew(earlier: _Reading, later: _Reading, starts: list[int]) -> bool:
    """Whether the instance is known to have been started or ended in between."""
    return any(earlier.at_ns < at_ns <= later.read_ns for at_ns in starts)


def _unjudged(
    readings: Mapping[str, list[_Reading]],
    stretches: list[_Stretch],
    allowed: Mapping[int, _Allowed],
) -> Iterator[Doubt]:
    """Instances of which nothing could have been found."""
    surely: dict[str, int] = {}
    for k, stretch in enumerate(stretches):
        node = stretch.first.node
        surely[node] = surely.get(node, 0) + allowed.get(k, _Allowed()).least
    for node, found in readings.items():
        if len(found) < 2 or not any(reading.shows_requests for reading in found):
            continue  # said already
        if node not in surely:
            yield Doubt(
                f"{node}: no two readings without a new start in between: nothing of it was judged"
            )
        elif not surely[node]:
            yield Doubt(
                f"{node}: no attempt was surely counted between two of its readings: that its "
                "metrics agree says nothing"
            )


def _stretches(
    run: Run, readings: Mapping[str, list[_Reading]], starts: Mapping[str, list[int]]
) -> Iterator[_Stretch]:
    phases = run.rows(_PHASES)
    for node, found in readings.items():
        if not any(reading.shows_requests for reading in found):
            continue
        for piece in _pieces(found, starts.get(node, [])):
            if len(piece) < 2:
                continue
            yield _Stretch(None, piece[0], piece[-1])
            for phase, start_ns, end_ns in phases:
                part = [r for r in piece if start_ns <= r.at_ns and r.read_ns <= end_ns]
                if 2 <= len(part) < len(piece):
                    yield _Stretch(phase, part[0], part[-1])


def _pieces(readings: list[_Reading], starts: list[int]) -> list[list[_Reading]]:
    """Readings between which the instance was not started anew, and no counter fell."""
    pieces: list[list[_Reading]] = []
    for reading in readings:
        last = pieces[-1][-1] if pieces else None
        if last is None or _is_anew(last, reading, starts) or not reading.follows(last):
            pieces.append([])
        pieces[-1].append(reading)
    return pieces


def _allowed(run: Run, stretches: list[_Stretch]) -> dict[int, _Allowed]:
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


def _together(answered: Sequence[int], unanswered: Sequence[int]) -> _Allowed:
    least, least_errors, most, most_errors, most_ns, answers, waited_ns, least_ns = answered
    more, more_ns = unanswered
    return _Allowed(
        least,
        least_errors,
        most + more,
        most_errors + more,
        most_ns + more_ns,
        answers,
        waited_ns,
        least_ns,
    )


def _judge(stretch: _Stretch, allowed: _Allowed, lost: int) -> Iterator[Result]:
    """Each signal of one stretch; `lost`: payments of which no attempt is on record."""
    first, last = stretch.first, stretch.last
    counts = (
        ("traffic", "requests", last.requests - first.requests, allowed.least, allowed.most),
        ("errors", "5xx", last.errors - first.errors, allowed.least_errors, allowed.most_errors),
        ("latency", "timed requests", last.timed - first.timed, allowed.least, allowed.most),
    )
    for signal, what, grew, least, most in counts:
        if least <= grew <= most:
            continue
        said = (
            f"{signal} of {stretch}: the service counted {grew:,.0f} {what}, what clients saw "
            f"allows {least:,} to {most:,}"
        )
        if grew > most and lost:
            yield Doubt(f"{said}; of {lost:,} payments no attempt is on record")
        else:
            yield Finding(said)
    yield from _waited(stretch, allowed, lost)


def _waited(stretch: _Stretch, allowed: _Allowed, lost: int) -> Iterator[Result]:
    timed = stretch.last.timed - stretch.first.timed
    seconds = stretch.last.seconds - stretch.first.seconds
    most_s = allowed.most_ns / 1e9
    if seconds <= most_s + timed * _TIMED_LATE_S:
        return
    said = (
        f"latency of {stretch}: the service says that its {timed:,.0f} requests took "
        f"{seconds:,.3f} s altogether, their clients waited {most_s:,.3f} s at most"
    )
    yield Doubt(f"{said}; of {lost:,} payments no attempt is on record") if lost else Finding(said)


def _hidden(stretch: _Stretch, allowed: _Allowed) -> Iterator[Doubt]:
    seconds = stretch.last.seconds - stretch.first.seconds
    least_s = allowed.least_ns / 1e9
    if seconds < _LEAST_TIMED * least_s:
        yield Doubt(
            f"latency of {stretch}: the service says that its requests took {seconds:,.3f} s "
            f"altogether, and for {allowed.least:,} of them alone their clients waited "
            f"{least_s:,.3f} s, with nothing broken: where that time went, its metrics do not show"
        )


def _measures(stretches: list[_Stretch], allowed: Mapping[int, _Allowed]) -> Iterator[Measure]:
    """Over the longest stretches of all instances together."""
    whole = [(each, allowed[k]) for k, each in enumerate(stretches) if each.phase is None]
    requests = sum(each.last.requests - each.first.requests for each, _ in whole)
    timed = sum(each.last.timed - each.first.timed for each, _ in whole)
    seconds = sum(each.last.seconds - each.first.seconds for each, _ in whole)
    answers = sum(found.answers for _, found in whole)
    waited_ns = sum(found.waited_ns for _, found in whole)
    yield Measure("requests_judged", round(requests))
    yield Measure("errors_counted", round(sum(x.last.errors - x.first.errors for x, _ in whole)))
    yield Measure("requests_surely_seen", sum(found.least for _, found in whole))
    yield Measure("requests_possibly_seen", sum(found.most for _, found in whole))
    if timed:
        yield Measure("mean_latency_by_service", seconds / timed * 1e3, "ms")
    if answers:
        yield Measure("mean_latency_by_clients", waited_ns / answers / 1e6, "ms")


def _saturation(
    run: Run, readings: Mapping[str, list[_Reading]], signals: Mapping[str, Any]
) -> Iterator[Measure]:
    shown = [reading.saturation for found in readings.values() for reading in found]
    values = [value for value in shown if value is not None]
    if values:
        yield Measure("saturation_most", max(values), str(signals["saturation"]))
