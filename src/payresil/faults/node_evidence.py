"""Whether a fault of nodes bit, told from the events and from what others noticed."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.protocols import Window
from payresil.core.results import Doubt, Measure, Result
from payresil.core.run import Run
from payresil.core.topology import Node
from payresil.faults.evidence import end_of, failed_or_slow, parameters


def nodes_held(run: Run, window: Window, begins: str, ends: str) -> Iterator[Result]:
    """Nodes of the fault's selector that it brought down, or paused: those it found so are not its.

    That alone is no bite: a stop so short that nobody noticed puts nothing to the test. Customers
    must have noticed, or others must have answered for the node. How often it did not answer the
    harness when that asked for its metrics is counted, and shows nothing by itself.
    """
    held = _held(run, window, begins, ends)
    yield Measure(f"nodes_{begins}", len(held))
    if not held:
        yield Doubt(f"no node was {begins} by {window.fault}")
    yield Measure("scrapes_unanswered", _silent_scrapes(run, window, held))
    for result in failed_or_slow(run, window):
        if isinstance(result, Measure) or held:
            yield result


def _held(run: Run, window: Window, begins: str, ends: str) -> set[str]:
    """The nodes that the events table shows to have gone from well to held as it was injected."""
    selector = Node.parse(str(parameters(run, window).get("node", "")))
    was_held: dict[str, bool] = {}
    rows = run.rows(
        "select e.at_ns, e.name, e.what from events e, fault_windows f where e.kind = 'node' "
        "and e.what in (?, ?, 'started') and f.fault = ? and e.at_ns <= f.injected_ns "
        "order by e.at_ns",
        [begins, ends, window.fault],
    )
    held = set()
    for at_ns, name, what in rows:
        if not selector.matches(Node.parse(name)):
            continue
        if what == begins and not was_held.get(name) and at_ns >= window.start_ns:
            held.add(name)
        was_held[name] = what == begins
    return held


def _silent_scrapes(run: Run, window: Window, nodes: set[str]) -> int:
    """How often one of these nodes, which had answered before, did not give its metrics."""
    silent = run.one(
        "select count(*) from samples where metric = 'up' and value = 0 and at_ns between ? and ? "
        "and list_contains(?::varchar[], node) and node in ("
        "  select node from samples where metric = 'up' and value = 1 and at_ns < ?)",
        [window.start_ns, end_of(window), sorted(nodes), window.start_ns],
    )
    return int(silent)
