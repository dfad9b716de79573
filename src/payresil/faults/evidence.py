"""Whether a fault bit, told from the tables of the run; shared by the faults of this folder.

What the customers saw while a fault was active is held against the steady phase. Attempts of
customers and prober count; health checks and the harness's own audit do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from payresil.core.intervals import wilson
from payresil.core.protocols import Window
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

#: Attempts under way while the fault was active, and of the steady phase before any fault.
_ATTEMPTS = """
with seen as (select *, done_ns - sent_ns as took_ns from attempts
              where source in ('load', 'probe') and sent_ns is not null and done_ns is not null),
     first_fault as (select min(start_ns) as at_ns from fault_windows),
     steady as (select * from seen, first_fault where sent_ns >= 0 and done_ns <= at_ns),
     during as (select * from seen where done_ns >= $start and sent_ns <= $stop)
"""


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
    """The share of attempts to which something applies, while a fault was active and before."""

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


def failed_or_slow(run: Run, window: Window) -> Iterator[Result]:
    """Attempts that failed or took longer than any usual one, or that others had to answer.

    The last is what is left to see where the target of a fault was replaced without a hitch.
    """
    slow_ns = _ask(run, window, "coalesce(quantile_cont(took_ns, 0.99), 0)", "steady")
    condition = f"outcome <> 'ok' or took_ns > {int(2 * slow_ns) + _SLOWER_NS}"
    noticed = _compare(run, window, condition)
    yield from _measures(noticed, "attempts_failed_or_slow")
    answered = _answered_by_target(run, window)
    if answered is not None:
        yield from _measures(answered, "attempts_answered_by_target")
    if answered is None or not answered.fewer:
        yield from _doubts(window, noticed, "failed or were slow")


def delayed(run: Run, window: Window, delay_ns: int) -> Iterator[Result]:
    """Attempts that took `delay_ns` longer than is usual; doubted if as many did before."""
    usual_ns = _ask(run, window, "coalesce(median(took_ns), 0)", "steady")
    noticed = _compare(run, window, f"took_ns >= {int(usual_ns) + delay_ns}")
    yield from _measures(noticed, "attempts_delayed")
    yield Measure("usual_duration", usual_ns / 1e9, "s")
    yield from _doubts(window, noticed, f"took {delay_ns / 1e6:g} ms longer than usual")


def _measures(compared: Comparison, name: str) -> Iterator[Measure]:
    during = compared.during
    low, high = during.interval
    yield Measure(name, during.hit)
    yield Measure(f"{name}_share", during.hit / during.of if during.of else None, "", low, high)
    yield Measure(f"{name}_steady", compared.steady.hit)


def _doubts(window: Window, compared: Comparison, words: str) -> Iterator[Doubt]:
    during, steady = compared.during, compared.steady
    if during.of == 0:
        yield Doubt(f"nobody asked for anything while {window.fault} was active")
    elif steady.of == 0:
        yield Doubt(f"nothing to compare with: no attempt ended before {window.fault}; start later")
    elif not compared.more:
        yield Doubt(
            f"{window.fault} left no trace: {during.hit} of {during.of} attempts {words} while it "
            f"was active, {steady.hit} of {steady.of} in the steady phase"
        )


def _compare(run: Run, window: Window, condition: str, among: str = "true") -> Comparison:
    select = f"count(*) filter (({condition}) and {among}), count(*) filter ({among})"
    during, steady = (_row(run, window, select, phase) for phase in ("during", "steady"))
    return Comparison(Share(*during), Share(*steady))


def _answered_by_target(run: Run, window: Window) -> Comparison | None:
    """Of the attempts that say who answered them, those that the fault's target did."""
    target = _target(parameters(run, window))
    if target is None:
        return None
    names = [name for (name,) in run.rows("select distinct instance from attempts") if name]
    found = [name for name in names if _is_named(name, target)]
    if not found:
        return None
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in found)
    return _compare(run, window, f"instance in ({listed})", among="instance is not null")


def _target(injected: Mapping[str, Any]) -> Node | None:
    """The node that the fault made hard to reach, where it has one."""
    if injected.get("link") is not None:
        return Link.parse(str(injected["link"])).target
    return Node.parse(str(injected["node"])) if injected.get("node") is not None else None


def _is_named(name: str, selector: Node) -> bool:
    """Whether an instance goes by the name of a node that `selector` means."""
    try:
        return selector.matches(Node.parse(name))
    except SelectorError:  # a service may call its instances what it likes
        return False


def _ask(run: Run, window: Window, select: str, phase: str) -> Any:
    return _row(run, window, select, phase)[0]


def _row(run: Run, window: Window, select: str, phase: str) -> tuple[Any, ...]:
    end_ns = window.end_ns if window.end_ns is not None else _NEVER_NS
    row = run.sql.execute(
        f"{_ATTEMPTS} select {select} from {phase}", {"start": window.start_ns, "stop": end_ns}
    ).fetchone()
    return row or (None,)


def psp_touched(run: Run, window: Window, point: str, name: str) -> Iterator[Result]:
    """Requests that the PSP's rule touched at `point`. The rule's id is the fault's."""
    touched, intents, answered = run.rows(
        "select count(*), count(distinct reference), count(answered_ns) from psp_attempts "
        "where rule = ? and point = ?",
        [window.fault, point],
    )[0]
    yield Measure(name, touched)
    yield Measure("intents_touched", intents)
    yield Measure("touched_requests_answered", answered)
    if touched == 0:
        yield Doubt(f"{window.fault} matched no request at the PSP: {_asked_instead(run, window)}")


def _asked_instead(run: Run, window: Window) -> str:
    end_ns = window.end_ns if window.end_ns is not None else _NEVER_NS
    calls = run.rows(
        "select endpoint, count(*) from psp_attempts where received_ns between ? and ? "
        "group by endpoint order by count(*) desc limit 5",
        [window.start_ns, end_ns],
    )
    if not calls:
        return "it was asked for nothing while the fault was active"
    said = ", ".join(f"{endpoint} {count} times" for endpoint, count in calls)
    chosen = parameters(run, window).get("endpoint", "any endpoint")
    return f"the rule is for {chosen}, and it was asked for {said}"


def nodes_held(run: Run, window: Window, begins: str, ends: str) -> Iterator[Result]:
    """Nodes of the fault's selector that were down, or paused, while it was active.

    That alone is no bite: a stop so short that nobody noticed puts nothing to the test. Customers
    must have noticed, or others must have answered for the node, or it must not have answered the
    harness when that asked for its metrics.
    """
    held = _held(run, window, begins, ends)
    yield Measure(f"nodes_{begins}", len(held))
    if not held:
        yield Doubt(f"no node was {begins} by {window.fault}")
    silent = _silent_scrapes(run, window, held)
    yield Measure("scrapes_unanswered", silent)
    for result in failed_or_slow(run, window):
        if isinstance(result, Measure) or (held and not silent):
            yield result


def _held(run: Run, window: Window, begins: str, ends: str) -> set[str]:
    """The nodes that the events table shows to have been held within the window."""
    selector = Node.parse(str(parameters(run, window).get("node", "")))
    end_ns = window.end_ns if window.end_ns is not None else _NEVER_NS
    state: dict[str, bool] = {}
    rows = run.rows(
        "select at_ns, name, what from events where kind = 'node' and what in (?, ?) "
        "and at_ns <= ? order by at_ns",
        [begins, ends, end_ns],
    )
    held = set()
    for at_ns, name, what in rows:
        if not selector.matches(Node.parse(name)):
            continue
        if state.get(name) and at_ns >= window.start_ns:
            held.add(name)  # it was held when the fault began, by another one
        state[name] = what == begins
        if state[name] and at_ns >= window.start_ns:
            held.add(name)
    held |= {name for name, is_held in state.items() if is_held}
    return held


def _silent_scrapes(run: Run, window: Window, nodes: set[str]) -> int:
    """How often one of these nodes, which had answered before, did not give its metrics."""
    end_ns = window.end_ns if window.end_ns is not None else _NEVER_NS
    silent = run.one(
        "select count(*) from samples where metric = 'up' and value = 0 and at_ns between ? and ? "
        "and list_contains(?::varchar[], node) and node in ("
        "  select node from samples where metric = 'up' and value = 1 and at_ns < ?)",
        [window.start_ns, end_ns, sorted(nodes), window.start_ns],
    )
    return int(silent)
