"""Never do two regions take payments at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from payresil.checkers.primaries import primaries_in_the_end, read_nodes, were_primary
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration

#: States in which a payment stays.
_FINAL = "('succeeded', 'declined', 'canceled', 'failed')"

#: Each transition once, however many databases hold it. `late_us`: how long after the next epoch
#: had been taken it was committed, null while it was not. `$skew`: how far clocks may differ (us).
_COMMITTED = """
with ends as (
  select epoch, lead(taken_us) over (order by epoch) as end_us from epochs
), committed as (
  select payment, min(intent) as intent, seq, to_state, epoch, region, at_us
  from commits where moment <> 'restored' group by all
), judged as (
  select committed.*, case when at_us > end_us + $skew then at_us - end_us end as late_us,
         seq = min(seq) over (partition by payment) as is_first
  from committed left join ends using (epoch)
)
"""

_BY_REGION = f"""{_COMMITTED}
select coalesce(region, 'no region'), count(*), count(*) filter (epoch is null) from judged
group by all order by all
"""

#: An epoch with commits of several regions, and the first one of each that does not hold it.
_SHARED = f"""{_COMMITTED}
select judged.epoch, epochs.region, judged.region, count(*), arg_min(intent, at_us)
from judged left join epochs using (epoch)
where judged.epoch is not null and judged.region is distinct from epochs.region
group by all order by all
"""

_ADMITTED_LATE = f"""{_COMMITTED}
select intent, region, epoch, late_us from judged where late_us is not null and is_first
order by at_us, intent
"""

#: Settled late, and otherwise by a later epoch.
_CONTRADICTED = f"""{_COMMITTED}
select late.intent, late.region, late.epoch, late.to_state, later.epoch, later.region,
       later.to_state
from judged late join judged later
  on later.payment = late.payment and later.epoch > late.epoch and later.to_state <> late.to_state
where late.late_us is not null and not late.is_first
  and late.to_state in {_FINAL} and later.to_state in {_FINAL}
order by late.at_us, late.intent, later.epoch, later.seq
"""

_SETTLED_LATE = f"""{_COMMITTED}
select count(*) from judged where late_us is not null and not is_first
"""

#: Pairs of databases of one region that took commits in turns in one epoch: what only the one holds
#: was not over when what only the other holds began, nor the other way round. One that was promoted
#: in the place of another begins when that one has ended, whatever of it was lost.
_TWO_PRIMARIES = """
with held as (
  select node, region, epoch, payment, min(intent) as intent, seq, min(at_us) as at_us
  from commits
  where moment in ('end', 'before_rejoin') and starts_with(node, region || '/')
  group by node, region, epoch, payment, seq
), own as (
  select one.node, other.node as lacking, one.region, one.epoch, min(one.at_us) as first_us,
         max(one.at_us) as last_us, count(*) as commits, arg_min(one.intent, one.at_us) as intent
  from held one
  join (select distinct node, region, epoch from held) other
    on other.region = one.region and other.epoch = one.epoch and other.node <> one.node
  anti join held on held.node = other.node and held.payment = one.payment and held.seq = one.seq
  group by all
)
select x.region, x.epoch, x.node, x.commits, y.node, y.commits, x.intent
from own x join own y
  on y.node = x.lacking and y.lacking = x.node and y.region = x.region and y.epoch = x.epoch
where x.node < y.node and x.last_us > y.first_us + $skew and y.last_us > x.first_us + $skew
order by x.epoch, x.node, y.node
"""

_ACTIVE = "select region from epochs order by epoch desc limit 1"

#: Requests that reached the PSP when their epoch was over, and what they charged.
_LATE_REQUESTS = """
with ends as (
  select epoch, lead(taken_us) over (order by epoch) as end_us from epochs
), late as (
  select request from psp_epochs join ends using (epoch)
  where received_ns > (end_us + $skew - (select zero_wall_us from meta)) * 1000
)
select (select count(*) from late),
       (select count(*) from psp_charges where status = 'succeeded' and request in (from late))
"""


@checker(kind="money", needs=["regions", "epochs", "commits"])
def no_split_brain(
    run: Run,
    clock_skew: Duration = Duration(0.05),  # noqa: B008 - a value, never changed
) -> Iterator[Result]:
    """No two regions take payments at once: none commits in an epoch that is another's or over.

    Every transition of a payment carries the region that committed it and the epoch of the lease
    it held; the witness wrote down which region took which epoch, and when. Three things must
    never be: a commit in an epoch by a region that does not hold it; a payment admitted in an epoch
    after the next one was taken, as by a region that was cut off and goes on; and a payment settled
    in such an epoch in another way than a later epoch settled it. Nor may two databases of one
    region take commits in turns, or two of the region that has the lease be primaries in the end:
    one of them should have been stopped or made a standby. A payment begun before and settled late
    to the same end, as by an answer that was under way, is counted in `commits_after_epoch`.
    Requests of an epoch that reached the PSP when it was over are counted in `late_requests`, and
    what they charged in `late_charges`: whether that charged anybody twice is for `idempotency` to
    find. Former primaries count as well, as they were before they rejoined.
    `clock_skew`: how far the clocks of databases, witness and PSP may differ.
    """
    epochs = run.one("select count(*) from epochs")
    yield Measure("epochs_judged", epochs)
    regions = _asked(run, _BY_REGION, clock_skew)
    yield Measure("commits_judged", sum(count for _, count, _ in regions))
    for region, count, _ in regions:
        yield Measure(f"commits_of_{region}_judged", count)
    yield from _doubts(run, sum(unmarked for *_, unmarked in regions))
    yield from _findings(run, clock_skew)
    ((requests, charges),) = _asked(run, _LATE_REQUESTS, clock_skew)
    yield Measure("commits_after_epoch", _asked(run, _SETTLED_LATE, clock_skew)[0][0])
    known = run.has("psp_epochs")
    yield Measure("late_requests", requests if known else None)
    yield Measure("late_charges", charges if known else None)


def _asked(run: Run, sql: str, clock_skew: Duration) -> list[tuple[Any, ...]]:
    return run.sql.execute(sql, {"skew": clock_skew.ns // 1000}).fetchall()


def _findings(run: Run, clock_skew: Duration) -> Iterator[Finding]:
    for epoch, holder, region, count, intent in _asked(run, _SHARED, clock_skew):
        held = f"is region {holder}'s" if holder else "nobody took"
        yield Finding(
            f"epoch {epoch} {held}, and region {region} committed {count:,} in it", intent
        )
    for intent, region, epoch, late_us in _asked(run, _ADMITTED_LATE, clock_skew):
        yield Finding(
            f"region {region} took it in epoch {epoch}, {late_us / 1e6:.3f} s after the next epoch "
            "was taken",
            intent,
        )
    for intent, *late, by_epoch, by_region, state in _asked(run, _CONTRADICTED, clock_skew):
        region, epoch, said = late
        yield Finding(
            f"{said} by region {region} in epoch {epoch}, which was over, and {state} by region "
            f"{by_region} in epoch {by_epoch}",
            intent,
        )
    yield from _two_primaries(run, clock_skew)


def _two_primaries(run: Run, clock_skew: Duration) -> Iterator[Finding]:
    """A region has one database that takes writes."""
    for region, epoch, one, ones, other, others, intent in _asked(run, _TWO_PRIMARIES, clock_skew):
        yield Finding(
            f"{one} and {other} of region {region} both took commits in epoch {epoch}: {ones:,} "
            f"are in {one} alone, {others:,} in {other} alone",
            intent,
        )
    active = run.one(_ACTIVE)
    both = [node for node in primaries_in_the_end(run) if node.split("/")[0] == active]
    if len(both) > 1:
        yield Finding(
            f"{' and '.join(both)} are primaries in the end, and region {active} has the lease: "
            "nobody stopped the one that services do not write to"
        )


def _doubts(run: Run, unmarked: int) -> Iterator[Doubt]:
    if run.one("select count(distinct region) from epochs") < 2:
        yield Doubt(
            "no other region ever took the lease over, so it was not put to the test whether two "
            "regions would take payments at once"
        )
    if unmarked:
        yield Doubt(f"{unmarked:,} transitions name no epoch, so they cannot be judged")
    read = read_nodes(run)
    held = {region for (region,) in run.rows("select distinct region from epochs")}
    for region in sorted(held - {node.split("/")[0] for node in read}):
        yield Doubt(
            f"no database of region {region} was read at the end or before it was made anew, so "
            "what it took in the meantime is not known"
        )
    for node in sorted(were_primary(run) - read):
        if node.split("/")[0] in {each.split("/")[0] for each in read}:
            yield Doubt(
                f"{node} was a primary and was read neither at the end nor before it was made anew"
            )
