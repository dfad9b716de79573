"""Whether a fault of replication bit, told from what the databases said of their standbys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from payresil.core.protocols import Window
from payresil.core.results import Doubt, Measure, Result
from payresil.core.run import Run
from payresil.core.topology import Node
from payresil.faults.evidence import end_of

#: A standby is a moment behind at any time; this much more than before the fault is its effect.
_FURTHER_S = 0.5

_LAST = """
select coalesce(max(value) filter (metric = $metric and at_ns < $start), -1),
       coalesce(max(value) filter (metric = $metric and at_ns between $start and $stop), -1),
       coalesce(min(value) filter (metric = $connected and at_ns < $start), -1),
       coalesce(min(value) filter (metric = $connected and at_ns between $start and $stop), -1)
from samples where node = $node
"""

#: How often the databases were looked at while the fault was active. One that ended says nothing.
_UNSEEN = """
select count(distinct at_ns) filter (metric = 'database_is_primary')
       - count(distinct at_ns) filter (metric = $connected and node = $node)
from samples where at_ns between $start and $stop
"""


_HAS_SAMPLES = "select count(*) from samples where node = ? and metric = 'replication_lag_seconds'"


def standbys_named(run: Run, selector: str) -> list[str]:
    """The names of the standbys that a selector means; of several nodes, those that ever were one.

    Where it means none of the run's nodes, it stands for itself.
    """
    names = [str(name) for name in run.meta.get("nodes", ())]
    wanted = Node.parse(selector)
    found = [selector] if selector in names else []
    found = found or [name for name in names if wanted.matches(Node.parse(name))]
    standbys = [name for name in found if run.one(_HAS_SAMPLES, [name])]
    return standbys or found or [selector]


def fell_behind(
    run: Run, window: Window, nodes: Sequence[str], what: str = "replication"
) -> Iterator[Result]:
    """Each of these nodes was gone, cut off, or further behind while the fault was active.

    `what` is the kind of samples: ``replication`` of a standby, ``archive`` of the archive.
    """
    unmoved = []
    for node in nodes:
        span = {"start": window.start_ns, "stop": end_of(window), "node": node}
        before_s, during_s, connected, still_connected = run.sql.execute(
            _LAST, {**span, "metric": f"{what}_lag_seconds", "connected": f"{what}_connected"}
        ).fetchone() or (-1, -1, -1, -1)
        ((unseen,),) = run.sql.execute(
            _UNSEEN, {**span, "connected": f"{what}_connected"}
        ).fetchall()
        yield Measure(f"{what}_looks_unanswered_{node}", max(0, unseen))
        yield Measure(f"{what}_lag_most_{node}", max(0.0, during_s), "s")
        yield Measure(f"{what}_lag_before_{node}", max(0.0, before_s), "s")
        was_cut = connected == 1 and still_connected == 0
        was_gone = connected == 1 and still_connected == -1 and unseen > 0
        if not (was_cut or was_gone) and during_s <= max(0.0, before_s) + _FURTHER_S:
            unmoved.append(node)
    if not nodes:
        yield Doubt(f"{window.fault} was of no node")
    if unmoved:
        yield Doubt(
            f"{window.fault} left no trace: {', '.join(unmoved)} stayed connected and was not "
            f"further behind than before"
        )
