"""Whether operators see what customers saw: the service's own metrics against the attempts.

A counter is read once a second, so its increase between two readings is known exactly, and the
attempts bound what it may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from payresil.checkers.instances import service_instances
from payresil.checkers.signal_bounds import Allowed, bounds_of
from payresil.checkers.signal_readings import Reading, readings_of
from payresil.checkers.signal_stretches import Stretch, is_anew, starts_of, stretches_of
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run

#: A service may time an answer by as much longer than its client did, on average.
_TIMED_LATE_S = 0.001
#: A service that says its requests took less than this part of what their clients waited, with no
#: fault in the way, does not show its operators what customers saw.
_LEAST_TIMED = 0.1


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
    readings = readings_of(run, signals, service_instances(run))
    yield from _unseen(run, readings, signals)
    starts = starts_of(run)
    yield from _falls(readings, starts)
    stretches = list(stretches_of(run, readings, starts))
    yield Measure("stretches_judged", len(stretches))
    allowed = bounds_of(run, stretches)
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
        yield from _judge(stretch, allowed.get(k, Allowed()), lost)
        if stretch.phase == "steady":
            yield from _hidden(stretch, allowed.get(k, Allowed()))
    yield from _unjudged(readings, stretches, allowed)


def _unseen(
    run: Run, readings: Mapping[str, list[Reading]], signals: Mapping[str, Any]
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


def _falls(
    readings: Mapping[str, list[Reading]], starts: Mapping[str, list[int]]
) -> Iterator[Finding]:
    for node, found in readings.items():
        falls = [
            (earlier, later)
            for earlier, later in pairwise(found)
            if not later.follows(earlier) and not is_anew(earlier, later, starts.get(node, []))
        ]
        if falls:
            before, after = falls[0]
            yield Finding(
                f"{node}: its counters fell {len(falls):,} times without a new start, first "
                f"between {before.at_ns / 1e9:.3f} s and {after.at_ns / 1e9:.3f} s, from {before} "
                f"to {after}"
            )


def _unjudged(
    readings: Mapping[str, list[Reading]],
    stretches: list[Stretch],
    allowed: Mapping[int, Allowed],
) -> Iterator[Doubt]:
    """Instances of which nothing could have been found."""
    surely: dict[str, int] = {}
    for k, stretch in enumerate(stretches):
        node = stretch.first.node
        surely[node] = surely.get(node, 0) + allowed.get(k, Allowed()).least
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


def _judge(stretch: Stretch, allowed: Allowed, lost: int) -> Iterator[Result]:
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


def _waited(stretch: Stretch, allowed: Allowed, lost: int) -> Iterator[Result]:
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


def _hidden(stretch: Stretch, allowed: Allowed) -> Iterator[Doubt]:
    seconds = stretch.last.seconds - stretch.first.seconds
    least_s = allowed.least_ns / 1e9
    if seconds < _LEAST_TIMED * least_s:
        yield Doubt(
            f"latency of {stretch}: the service says that its requests took {seconds:,.3f} s "
            f"altogether, and for {allowed.least:,} of them alone their clients waited "
            f"{least_s:,.3f} s, with nothing broken: where that time went, its metrics do not show"
        )


def _measures(stretches: list[Stretch], allowed: Mapping[int, Allowed]) -> Iterator[Measure]:
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
    run: Run, readings: Mapping[str, list[Reading]], signals: Mapping[str, Any]
) -> Iterator[Measure]:
    shown = [reading.saturation for found in readings.values() for reading in found]
    values = [value for value in shown if value is not None]
    if values:
        yield Measure("saturation_most", max(values), str(signals["saturation"]))
