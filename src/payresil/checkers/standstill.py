"""When the harness itself stood still: moments in which a sender did nothing, with somebody due.

The machine stalled, or the process that sends did. Customers who wait for one of their number to be
free are none of this: others are sent and answered meanwhile, or as many as there may be wait for
the system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from payresil.checkers.lateness import LATENESS
from payresil.core.run import Run
from payresil.core.traffic import MOST_CUSTOMERS

#: From when an attempt was due that was sent late, to the next thing that its sender did: it sent
#: another one, or took note of an answer. One that still had to wait then was held up by others,
#: and so was one that found as many under way as there may be.
_STILL = """
with steps as (
  select source, at_ns, sum(step) as step from (
    select source, sent_ns as at_ns, 1 as step from attempts where source <> 'audit'
    union all
    select source, done_ns, -1 from attempts where source <> 'audit'
  ) group by source, at_ns
), crowds as (
  select source, at_ns, sum(step) over (partition by source order by at_ns) as crowd from steps
), signs as (
  select source, unnest([sent_ns, done_ns]) as at_ns from attempts where source <> 'audit'
), late as (
  select source, due_ns, sent_ns from attempts
  where source <> 'audit' and sent_ns - due_ns > $late and sent_ns > $since
)
select late.source, due_ns, signs.at_ns
from late
asof join signs on late.source = signs.source and late.due_ns < signs.at_ns
asof left join crowds on late.source = crowds.source and late.due_ns >= crowds.at_ns
where signs.at_ns - due_ns > $late and signs.at_ns - due_ns >= (sent_ns - due_ns) / 2
  and coalesce(crowd, 0) < $most
order by due_ns
"""

#: From and to, in nanoseconds of run time.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Standstills:
    """By sender (load, probe), the stretches in which it stood still, apart from each other."""

    spans: Mapping[str, tuple[Span, ...]]
    upset: Mapping[str, tuple[Span, ...]]  # the same, each with as long again to catch up

    def between(self, start_ns: int, end_ns: int) -> int:
        """For how many nanoseconds of a stretch one sender or the other stood still."""
        return _overlap(_apart(chain.from_iterable(self.spans.values())), start_ns, end_ns)

    def spoilt(self, source: str, start_ns: int, end_ns: int) -> bool:
        """Whether the fate of a payment in a stretch says more of its sender than of the system.

        It does when for half of it the sender stood still, or was catching up.
        """
        upset_ns = _overlap(self.upset.get(source, ()), start_ns, end_ns)
        return 2 * upset_ns >= max(1, end_ns - start_ns)


def standstills(run: Run, since_ns: int) -> Standstills:
    """Those of more than 25 ms that ended after a moment of the run."""
    most = run.meta.get("most_customers") or MOST_CUSTOMERS
    places = {"late": LATENESS.ns, "since": since_ns, "most": most}
    found: dict[str, list[Span]] = {}
    for source, due_ns, at_ns in run.sql.execute(_STILL, places).fetchall():
        found.setdefault(source, []).append((due_ns, at_ns))
    return Standstills(
        {source: _apart(spans) for source, spans in found.items()},
        {
            source: _apart((start, end + (end - start)) for start, end in _apart(spans))
            for source, spans in found.items()
        },
    )


def _apart(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same stretches in order, those that touch made one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def _overlap(spans: Iterable[Span], start_ns: int, end_ns: int) -> int:
    return sum(max(0, min(end, end_ns) - max(start, start_ns)) for start, end in spans)
