"""How much would be missing from the backups if they were needed now."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.steps import detail_of
from payresil.core.values import Duration

_LAGS = """
select node, at_ns, value from samples where metric = 'archive_lag_seconds'
order by at_ns, node
"""

_FAULTS = """
select fault, start_ns, coalesce(healed_ns, heal_ns),
       (select arg_min(detail, at_ns) from events
        where kind = 'fault' and name = fault and what = 'inject')
from fault_windows where start_ns is not null order by start_ns, fault
"""

#: After its heal an archive may take so long to catch up, before it counts again (ns).
_CATCHING_UP_NS = 5_000_000_000

#: A sample older than this says nothing of the moment at which a fault began (ns).
_STALE_NS = 5_000_000_000

#: Name, start, end (ns; None: never healed), and the text of its parameters.
Fault = tuple[str, int, int | None, str]


@checker(kind="objective", needs=["samples", "events"])
def backup_freshness(run: Run, within: Duration) -> Iterator[Result]:
    """The archive of the write-ahead log is never further behind the primary than this.

    Judged by `archive_lag_seconds`, how long ago the archive last held all that the primary had
    written, sampled once a second. While the archive itself, or a link to it, is faulted, and for
    5 s after, it may be behind: `archive_lag_faulted` says how far. `archive_lag.…` is how far
    it was behind when each fault began, which is what a restore would have lost then.
    """
    samples = run.rows(_LAGS)
    yield Measure("samples_judged", len(samples))
    if not samples:
        yield Doubt("no sample says how far the archive was behind: is there an archive at all?")
        return
    faults = [(*row[:3], row[3] or "") for row in run.rows(_FAULTS)]
    nodes = {node for node, *_ in samples}
    own = [fault for fault in faults if any(_names(fault[3], node) for node in nodes)]
    counted = [sample for sample in samples if not any(_during(sample[1], f) for f in own)]
    excused = [sample for sample in samples if any(_during(sample[1], f) for f in own)]
    worst = max((value for *_, value in counted), default=None)
    yield Measure("archive_lag", worst, "s", objective=f"at most {within}")
    if excused:
        yield Measure("archive_lag_faulted", max(value for *_, value in excused), "s")
    yield from _when_faults_began(samples, faults)
    if not counted:
        yield Doubt("the archive itself was faulted whenever it was looked at")
    yield from _late(counted, within)


def _when_faults_began(
    samples: list[tuple[str, int, float]], faults: list[Fault]
) -> Iterator[Result]:
    for fault, start_ns, *_ in faults:
        before = [x for x in samples if start_ns - _STALE_NS <= x[1] <= start_ns]
        yield Measure(f"archive_lag.{fault}", before[-1][2] if before else None, "s")
        if not before:
            yield Doubt(f"{fault}: no sample of the archive in the 5 s before it began")


def _late(counted: list[tuple[str, int, float]], within: Duration) -> Iterator[Finding]:
    late = [(node, at_ns, value) for node, at_ns, value in counted if value > float(within)]
    if late:
        node, at_ns, value = late[0]
        yield Finding(
            f"{node} was {value:.3f} s behind at {at_ns / 1e9:.3f} s of run time, not within "
            f"{within}; so in {len(late):,} of {len(counted):,} samples"
        )


def _names(parameters: str, node: str) -> bool:
    """Whether a parameter of a fault selects a node, a link to it, or all of its role."""
    place, _, role = node.partition("/")
    ends = {node, role, place}
    values = detail_of(parameters).values()
    texts = [each for x in values for each in (x if isinstance(x, list) else [x])]
    return any(end in ends for text in texts if isinstance(text, str) for end in text.split("->"))


def _during(at_ns: int, fault: Fault) -> bool:
    _, start_ns, end_ns, _ = fault
    return at_ns >= start_ns and (end_ns is None or at_ns < end_ns + _CATCHING_UP_NS)
