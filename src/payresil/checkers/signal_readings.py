"""What the instances of a service had counted, each time that their metrics were read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payresil.core.run import Run
from payresil.core.schemas import SCRAPE_SECONDS

#: A scrape was answered within this.
_SCRAPE_NS = 1_000_000_000

#: Readings of every instance: what was counted so far. A label that never occurred is not there
#: yet, which is 0. Where it is not recorded how long a scrape took: the sampler asks one node after
#: the other, so a node had answered when the next one was asked.
_READINGS = """
with moments as (
  select at_ns, lead(at_ns) over (order by at_ns) as next_ns
  from (select distinct at_ns from samples)
), picked as (
  select at_ns, node, metric, value, labels, {picks} as counts
  from samples where list_contains($nodes::varchar[], node)
)
select node, at_ns,
       coalesce(at_ns + round(max(value) filter (metric = $took) * 1e9)::bigint,
                any_value(next_ns), at_ns + {scrape}) as read_ns,
       coalesce(sum(value) filter (metric = $traffic and counts), 0),
       coalesce(sum(value) filter (metric = $traffic and counts and {status} like '5%'), 0),
       coalesce(sum(value) filter (metric = $latency || '_count' and counts), 0),
       coalesce(sum(value) filter (metric = $latency || '_sum' and counts), 0),
       sum(value) filter (metric = $saturation),
       bool_or(metric = $traffic), bool_or(metric = $latency || '_count')
from picked left join moments using (at_ns)
group by node, at_ns having bool_or(metric = 'up' and value = 1)
order by node, at_ns
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one instance had counted when it was asked."""

    node: str
    at_ns: int
    read_ns: int  # when it had surely answered
    requests: float
    errors: float
    timed: float
    seconds: float
    saturation: float | None
    shows_requests: bool
    shows_latency: bool

    def __str__(self) -> str:
        return (
            f"{self.requests:,.0f} requests, {self.errors:,.0f} errors, {self.timed:,.0f} timed "
            f"requests, {self.seconds:,.3f} s"
        )

    def follows(self, earlier: Reading) -> bool:
        """Whether nothing was counted down in between, as only a new start may."""
        return (
            self.requests >= earlier.requests
            and self.errors >= earlier.errors
            and self.timed >= earlier.timed
            and self.seconds >= earlier.seconds
        )


def readings_of(
    run: Run, signals: Mapping[str, Any], nodes: tuple[str, ...]
) -> dict[str, list[Reading]]:
    """The readings of each of these nodes, oldest first; `signals` names the metrics to look at."""
    where: Mapping[str, list[str]] = signals.get("where") or {}
    picks = [
        f"list_contains($where_{i}::varchar[], {_label(name)})" for i, name in enumerate(where)
    ]
    sql = _READINGS.format(
        picks=" and ".join(picks) or "true",
        scrape=_SCRAPE_NS,
        status=_label(signals.get("status", "status")),
    )
    named = {name: str(signals.get(name)) for name in ("traffic", "latency", "saturation")}
    wanted = {f"where_{i}": list(values) for i, values in enumerate(where.values())}
    asked = {"nodes": list(nodes), "took": SCRAPE_SECONDS, **named, **wanted}
    found: dict[str, list[Reading]] = {node: [] for node in nodes}
    for row in run.sql.execute(sql, asked).fetchall():
        found[row[0]].append(Reading(*row))
    return found


def _label(name: str) -> str:
    """SQL for the value of a label in text such as ``route="pay",status="201"``."""
    pattern = f'(^|,){re.escape(name)}="([^"]*)"'.replace("'", "''")
    return f"regexp_extract(labels, '{pattern}', 2)"
