"""Faults that overlap, and the windows after their start in which customers were not served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from payresil.core.registry import is_unfelt
from payresil.core.remedy_record import remedies
from payresil.core.run import Run
from payresil.core.values import Duration, Share

_FAULTS = """
select fault, start_ns, healed_ns from fault_windows where start_ns is not null
"""
_WINDOWS = """
select (due_ns - $1) // $2 as k, count(*), count(*) filter (outcome = 'ok')
from intents where due_ns >= $1 and due_ns < $3 and source in ('load', 'probe')
group by k order by k
"""


@dataclass(frozen=True, slots=True)
class Episode:
    """Faults that overlap, and the time until the next ones begin or customers stop coming.

    A planned interruption, as when payments are moved back to a region, is one like a fault's.
    """

    faults: tuple[str, ...]
    start_ns: int
    healed_ns: int | None
    end_ns: int


@dataclass(frozen=True, slots=True)
class BadWindow:
    """A window with too few of its due payments and probes ok; from and to in run time."""

    start_ns: int
    end_ns: int
    due: int
    ok: int


@dataclass(frozen=True, slots=True)
class Outage:
    """When an episode's last bad window ended, from its start; None: not before its end.

    Windows in which nobody was due say nothing: `sure_ns` counts them as good, `at_most_ns` as
    bad.
    """

    judged: int  # intents and probes that were due
    windows: int
    bad: tuple[BadWindow, ...]
    sure_ns: int | None
    at_most_ns: int | None


def episodes_until(run: Run, end_ns: int) -> list[Episode]:
    """Overlapping faults together, in order; one that was never healed lasts to the end.

    Those that customers need not notice are left out, unless there are no others.
    """
    found: list[Episode] = []
    faults = run.rows(_FAULTS)
    felt = [each for each in faults if not is_unfelt(each[0])]
    interruptions = [*(felt or faults), *_planned(run)]
    for fault, start_ns, healed_ns in sorted(interruptions, key=lambda one: (one[1], one[0])):
        last = found[-1] if found else None
        if last is not None and (last.healed_ns is None or start_ns <= last.healed_ns):
            healed = None if None in (last.healed_ns, healed_ns) else max(last.healed_ns, healed_ns)
            found[-1] = Episode((*last.faults, fault), last.start_ns, healed, end_ns)
            continue
        if last is not None:
            found[-1] = Episode(last.faults, last.start_ns, last.healed_ns, start_ns)
        found.append(Episode((fault,), start_ns, healed_ns, end_ns))
    return found


def _planned(run: Run) -> Iterator[tuple[str, int, int | None]]:
    """Planned remedies, each from where it takes payments away to where it gives them back."""
    for remedy in remedies(run):
        begins = [step.start_ns for step in remedy.steps if step.detail.get("planned")]
        switch = remedy.step("switch")
        if begins:
            yield remedy.id, min(begins), None if switch is None else switch.end_ns


def outage_of(run: Run, episode: Episode, window: Duration, threshold: Share) -> Outage:
    """Windows of the episode; the last one, cut short by its end, only if someone was due in it."""
    rows = run.rows(_WINDOWS, [episode.start_ns, window.ns, episode.end_ns])
    whole = max(0, episode.end_ns - episode.start_ns) // window.ns
    seen = {k for k, _, _ in rows}
    bad = {k: (due, ok) for k, due, ok in rows if ok / due < threshold}
    empty = set(range(whole)) - seen
    total = max(whole, max(seen, default=-1) + 1)
    starts = {k: episode.start_ns + k * window.ns for k in bad}
    return Outage(
        sum(due for _, due, _ in rows),
        len(seen),
        tuple(
            BadWindow(starts[k], min(starts[k] + window.ns, episode.end_ns), *counts)
            for k, counts in bad.items()
        ),
        _after(set(bad), total, window),
        _after(set(bad) | empty, total, window),
    )


def _after(bad: set[int], total: int, window: Duration) -> int | None:
    """When the first window begins that no bad one follows; None when there is no such window."""
    last = max(bad, default=-1)
    return None if last + 1 >= total else (last + 1) * window.ns
