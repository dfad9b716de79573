"""What was acknowledged is held by more than one database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from payresil.checkers.primaries import last_primary, standbys
from payresil.checkers.promoted import Survivors, survivors, untested
from payresil.core.registry import checker
from payresil.core.remedy_record import promotions, remedies
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run

#: Modes in which a payment is acknowledged only when a standby has it.
_WAITING = ("synchronous", "quorum")

#: What two databases do not both hold. `$1`: the standby, `$2`: the primary.
_DIFFERENT = """
with held as (
  select distinct node, payment, intent, state, amount_minor, captured_minor, currency, created_us,
         updated_us
  from snapshots where moment = 'end' and node in ($1, $2)
), standby as (select * exclude (node) from held where node = $1),
primary_ as (select * exclude (node) from held where node = $2)
select coalesce(p.intent, s.intent) as intent,
       p.payment is null as is_extra, s.payment is null as is_missing
from (from primary_ except from standby) p
full join (from standby except from primary_) s using (payment)
order by is_missing desc, is_extra desc, intent
"""

_HELD = "select count(*) from snapshots where moment = 'end' and node = ?"

#: What a standby's replication was like when it was last looked at.
_LAG = """
select arg_max(value, at_ns) filter (metric = 'replication_lag_bytes'),
       arg_max(value, at_ns) filter (metric = 'replication_connected')
from samples where node = ?
"""

#: From and to, in nanoseconds of run time; None: to the end of the run.
Span = tuple[int, int | None]


@checker(kind="money", needs=["replication", "attempts", "events", "snapshots"])
def redundancy(run: Run) -> Iterator[Result]:
    """A promotion loses nothing that was acknowledged while replication was synchronous, and every
    standby holds in the end what the primary holds.

    In the modes synchronous and quorum a payment is acknowledged only when a standby has it, so
    the database that is promoted must hold it as succeeded. What was acknowledged while the remedy
    degrade_to_async was in force, `degraded_time`, may be lost and is counted in
    `acknowledged_degraded`. A promoted database waits for nobody, until a step says that it does
    again: what was acknowledged meanwhile may be lost at the next promotion, and is counted in
    `acknowledged_after_promotion`. In the end the rows of every database that streams from the
    primary are held against its own; one that was still behind when it was last looked at is a
    doubt. After a failover there may be none, until a failback: `standbys_judged` says so, and
    where no promotion was judged either nothing was put to the test. Where replication is
    asynchronous nothing is promised: ask `data_loss`.
    """
    mode = run.meta.get("replication")
    all_found = survivors(run)
    found = [each for each in all_found if each.node is not None]
    judged = max((each.acknowledged for each in found), default=0)
    yield Measure("acknowledged_judged", judged)
    if mode in _WAITING:
        yield from untested(all_found)
        yield from _at_promotions(run, found)
    elif mode is None:
        yield Doubt("the run does not record whether replication was synchronous")
    else:
        yield Doubt(
            f"replication was {mode}, which promises no redundancy of what is acknowledged: "
            "ask data_loss how much a failover may lose"
        )
    yield from _standbys(run, is_tested=mode in _WAITING and judged > 0)


def _at_promotions(run: Run, found: Sequence[Survivors]) -> Iterator[Result]:
    degraded = _until_it_waits(run, _degradings(run))
    promoted = _until_it_waits(run, [each.start_ns for each in promotions(run)])
    lost = {payment.intent: (payment, each) for each in found for payment in each.lost}
    while_degraded = {i for i, (x, _) in lost.items() if _within(x.acknowledged_ns, degraded)}
    after = {i for i, (x, _) in lost.items() if _within(x.acknowledged_ns, promoted)}
    promised = {i: lost[i] for i in lost if i not in while_degraded | after}
    yield Measure("acknowledged_lost", len(promised), "payments")
    yield Measure("degraded_time", sum(_length_ns(run, span) for span in degraded) / 1e9, "s")
    if degraded:
        yield Measure("acknowledged_degraded", len(while_degraded), "payments")
    if after:
        yield Measure("acknowledged_after_promotion", len(after - while_degraded), "payments")
    for intent, (payment, each) in promised.items():
        yield Finding(
            f"{each.name}: acknowledged {payment.minor} {payment.currency}, absent from "
            f"{each.node} when it was promoted",
            intent,
        )


def _degradings(run: Run) -> list[int]:
    """When each remedy began to make replication asynchronous (ns)."""
    begun = [
        [step.start_ns for step in remedy.steps if step.name == "degrade"]
        for remedy in remedies(run)
        if remedy.kind == "degrade_to_async"
    ]
    return [starts[0] for starts in begun if starts]


def _until_it_waits(run: Run, starts_ns: Sequence[int]) -> list[Span]:
    """From each of these on nobody was waited for, until a later step said a mode that waits."""
    restored = sorted(
        step.end_ns
        for remedy in remedies(run)
        for step in remedy.steps
        if step.done and step.detail.get("mode") in _WAITING and step.end_ns is not None
    )
    return [
        (start_ns, next((end_ns for end_ns in restored if end_ns > start_ns), None))
        for start_ns in starts_ns
    ]


def _within(at_ns: int, spans: Sequence[Span]) -> bool:
    return any(start <= at_ns and (end is None or at_ns < end) for start, end in spans)


def _length_ns(run: Run, span: Span) -> int:
    start_ns, end_ns = span
    if end_ns is None:
        end_ns = run.one("select max(at_ns) from events")
    return max(0, (end_ns or start_ns) - start_ns)


def _standbys(run: Run, *, is_tested: bool) -> Iterator[Result]:
    primary = last_primary(run)
    if primary is None:
        yield Doubt("it is not known which database was the primary in the end")
        return
    held = run.one(_HELD, [primary])
    yield Measure("payments_judged", held)
    if not held:
        yield Doubt(f"the primary {primary} was not read at the end, or it was empty")
        return
    found = standbys(run, primary)
    yield Measure("standbys_judged", len(found))
    if not found and not is_tested:
        yield Doubt("no standby was read at the end, so none is known to hold anything")
    for standby in found:
        yield from _compared(run, standby, primary)


def _compared(run: Run, standby: str, primary: str) -> Iterator[Finding | Doubt]:
    rows = run.rows(_DIFFERENT, [standby, primary])
    if not rows:
        return
    missing = sum(is_missing for *_, is_missing in rows)
    extra = sum(is_extra for _, is_extra, _ in rows)
    said = (
        f"{standby} does not hold what {primary} holds in the end: {missing:,} payments missing, "
        f"{extra:,} extra, {len(rows) - missing - extra:,} different"
    )
    ((behind, connected),) = run.rows(_LAG, [standby])
    if behind or connected == 0:
        why = f"{behind:,.0f} B behind" if behind else "not connected"
        yield Doubt(f"{said}; it was {why} when it was last looked at")
    else:
        yield Finding(said, rows[0][0])
