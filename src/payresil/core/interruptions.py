"""What customers had to notice, faults and planned remedies, and what they noticed all the same.

A fault that customers need not notice, as that of a standby, is one that they were shown to notice
where they were not served while it was active and no other fault explains it.

And which of the faults a remedy answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from payresil.core.registry import is_unfelt
from payresil.core.remedy_record import Remedy, remedies
from payresil.core.run import Run
from payresil.core.values import Duration, Share

#: The end of what never ended (ns).
NEVER_NS = 2**62

#: How long a window of payments is in which it is judged whether customers were served, and which
#: share of them must be, where nobody says otherwise.
WINDOW = Duration(1.0)
THRESHOLD = Share(0.99)

#: A watch counts from when it asked, and a fault may begin while it waits for the answer (ns).
_ASKING_NS = 250_000_000

#: Windows of payments and probes that are due from `$1` on, each `$2` long, before `$3`. What was
#: still unanswered at `$4`, when something else began, is left out: it says as much of that.
_WINDOWS = f"""
select (due_ns - $1) // $2 as k, count(*), count(*) filter (outcome = 'ok')
from intents
where due_ns >= $1 and due_ns < $3 and coalesce(last_ns, {NEVER_NS - 1}) < $4
  and source in ('load', 'probe')
group by k order by k
"""

_FAULTS = """
select fault, start_ns, healed_ns from fault_windows where start_ns is not null
order by start_ns, fault
"""

#: Number, due, ok.
WindowCount = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Interruption:
    """A fault, or a remedy that takes payments away as planned.

    `is_unfelt`: one that customers need not notice.
    """

    name: str
    start_ns: int
    healed_ns: int | None
    is_unfelt: bool = False


def windows(
    run: Run, start_ns: int, end_ns: int, window: Duration, *, answered_by_ns: int = NEVER_NS
) -> list[WindowCount]:
    """Due payments and probes by window from `start_ns` on; those in which nobody was are left out.

    What was not answered by `answered_by_ns` is left out as well.
    """
    return run.rows(_WINDOWS, [start_ns, window.ns, end_ns, answered_by_ns])


def interruptions(run: Run, window: Duration, threshold: Share) -> list[Interruption]:
    """All of a run, oldest first; of those that need not be noticed, the ones that were.

    Where customers were to notice nothing, and did not, the faults are what there is to judge.
    """
    faults = _faults(run)
    felt = [each for each in faults if not each.is_unfelt] + list(_planned(run))
    seen = noticed(run, window, threshold)
    found = [*felt, *(each for each in faults if each.name in seen)]
    found = found or [Interruption(x.name, x.start_ns, x.healed_ns) for x in faults]
    return sorted(found, key=lambda each: (each.start_ns, each.name))


def noticed(run: Run, window: Duration = WINDOW, threshold: Share = THRESHOLD) -> set[str]:
    """Faults that customers need not notice and that left them unserved all the same.

    Some window that began while the fault was active has too few of its payments ok. It ends with
    the next fault, to which what comes then is put down. One that begins while customers are not
    served anyway, as during another fault, is none.
    """
    faults = _faults(run)
    unfelt = [each for each in faults if each.is_unfelt]
    others = [*faults, *_planned(run)] if unfelt else []
    return {each.name for each in unfelt if _is_noticed(run, each, others, window, threshold)}


def answered_fault(run: Run, remedy: Remedy) -> tuple[str, int] | None:
    """The fault that a remedy answered, and its start (ns).

    Of those that had not been healed before the remedy began, the last one that had begun when its
    watch first found something unwell, or else the first one that had when it was sure of it. One
    that customers need not notice, and did not, is answered only where there is no other. None
    where there was none, as before a planned failback.
    """
    faults = [
        each
        for each in _faults(run)
        if each.start_ns <= remedy.known_ns and _end(each) >= remedy.start_ns
    ]
    unfelt = {each.name for each in faults if each.is_unfelt}
    seen = noticed(run) if unfelt else set()
    active = [each for each in faults if each.name not in unfelt - seen] or faults
    before = [each for each in active if each.start_ns <= remedy.unwell_ns + _ASKING_NS]
    answered = before[-1] if before else next(iter(active), None)
    return None if answered is None else (answered.name, answered.start_ns)


def _is_noticed(
    run: Run,
    fault: Interruption,
    others: Sequence[Interruption],
    window: Duration,
    threshold: Share,
) -> bool:
    if any(each.start_ns <= fault.start_ns <= _end(each) for each in others if not each.is_unfelt):
        return False
    later_ns = [each.start_ns for each in others if each.start_ns > fault.start_ns]
    next_ns = min(later_ns, default=NEVER_NS)
    active_ns = min(_end(fault), next_ns) - fault.start_ns
    begun = -(-active_ns // window.ns)
    end_ns = min(next_ns, fault.start_ns + begun * window.ns)
    before_ns = fault.start_ns - window.ns
    before = windows(run, before_ns, fault.start_ns, window, answered_by_ns=fault.start_ns)
    if any(ok / due < threshold for _, due, ok in before):
        return False
    rows = windows(run, fault.start_ns, end_ns, window, answered_by_ns=next_ns)
    return any(ok / due < threshold for _, due, ok in rows)


def _end(each: Interruption) -> int:
    return NEVER_NS if each.healed_ns is None else each.healed_ns


def _faults(run: Run) -> list[Interruption]:
    return [
        Interruption(fault, start_ns, healed_ns, is_unfelt(fault))
        for fault, start_ns, healed_ns in run.rows(_FAULTS)
    ]


def _planned(run: Run) -> Iterator[Interruption]:
    """Planned remedies, each from where it takes payments away to where it gives them back."""
    for remedy in remedies(run):
        begins = [step.start_ns for step in remedy.steps if step.detail.get("planned")]
        switch = remedy.step("switch")
        if begins:
            end_ns = None if switch is None else switch.end_ns
            yield Interruption(remedy.id, min(begins), end_ns)
