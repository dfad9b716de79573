"""How requests are spread over the instances, and what happens when one of them is sick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from payresil.checkers.instances import is_instance, service_instances
from payresil.core.intervals import wilson
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.steps import arrivals_ended_ns, detail_of
from payresil.core.topology import Link, Node, SelectorError
from payresil.core.values import Duration, Share

#: Requests of customers and prober; the audit asks past the links.
_SENT = "from attempts where source <> 'audit' and sent_ns is not null"

#: Who answered the requests of the steady phase; null: no instance did, or none that says so.
_STEADY = f"""
select instance, count(*), count(status) from (select instance, status, sent_ns {_SENT})
join phase_spans on phase = 'steady' and sent_ns >= start_ns
  and (end_ns is null or sent_ns < end_ns)
group by instance
"""

#: What became of requests while an instance was sick, from the moment when it must be out, and when
#: it was back. One that it answered after the heal may have waited elsewhere until then.
_AROUND = f"""
select count(*) filter (is_out), count(*) filter (is_out and is_its_own and done_ns < $heal),
       count(*) filter (is_out and instance is null),
       max(sent_ns) filter (sent_ns >= $start and sent_ns < $heal
                            and (instance is null or (is_its_own and done_ns < $heal))),
       min(done_ns) filter (is_its_own and sent_ns >= $heal),
       count(*) filter (instance is not null and sent_ns >= $back)
from (select *, instance = $instance as is_its_own,
             sent_ns >= $must_be_out and sent_ns < $heal as is_out {_SENT})
"""

_FAULTS = """
select w.fault, any_value(e.detail), w.start_ns, w.heal_ns, w.healed_ns
from fault_windows w join events e on e.kind = 'fault' and e.what = 'inject' and e.name = w.fault
where w.start_ns is not null group by all order by w.start_ns, w.fault
"""


@dataclass(frozen=True, slots=True)
class _Sick:
    """One instance that a fault stopped or made hard to reach, while others were well."""

    fault: str
    instance: str
    start_ns: int
    heal_ns: int  # when healing began; the end of traffic where it never did
    healed_ns: int | None

    def __str__(self) -> str:
        return f"{self.instance} in {self.fault}"

    @property
    def label(self) -> str:
        return f"{self.fault}.{self.instance}"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What became of requests while an instance was sick, and after."""

    sent: int  # while it had to be out
    answered: int  # … by the sick instance
    unanswered: int  # … by none
    last_lost_ns: int | None  # sent while it was sick, to be answered by it or by none
    first_back_ns: int | None
    answered_later: int  # by anyone, from when it had to be back


@checker(kind="objective", needs=["attempts", "events"])
def balancing(
    run: Run,
    least_share: Share = Share(0.8),  # noqa: B008 - a value, never changed
    eject_within: Duration | None = None,
    returns_within: Duration | None = None,
) -> Iterator[Result]:
    """Load is spread over the instances, and a sick one is taken out and comes back.

    Steady: each instance answers at least `least_share` of what an equal share would be (95 %
    interval, Wilson, wide enough for all answers that name no instance). While a fault stops an
    instance or makes it hard to reach, and others are well: from `eject_within` after the fault's
    start until it heals, the instance answers nothing, and no more requests than in the steady
    phase are answered by nobody. `returns_within` of being healed it answers again. A link makes
    the instance sick that it leads to.
    """
    rows = run.rows(_STEADY)
    steady: dict[str | None, int] = {name: sent for name, sent, _ in rows}
    unnamed = sum(answers for name, _, answers in rows if name is None)
    spread = {name: count for name, count in steady.items() if name is not None}
    instances = _instances(run, spread)
    yield Measure("answers_judged", sum(spread.values()))
    if not spread:
        yield Doubt(
            "no answer of the steady phase says which instance gave it: name the header that does "
            "under api.instance_header in the system file"
        )
        return
    if len(instances) < 2:
        yield Doubt(f"there is only one instance, {instances[0]}: nothing can be spread")
        return
    yield from _nameless(run, instances)
    yield from _spread(spread, unnamed, instances, least_share)
    sick = list(_sick(run, instances))
    for each in sick:
        seen = _around(run, each, eject_within, returns_within)
        yield from _ejected(each, eject_within, seen, steady)
        yield from _back(each, returns_within, seen)
    if not sick and (eject_within is not None or returns_within is not None):
        yield Doubt(
            "no fault made one of several instances sick: neither ejection nor return was put to "
            "the test"
        )


def _instances(run: Run, spread: dict[str, int]) -> tuple[str, ...]:
    """Those of the topology, or, where they answer by other names, those that answered."""
    listed = service_instances(run)
    return listed if spread.keys() & set(listed) else tuple(sorted(spread))


def _nameless(run: Run, instances: tuple[str, ...]) -> Iterator[Doubt]:
    """Instances that nobody could miss, since they answer by names that the run does not know."""
    listed = len(service_instances(run))
    if listed > len(instances):
        yield Doubt(
            f"the system has {listed} instances, and answers name {len(instances)} by other names, "
            f"{' and '.join(instances)}: one may have got nothing"
        )


def _spread(
    spread: dict[str, int], unnamed: int, instances: tuple[str, ...], least_share: Share
) -> Iterator[Result]:
    total = sum(spread.values())
    least = float(least_share) / len(instances)
    for instance in instances:
        answers = spread.get(instance, 0)
        low, _ = wilson(answers, total + unnamed)
        _, high = wilson(answers + unnamed, total + unnamed)
        bound = f"at least {least:.1%}"
        yield Measure(f"steady_share.{instance}", answers / total, "share", low, high, bound)
        said = (
            f"{instance} gave {answers:,} of {total:,} answers of the steady phase, "
            f"{answers / total:.1%}; {least_share} of an equal share are {least:.1%}"
        )
        if high < least:
            yield Finding(said)
        elif low < least:
            beside = f": {unnamed:,} more answers name no instance" if unnamed else ""
            yield Doubt(f"{said}, undecided by a 95 % interval of {low:.1%} to {high:.1%}{beside}")


def _sick(run: Run, instances: tuple[str, ...]) -> Iterator[_Sick]:
    end_ns = arrivals_ended_ns(run)
    for fault, detail, start_ns, heal_ns, healed_ns in run.rows(_FAULTS):
        target = _target(detail)
        hit = [name for name in instances if target is not None and _is_named(name, target)]
        until_ns = heal_ns if heal_ns is not None else end_ns
        if len(hit) == len(instances) or until_ns is None:
            continue  # nowhere else to send a request to
        for instance in hit:
            yield _Sick(fault, instance, start_ns, until_ns, healed_ns)


def _target(detail: str | None) -> Node | None:
    """The node that a fault stopped, or made hard to reach."""
    injected = detail_of(detail)
    try:
        if injected.get("link") is not None:
            return Link.parse(str(injected["link"])).target
        return Node.parse(str(injected["node"])) if injected.get("node") is not None else None
    except SelectorError:  # a fault of somebody else, who means something else by it
        return None


def _is_named(name: str, selector: Node) -> bool:
    return is_instance(name) and selector.matches(Node.parse(name))


def _around(
    run: Run, sick: _Sick, eject_within: Duration | None, returns_within: Duration | None
) -> _Seen:
    moments = {
        "instance": sick.instance,
        "start": sick.start_ns,
        "must_be_out": sick.start_ns + (eject_within.ns if eject_within else 0),
        "heal": sick.heal_ns,
        "back": (sick.healed_ns or sick.heal_ns) + (returns_within.ns if returns_within else 0),
    }
    return _Seen(*run.sql.execute(_AROUND, moments).fetchall()[0])


def _ejected(
    sick: _Sick, within: Duration | None, seen: _Seen, steady: dict[str | None, int]
) -> Iterator[Result]:
    lost_ns = seen.last_lost_ns
    took_s = 0.0 if lost_ns is None else (lost_ns - sick.start_ns) / 1e9
    yield Measure(f"last_request_lost.{sick.label}", took_s, "s")
    if within is None:
        return
    yield Measure(f"requests_while_out_judged.{sick.label}", seen.sent)
    if not seen.sent:
        yield Doubt(f"{sick}: nothing was sent from {within} after its start until it was healed")
        return
    if seen.answered:
        yield Finding(
            f"{sick}: still sent requests more than {within} after its start: it answered "
            f"{seen.answered:,} of {seen.sent:,}"
        )
    yield from _unanswered(sick, within, seen, steady)


def _unanswered(
    sick: _Sick, within: Duration, seen: _Seen, steady: dict[str | None, int]
) -> Iterator[Result]:
    before, of = steady.get(None, 0), sum(steady.values())
    share = seen.unanswered / seen.sent
    low, high = wilson(seen.unanswered, seen.sent)
    _, usual = wilson(before, of)
    name = f"unanswered_while_out.{sick.label}"
    yield Measure(name, share, "share", low, high, f"as steady, at most {usual:.2%}")
    said = (
        f"{sick}: more than {within} after its start no instance answered {seen.unanswered:,} of "
        f"{seen.sent:,} requests, {before:,} of {of:,} in the steady phase"
    )
    if low > usual:
        yield Finding(said)
    elif share > usual:
        yield Doubt(f"{said}: too few to decide whether that is more")


def _back(sick: _Sick, within: Duration | None, seen: _Seen) -> Iterator[Result]:
    if sick.healed_ns is None:
        if within is not None:
            yield Doubt(f"{sick}: it was never healed, so no return was seen")
        return
    first_ns = seen.first_back_ns
    took_s = None if first_ns is None else max(0, first_ns - sick.healed_ns) / 1e9
    bound = None if within is None else f"at most {within}"
    yield Measure(f"answers_again_after.{sick.label}", took_s, "s", objective=bound)
    if within is None or (took_s is not None and took_s <= within):
        return
    if took_s is not None:
        yield Finding(f"{sick}: answers again {took_s:.3f} s after it was healed, not in {within}")
    elif seen.answered_later:
        yield Finding(f"{sick}: never answered again, though others did {within} after it healed")
    else:
        yield Doubt(f"{sick}: nobody asked for anything {within} after it was healed")
