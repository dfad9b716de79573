"""Faults that overlap, and the windows after their start in which customers were not served."""

from __future__ import annotations

from dataclasses import dataclass

from payresil.core.interruptions import NEVER_NS, Interruption, interruptions, windows
from payresil.core.run import Run
from payresil.core.values import Duration, Share


@dataclass(frozen=True, slots=True)
class Episode:
    """Faults that overlap, and the time until the next ones begin or customers stop coming.

    A planned interruption, as when payments are moved back to a region, is one like a fault's.
    `is_followed`: it ends since the next one begins.
    """

    faults: tuple[str, ...]
    start_ns: int
    healed_ns: int | None
    end_ns: int
    is_followed: bool = False

    @property
    def answered_by_ns(self) -> int:
        """What was unanswered then is left out: the next episode's fault may have spoilt it."""
        return self.end_ns if self.is_followed else NEVER_NS


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


def episodes_until(run: Run, end_ns: int, window: Duration, threshold: Share) -> list[Episode]:
    """Overlapping faults together, in order; one that was never healed lasts to the end.

    Those that customers need not notice are left out, unless there are no others. One that they
    noticed all the same, by windows with less than `threshold` ok, is an episode of its own.
    """
    found: list[Episode] = []
    own = False
    for each in interruptions(run, window, threshold):
        last = found[-1] if found else None
        if last is not None and not (own or each.is_unfelt) and _overlap(last, each):
            healed = (
                None
                if last.healed_ns is None or each.healed_ns is None
                else max(last.healed_ns, each.healed_ns)
            )
            found[-1] = Episode((*last.faults, each.name), last.start_ns, healed, end_ns)
            continue
        if last is not None:
            found[-1] = Episode(last.faults, last.start_ns, last.healed_ns, each.start_ns, True)
        found.append(Episode((each.name,), each.start_ns, each.healed_ns, end_ns))
        own = each.is_unfelt
    return found


def _overlap(last: Episode, each: Interruption) -> bool:
    return last.healed_ns is None or each.start_ns <= last.healed_ns


def outage_of(run: Run, episode: Episode, window: Duration, threshold: Share) -> Outage:
    """Windows of the episode; the last one, cut short by its end, only if someone was due in it."""
    rows = windows(
        run, episode.start_ns, episode.end_ns, window, answered_by_ns=episode.answered_by_ns
    )
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
