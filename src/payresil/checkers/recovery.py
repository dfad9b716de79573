"""How long after a fault until customers are served again, for good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.steps import arrivals_ended_ns
from payresil.core.values import Duration, Share

#: Fewer whole windows than these after the heal do not show that an outage is over.
SETTLED_WINDOWS = 3

_FAULTS = """
select fault, start_ns, healed_ns from fault_windows
where start_ns is not null order by start_ns, fault
"""
_WINDOWS = """
select (due_ns - $1) // $2 as k, count(*), count(*) filter (outcome = 'ok')
from intents where due_ns >= $1 and due_ns < $3 and source in ('load', 'probe')
group by k order by k
"""


@dataclass(frozen=True, slots=True)
class Episode:
    """Faults that overlap, and the time until the next ones begin or customers stop coming."""

    faults: tuple[str, ...]
    start_ns: int
    healed_ns: int | None
    end_ns: int


@dataclass(frozen=True, slots=True)
class Outage:
    """When an episode's last bad window ended, from its start; None: not before its end.

    Windows in which nobody was due say nothing: `sure_ns` counts them as good, `at_most_ns` as
    bad.
    """

    judged: int  # intents and probes that were due
    windows: int
    sure_ns: int | None
    at_most_ns: int | None


@checker(kind="objective", needs=["attempts", "events"])
def recovery(
    run: Run,
    rto: Duration,
    window: Duration = Duration(1.0),  # noqa: B008 - a value, never changed
    threshold: Share = Share(0.99),  # noqa: B008
) -> Iterator[Result]:
    """Service is restored within the recovery time objective after a fault begins.

    recovery_time runs from the fault's start to the start of the first window from which on every
    window has at least `threshold` of its due payments and probes ok; 0 when there was no outage.
    `recovery_after_heal` is the part of it after the fault was healed. Faults that overlap are one
    episode, judged until the next one begins or customers stop coming; of several episodes the
    longest recovery counts.
    """
    end_ns = arrivals_ended_ns(run)
    if end_ns is None:
        yield Doubt("the run does not record that it ran to the end of traffic (phase drain)")
        return
    episodes = _episodes(run, end_ns)
    if not episodes:
        yield Doubt("no fault was injected, so there was nothing to recover from")
    outages = [(episode, _outage(run, episode, window, threshold)) for episode in episodes]
    yield Measure("intents_judged", sum(outage.judged for _, outage in outages))
    yield Measure("windows_judged", sum(outage.windows for _, outage in outages))
    yield from _times(outages, rto)
    for episode, outage in outages:
        yield from _judge(episode, outage, rto, window)


def _episodes(run: Run, end_ns: int) -> list[Episode]:
    """Overlapping faults together; one that was never healed lasts to the end."""
    found: list[Episode] = []
    for fault, start_ns, healed_ns in run.rows(_FAULTS):
        last = found[-1] if found else None
        if last is not None and (last.healed_ns is None or start_ns <= last.healed_ns):
            healed = None if None in (last.healed_ns, healed_ns) else max(last.healed_ns, healed_ns)
            found[-1] = Episode((*last.faults, fault), last.start_ns, healed, end_ns)
            continue
        if last is not None:
            found[-1] = Episode(last.faults, last.start_ns, last.healed_ns, start_ns)
        found.append(Episode((fault,), start_ns, healed_ns, end_ns))
    return found


def _outage(run: Run, episode: Episode, window: Duration, threshold: Share) -> Outage:
    """Windows of the episode; the last one, cut short by its end, only if someone was due in it."""
    rows = run.rows(_WINDOWS, [episode.start_ns, window.ns, episode.end_ns])
    whole = max(0, episode.end_ns - episode.start_ns) // window.ns
    seen = {k for k, _, _ in rows}
    bad = {k for k, due, ok in rows if ok / due < threshold}
    empty = set(range(whole)) - seen
    total = max(whole, max(seen, default=-1) + 1)
    return Outage(
        sum(due for _, due, _ in rows),
        len(seen),
        _after(bad, total, window),
        _after(bad | empty, total, window),
    )


def _after(bad: set[int], total: int, window: Duration) -> int | None:
    """When the first window begins that no bad one follows; None when there is no such window."""
    last = max(bad, default=-1)
    return None if last + 1 >= total else (last + 1) * window.ns


def _times(outages: list[tuple[Episode, Outage]], rto: Duration) -> Iterator[Measure]:
    if not outages:
        return
    several = len(outages) > 1
    times = [outage.at_most_ns for _, outage in outages if outage.at_most_ns is not None]
    longest = max(times) if len(times) == len(outages) else None
    yield Measure("recovery_time", _s(longest), "s", objective=f"at most {rto}")
    for episode, outage in outages:
        name = f".{'+'.join(episode.faults)}" if several else ""
        if several:
            yield Measure(f"recovery_time{name}", _s(outage.at_most_ns), "s")
        yield Measure(f"recovery_after_heal{name}", _s(_after_heal(episode, outage)), "s")


def _after_heal(episode: Episode, outage: Outage) -> int | None:
    if outage.at_most_ns is None or episode.healed_ns is None:
        return None
    return max(0, episode.start_ns + outage.at_most_ns - episode.healed_ns)


def _s(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def _judge(
    episode: Episode, outage: Outage, rto: Duration, window: Duration
) -> Iterator[Finding | Doubt]:
    name = " with ".join(episode.faults)
    watched_ns = episode.end_ns - episode.start_ns
    if outage.judged == 0:
        yield Doubt(f"{name}: no payment and no probe was due after it began")
    elif outage.sure_ns is None and watched_ns >= rto.ns:
        yield Finding(
            f"{name}: not recovered {watched_ns / 1e9:.3f} s after its start; the RTO is {rto}"
        )
    elif outage.sure_ns is not None and outage.sure_ns > rto.ns:
        yield Finding(
            f"{name}: recovered {outage.sure_ns / 1e9:.3f} s after its start; the RTO is {rto}"
        )
    else:
        yield from _doubts(name, episode, outage, rto, window)


def _doubts(
    name: str, episode: Episode, outage: Outage, rto: Duration, window: Duration
) -> Iterator[Doubt]:
    if episode.healed_ns is None:
        yield Doubt(f"{name}: it was never healed, so recovery was not seen")
        return
    if outage.at_most_ns is None or outage.at_most_ns > rto.ns:
        yield Doubt(
            f"{name}: some windows of {window} had neither a due payment nor a probe, or the run "
            f"was too short, so the RTO of {rto} is undecided; raise the rate or the duration"
        )
        return
    good_since_ns = max(episode.start_ns + outage.at_most_ns, episode.healed_ns)
    if episode.end_ns - good_since_ns < SETTLED_WINDOWS * window.ns:
        yield Doubt(
            f"{name}: watched for only {max(0, episode.end_ns - good_since_ns) / 1e9:.3f} s after "
            f"it was healed and over; it takes {SETTLED_WINDOWS} windows of {window} at least"
        )
