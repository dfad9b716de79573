"""Whether a fault of nodes bit, told from the events and from what others noticed."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.protocols import Window
from payresil.core.results import Doubt, Measure, Result
from payresil.core.run import Run
from payresil.core.topology import Node
from payresil.faults.evidence import end_of, failed_or_slow, parameters


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
    state: dict[str, bool] = {}
    rows = run.rows(
        "select at_ns, name, what from events where kind = 'node' and what in (?, ?) "
        "and at_ns <= ? order by at_ns",
        [begins, ends, end_of(window)],
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
    silent = run.one(
        "select count(*) from samples where metric = 'up' and value = 0 and at_ns between ? and ? "
        "and list_contains(?::varchar[], node) and node in ("
        "  select node from samples where metric = 'up' and value = 1 and at_ns < ?)",
        [window.start_ns, end_of(window), sorted(nodes), window.start_ns],
    )
    return int(silent)
