"""Whether a fault bit, told from the tables of the run; shared by the faults of this folder.

What was seen while a fault was active is held against the steady phase. Attempts of customers and
prober count; health checks and the harness's own audit do not. Over the links of webhooks, which
customers do not wait for, the PSP's deliveries count instead.

A fault is shown by its own effect: what was under way while another one was active, or shortly
after that had healed, shows nothing. Only faults of deliveries and faults of attempts do not
disturb each other, for what they did is in tables of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from payresil.core.interruptions import noticed
from payresil.core.intervals import wilson
from payresil.core.protocols import Window
from payresil.core.registry import is_unfelt
from payresil.core.results import Doubt, Measure, Result
from payresil.core.run import Run
from payresil.core.steps import detail_of
from payresil.core.topology import Link, Node, SelectorError
from payresil.core.values import Duration

#: An attempt is slow when it took longer than all but the slowest of the steady phase, and this
#: much longer at least: the difference between two quick answers is noise.
_SLOWER_NS = 100_000_000

#: The end of a window that never ended.
_NEVER_NS = 2**62

#: For so long after it has healed a fault is still felt: what waited is tried again.
AFTERMATH = Duration(2.0)

#: What was under way while the fault was active, at all and in the time of no other fault, and what
#: ended before any fault.
_PHASES = """
with seen as ({seen}),
     first_fault as (select min(start_ns) as at_ns from fault_windows
                     where not list_contains($unfelt, fault)),
     steady as (select * from seen, first_fault where sent_ns >= 0 and done_ns <= at_ns),
     meanwhile as (select * from seen where done_ns >= $start and sent_ns <= $stop),
     during as (select * from meanwhile where {apart})
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What shows whether a fault bit, and the words for it."""

    name: str
    one: str
    nothing: str
    rows: str  # SQL: sent_ns, done_ns, took_ns, failed, instance


ATTEMPTS = Seen(
    "attempts",
    "attempt",
    "nobody asked for anything",
    "select sent_ns, done_ns, done_ns - sent_ns as took_ns, outcome <> 'ok' as failed, instance "
    "from attempts where source in ('load', 'probe') "
    "and sent_ns is not null and done_ns is not null",
)
DELIVERIES = Seen(
    "deliveries",
    "delivery",
    "the PSP told nobody of anything",
    "select at_ns as sent_ns, answered_ns as done_ns, answered_ns - at_ns as took_ns, "
    "delivered is not true as failed, null::varchar as instance "
    "from psp_events where attempt > 0 and at_ns is not null and answered_ns is not null",
)


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many attempts."""

    hit: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        return wilson(self.hit, self.of)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The share of what was seen that something applies to, while a fault was active and before."""

    during: Share
    steady: Share

    @property
    def more(self) -> bool:
        """Whether it applies to more of them since, beyond doubt."""
        return self.during.interval[0] > self.steady.interval[1]

    @property
    def fewer(self) -> bool:
        """Whether it applies to fewer of them since, beyond doubt."""
        return self.during.interval[1] < self.steady.interval[0]


def parameters(run: Run, window: Window) -> Mapping[str, Any]:
    """What the fault was injected with, as the events table has it: JSON."""
    detail = run.one(
        "select detail from events where kind = 'fault' and what = 'inject' and name = ?",
        [window.fault],
    )
    return detail_of(detail)


def duration_ns(recorded: Any) -> int:
    """A duration as the events table may have it: a number of seconds, or with its unit."""
    return (Duration.parse(recorded) if isinstance(recorded, str) else Duration(recorded)).ns


def end_of(window: Window) -> int:
    """When the fault was healed; after everything else where it never was."""
    return window.end_ns if window.end_ns is not None else _NEVER_NS


def seen_over(links: str | Sequence[str] | None) -> tuple[Seen, ...]:
    """What passes these links, of which there may be several of both kinds.

    A fault of no link, as of a node or of the PSP, is seen in attempts.
    """
    selectors = [links] if isinstance(links, str) else links or []
    of_webhooks = {Link.parse(selector).source.role == "psp" for selector in selectors}
    if of_webhooks == {True, False}:
        return ATTEMPTS, DELIVERIES
    return (DELIVERIES,) if of_webhooks == {True} else (ATTEMPTS,)


def failed_or_slow(
    run: Run, window: Window, *, deliveries_become_slow: bool = True
) -> Iterator[Result]:
    """What failed or took longer than is usual, or was answered by others.

    The last is what is left to see where the target of a fault was replaced without a hitch. Of
    deliveries, which nobody tries again unseen, only those that failed show a fault that makes none
    slow: slow ones are another fault's.
    """
    doubts = []
    for seen in _seen(run, window):
        condition, words = "failed", "failed"
        if deliveries_become_slow or seen is not DELIVERIES:
            slow_ns = _ask(run, window, seen, "coalesce(quantile_cont(took_ns, 0.99), 0)", "steady")
            condition = f"failed or took_ns > {int(2 * slow_ns) + _SLOWER_NS}"
            words = "failed or were slow"
        noticed = _compare(run, window, seen, condition)
        yield from _measures(noticed, f"{seen.name}_{words.replace(' or were ', '_or_')}")
        doubts.append(_doubt(run, window, seen, noticed, words))
    answered = _answered_by_target(run, window)
    if answered is not None:
        yield from _measures(answered, "attempts_answered_by_target")
    if answered is None or not answered.fewer:
        yield from _unless_any_bit(doubts)


def delayed(run: Run, window: Window, delay_ns: int) -> Iterator[Result]:
    """What took `delay_ns` longer than the quick ones of before; doubted if as much did before.

    The quick ones, a tenth of all: what was delayed would else have been quick as often as not.
    """
    doubts = []
    for seen in _seen(run, window):
        quick_ns = _ask(run, window, seen, "coalesce(quantile_cont(took_ns, 0.1), 0)", "steady")
        noticed = _compare(run, window, seen, f"took_ns >= {int(quick_ns) + delay_ns}")
        yield from _measures(noticed, f"{seen.name}_delayed")
        yield Measure(f"{seen.name}_quick_duration", quick_ns / 1e9, "s")
        words = f"took {delay_ns / 1e6:g} ms longer than the quick ones of before"
        doubts.append(_doubt(run, window, seen, noticed, words))
    yield from _unless_any_bit(doubts)


def _seen(run: Run, window: Window) -> tuple[Seen, ...]:
    return seen_over(parameters(run, window).get("link"))


def _others(run: Run, window: Window, seen: Seen) -> dict[str, tuple[int, int]]:
    """When other faults were felt by what is seen, by their names."""
    rows = run.rows(
        "select f.fault, f.start_ns, f.healed_ns, e.detail from fault_windows f "
        "join events e on e.kind = 'fault' and e.what = 'inject' and e.name = f.fault "
        "where f.fault <> ? order by f.start_ns, f.fault",
        [window.fault],
    )
    return {
        fault: (start_ns, _NEVER_NS if healed_ns is None else healed_ns + AFTERMATH.ns)
        for fault, start_ns, healed_ns, detail in rows
        if not is_unfelt(fault) and seen in seen_over(detail_of(detail).get("link"))
    }


def _overlapping(run: Run, window: Window, seen: Seen) -> list[str]:
    """The other faults that were felt while this one was active."""
    return [
        fault
        for fault, (start_ns, stop_ns) in _others(run, window, seen).items()
        if start_ns <= end_of(window) and stop_ns >= window.start_ns
    ]


def _unless_any_bit(doubts: Sequence[Doubt | None]) -> Iterator[Doubt]:
    """A fault bit if anything that passed its links shows it."""
    if all(doubts):
        yield from filter(None, doubts)


def _measures(compared: Comparison, name: str) -> Iterator[Measure]:
    during = compared.during
    low, high = during.interval
    yield Measure(name, during.hit)
    yield Measure(f"{name}_share", during.hit / during.of if during.of else None, "", low, high)
    yield Measure(f"{name}_steady", compared.steady.hit)


def _doubt(run: Run, window: Window, seen: Seen, compared: Comparison, words: str) -> Doubt | None:
    during, steady = compared.during, compared.steady
    others = _overlapping(run, window, seen)
    if during.of == 0 and others and _ask(run, window, seen, "count(*)", "meanwhile"):
        return Doubt(
            f"{window.fault} cannot be told from {', '.join(others)}: whatever was tried while it "
            f"was active was under way in their time too, or within {AFTERMATH} after it"
        )
    if during.of == 0:
        return Doubt(f"{seen.nothing} while {window.fault} was active")
    if steady.of == 0:
        return Doubt(
            f"nothing to compare with: no {seen.one} ended before {window.fault}; start later"
        )
    if not compared.more:
        return Doubt(
            f"{window.fault} left no trace: {during.hit} of {during.of} {seen.name} {words} while "
            f"it {'alone ' if others else ''}was active, {steady.hit} of {steady.of} in the steady "
            "phase"
        )
    return None


def _compare(
    run: Run, window: Window, seen: Seen, condition: str, among: str = "true"
) -> Comparison:
    select = f"count(*) filter (({condition}) and {among}), count(*) filter ({among})"
    during, steady = (_row(run, window, seen, select, phase) for phase in ("during", "steady"))
    return Comparison(Share(*during), Share(*steady))


def _answered_by_target(run: Run, window: Window) -> Comparison | None:
    """Of the attempts that say who answered them, those that the fault's target did."""
    is_target = _target(parameters(run, window))
    if is_target is None:
        return None
    names = [name for (name,) in run.rows("select distinct instance from attempts") if name]
    found = [name for name in names if is_target(name)]
    if not found:
        return None
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in found)
    condition = f"instance in ({listed})"
    return _compare(run, window, ATTEMPTS, condition, among="instance is not null")


def _target(injected: Mapping[str, Any]) -> Callable[[str], bool] | None:
    """Whether an instance is what the fault made hard to reach: a node, or a whole region."""
    if injected.get("region") is not None:
        return lambda name: _node(name, lambda node: node.region == injected["region"])
    if isinstance(injected.get("link"), str):
        target = Link.parse(injected["link"]).target
    elif injected.get("node") is not None:
        target = Node.parse(str(injected["node"]))
    else:
        return None
    return lambda name: _node(name, target.matches)


def _node(name: str, holds: Callable[[Node], bool]) -> bool:
    """Whether something holds of the node of this name."""
    try:
        return holds(Node.parse(name))
    except SelectorError:  # a service may call its instances what it likes
        return False


def _ask(run: Run, window: Window, seen: Seen, select: str, phase: str) -> Any:
    return _row(run, window, seen, select, phase)[0]


def _row(run: Run, window: Window, seen: Seen, select: str, phase: str) -> tuple[Any, ...]:
    spans = _others(run, window, seen).values()
    apart = " and ".join(f"not (done_ns >= {start} and sent_ns <= {stop})" for start, stop in spans)
    row = run.sql.execute(
        f"{_PHASES.format(seen=seen.rows, apart=apart or 'true')} select {select} from {phase}",
        {"start": window.start_ns, "stop": end_of(window), "unfelt": _unfelt(run, window)},
    ).fetchone()
    return row or (None,)


def _unfelt(run: Run, window: Window) -> list[str]:
    """The other faults that customers did not notice: the steady phase goes on meanwhile."""
    names = [name for (name,) in run.rows("select fault from fault_windows")]
    unfelt = [name for name in names if name != window.fault and is_unfelt(name)]
    return sorted(set(unfelt) - noticed(run)) if unfelt else []
