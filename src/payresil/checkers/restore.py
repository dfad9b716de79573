"""What a backup gives back is what there was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from payresil.checkers.primaries import primary_at
from payresil.core.registry import checker
from payresil.core.remedy_record import Remedy, remedies
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration

_RESTORED = """
select node, at_ns from (
  select moment, node, at_ns from snapshots union all select moment, node, at_ns from snapshot_keys
) where moment = 'restored' group by all order by at_ns, node
"""

#: When a database was first read (`$2`) after a moment, in the end or before it was made anew.
_READ = """
select moment, at_ns from (
  select moment, node, at_ns from snapshots union all select moment, node, at_ns from commits
  union all select moment, node, at_ns from snapshot_keys
) where moment in ('end', 'before_rejoin') and node = $1 and at_ns >= $2 order by at_ns limit 1
"""

#: Payments with their state as of a moment, by what the primary of then had committed when it was
#: read, beside what was restored. Of a payment that changed about then (`$skew`, us) either is
#: right.
_PAYMENTS = """
with committed as (
  select payment, min(intent) as intent, min(at_us) as begun_us,
         arg_max(to_state, seq) filter (at_us <= $until) as state,
         coalesce(bool_or(abs(at_us - $until) <= $skew), false) as is_close
  from commits where moment = $moment and node = $primary and at_ns = $read group by payment
), restored as (
  select payment, min(intent) as intent, min(state) as state, min(created_us) as begun_us
  from snapshots where moment = 'restored' and node = $node and at_ns = $at group by payment
)
select coalesce(c.intent, r.intent) as intent, c.state, r.state as restored,
       (coalesce(c.begun_us, r.begun_us) - $until) / 1e6 as after_s,
       case when coalesce(c.is_close, abs(r.begun_us - $until) <= $skew, false) then 'close'
            when c.state is null and r.state is null then 'later'
            when r.state is null then 'missing'
            when c.state is null then 'extra'
            when c.state <> r.state then 'different' else 'same' end as verdict
from committed c full join restored r using (payment)
order by intent
"""

_KEYS = """
with kept as (
  select key, min(resource) as resource, min(created_us) as created_us
  from snapshot_keys
  where moment = $moment and node = $primary and at_ns = $read group by key
), restored as (
  select key, min(resource) as resource, min(created_us) as created_us
  from snapshot_keys
  where moment = 'restored' and node = $node and at_ns = $at group by key
)
select coalesce(k.resource, r.resource) as resource, k.resource, r.resource as restored,
       (coalesce(k.created_us, r.created_us) - $until) / 1e6 as after_s,
       case when abs(coalesce(k.created_us, r.created_us) - $until) <= $skew then 'close'
            when coalesce(k.created_us, r.created_us) > $until
              then case when r.key is null then 'later' else 'extra' end
            when r.key is null then 'missing'
            when k.key is not null and k.resource is distinct from r.resource then 'different'
            else 'same' end as verdict
from kept k full join restored r using (key)
order by resource, key
"""

_WRONG = ("missing", "extra", "different")


@dataclass(frozen=True, slots=True)
class _Restored:
    """A database restored to a point in time (wall clock, us), and when it was read (ns)."""

    node: str
    at_ns: int
    until_us: int
    remedy: Remedy


@checker(kind="money", needs=["events", "snapshots", "commits", "snapshot_keys"])
def restore(
    run: Run,
    clock_skew: Duration = Duration(0.1),  # noqa: B008 - a value, never changed
) -> Iterator[Result]:
    """A restored database equals the books at its point in time, idempotency keys included.

    Every payment that the primary had by then is there, in the state it had, and none that began
    later; every idempotency key made by then is there and names the same payment. A payment that
    is missing is money that nobody knows of, and a key that is missing lets a retry charge again,
    so one violation fails. Measured against what the primary of that moment holds when it is read
    in the end, or before it is made anew: its transitions until then, and its keys. What a failover
    loses later was there, and has to be in the backup. What changed within `clock_skew` of the
    point in time is left out on both sides and counted, since a transaction writes down when it
    began and not when it was committed. `restore_time` is how long the remedy took. Backups that
    could not be restored since they are damaged, or have a hole, are a violation, too.
    """
    found = list(_found(run))
    yield from _failed(run)
    if not run.rows(_RESTORED):
        yield Doubt("no restored database was read, so no restore was put to the test")
    elif not found:
        yield Doubt("no remedy says to which point in time it restored (until_us)")
    payments = keys = 0
    for each in found:
        suffix = f".{each.remedy.id}" if len(found) > 1 else ""
        source = _source(run, each)
        if isinstance(source, Doubt):
            yield source
            continue
        asked = {
            **source,
            "node": each.node,
            "at": each.at_ns,
            "until": each.until_us,
            "skew": clock_skew.ns // 1000,
        }
        booked = run.sql.execute(_PAYMENTS, asked).fetchall()
        kept = run.sql.execute(_KEYS, asked).fetchall()
        payments += sum(row[-1] in (*_WRONG, "same") for row in booked)
        keys += sum(row[-1] in (*_WRONG, "same") for row in kept)
        yield from _measures(each, booked, kept, suffix)
        yield from _judge(each, booked, kept)
    yield Measure("payments_judged", payments)
    yield Measure("keys_judged", keys)


def _failed(run: Run) -> Iterator[Finding | Doubt]:
    """Restores that did not work: by what there was to restore from, or for another reason."""
    for remedy in remedies(run):
        for step in remedy.steps:
            if step.name != "restore" or not step.failed:
                continue
            why = step.detail.get("error") or "no reason recorded"
            if step.detail.get("damaged") is True:
                yield Finding(f"{remedy.id}: the backups are damaged: {why}")
            else:
                yield Doubt(f"{remedy.id}: nothing was restored: {why}")


def _source(run: Run, each: _Restored) -> dict[str, Any] | Doubt:
    """The primary of the moment, and when it was read since."""
    primary = primary_at(run, each.remedy.start_ns)
    if primary is None:
        return Doubt(f"{each.node}: it is not known which database was the primary at that time")
    read = run.rows(_READ, [primary, each.remedy.start_ns])
    if not read:
        return Doubt(
            f"{each.node}: {primary}, the primary of that time, was read neither in the end nor "
            "before it was made anew, so there is nothing to compare with"
        )
    ((moment, at_ns),) = read
    return {"primary": primary, "moment": moment, "read": at_ns}


def _found(run: Run) -> Iterator[_Restored]:
    """Every restored database with the remedy that made it, the last one to begin before."""
    for node, at_ns in run.rows(_RESTORED):
        made = [(remedy, until) for remedy in remedies(run) if (until := _until_us(remedy))]
        before = [(remedy, until) for remedy, until in made if remedy.start_ns <= at_ns]
        if before:
            yield _Restored(node, at_ns, before[-1][1], before[-1][0])


def _until_us(remedy: Remedy) -> int | None:
    """The point in time that a remedy or one of its steps says that it restored to."""
    for detail in (remedy.detail, *(step.detail for step in remedy.steps)):
        if isinstance(detail.get("until_us"), int):
            return int(detail["until_us"])
    return None


_Rows = list[tuple[str | None, str | None, str | None, float | None, str]]


def _measures(each: _Restored, booked: _Rows, kept: _Rows, suffix: str) -> Iterator[Measure]:
    for name, rows in (("payments", booked), ("keys", kept)):
        restored = sum(restored is not None for _, _, restored, *_ in rows)
        yield Measure(f"{name}_restored{suffix}", restored)
        close = sum(verdict == "close" for *_, verdict in rows)
        yield Measure(f"{name}_left_out{suffix}", close)
    end_ns = each.remedy.end_ns
    took_s = None if end_ns is None else (end_ns - each.remedy.start_ns) / 1e9
    yield Measure(f"restore_time{suffix}", took_s, "s")


def _judge(each: _Restored, booked: _Rows, kept: _Rows) -> Iterator[Finding | Doubt]:
    for intent, state, restored, after_s, verdict in booked:
        if verdict == "missing":
            yield Finding(f"{each.node}: restored without it, which was {state} by then", intent)
        elif verdict == "extra":
            later = after_s is not None and after_s > 0
            when = f"began {after_s:.3f} s later" if later else "the primary never had it"
            yield Finding(f"{each.node}: restored as {restored}, and {when}", intent)
        elif verdict == "different":
            yield Finding(f"{each.node}: restored as {restored}, was {state} by then", intent)
    for resource, kept_for, restored, after_s, verdict in kept:
        if verdict == "missing":
            yield Finding(f"{each.node}: restored without the idempotency key of {resource}")
        elif verdict == "extra":
            yield Finding(
                f"{each.node}: restored with the idempotency key of {resource}, which was made "
                f"{after_s:.3f} s later"
            )
        elif verdict == "different":
            yield Finding(
                f"{each.node}: an idempotency key names {restored}, and {kept_for} at the primary"
            )
    if not any(verdict in (*_WRONG, "same") for *_, verdict in booked):
        yield Doubt(
            f"{each.node}: there was no payment yet at the point in time it was restored to"
        )
    elif not any(verdict in (*_WRONG, "same") for *_, verdict in kept):
        yield Doubt(f"{each.node}: no idempotency key was there at that point in time to compare")
