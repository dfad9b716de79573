"""Whether an alert tells operators in time, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from payresil.checkers.watched import Asked, asked
from payresil.core.registry import checkers
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration

_FAULTS = """
select fault, start_ns, healed_ns, lead(start_ns) over (order by start_ns, fault)
from fault_windows where start_ns is not null and injected_ns is not null
order by start_ns, fault
"""

_STEADY = """
select start_ns, end_ns from phase_spans where phase = 'steady' and end_ns is not null
order by start_ns
"""

#: How often it was firing in a stretch, when first, and until when.
_FIRING = """
select count(*), min(greatest(at_ns, $1)), max(least(until_ns, $2)), min(labels)
from alerts where alert = $3 and state = 'firing' and at_ns < $2 and until_ns >= $1
"""

#: When it began to fire after a moment: evaluations are listed, not their ends.
_FIRST = "select min(at_ns) from alerts where alert = ? and state = 'firing' and at_ns >= ?"

_PENDING = "select count(*) from alerts where alert = ? and state = 'pending'"


@dataclass(frozen=True, slots=True)
class _Fault:
    """One fault, and when the next one begins."""

    name: str
    start_ns: int
    healed_ns: int | None
    next_ns: int | None


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of one alert."""

    run: Run
    alert: str
    within: Duration
    resolves_within: Duration | None
    asked: Asked

    def first_ns(self, since_ns: int) -> int | None:
        """When it first fired from a moment on."""
        at_ns: int | None = self.run.one(_FIRST, [self.alert, since_ns])
        return at_ns

    def firing(self, start_ns: int, end_ns: int) -> tuple[int, int, int, str]:
        """Evaluations that fired in a stretch; if any, its first and last moment, and labels."""
        count, first_ns, last_ns, labels = self.run.rows(_FIRING, [start_ns, end_ns, self.alert])[0]
        return count, first_ns or 0, last_ns or 0, labels or ""


def alerting(
    run: Run,
    alert: str,
    within: Duration,
    resolves_within: Duration | None = None,
    fault: str | None = None,
) -> Iterator[Result]:
    """Operators are told: the alert fires soon after a fault begins, and is silent before.

    It has to fire within `within` of the start of each fault, or of the one that `fault` names, to
    be silent in the steady phase, and, where `resolves_within` is given, to be over so long after
    the heal. When it fired is the time of the evaluation by Prometheus that made it fire.
    """
    found = asked(run, "alert", alert)
    if isinstance(found, Doubt):
        yield found
        return
    question = _Question(run, alert, within, resolves_within, found)
    yield from _usable(question)
    faults = [each for row in run.rows(_FAULTS) if (each := _Fault(*row)).name == (fault or row[0])]
    yield Measure("moments_judged", found.moments(found.from_ns, found.to_ns + 1))
    yield Measure("faults_judged", len(faults))
    if not faults:
        name = "no fault" if fault is None else f"no fault {fault}"
        yield Doubt(f"{name} was injected, so the alert had nothing to tell of")
    yield from _silent(question)
    for each in faults:
        suffix = f".{each.name}" if len(faults) > 1 else ""
        yield from _fires(question, each, suffix)


def _usable(question: _Question) -> Iterator[Doubt]:
    error = question.asked.rule_error
    if error is not None:
        yield Doubt(f"Prometheus cannot evaluate the rule of {question.alert}: {error}")
    elif not question.asked.rule_known and not _ever(question):
        yield Doubt(
            f"Prometheus does not say whether it has a rule for {question.alert}, and the alert "
            "was never pending nor firing"
        )


def _ever(question: _Question) -> bool:
    pending: int = question.run.one(_PENDING, [question.alert])
    return bool(pending) or question.first_ns(question.asked.from_ns) is not None


def _silent(question: _Question) -> Iterator[Result]:
    spans = [span for span in question.run.rows(_STEADY) if question.asked.moments(*span)]
    yield Measure("steady_moments", sum(question.asked.moments(*span) for span in spans))
    if not spans:
        yield Doubt("there was no steady phase in which the alert should have been silent")
    for start_ns, end_ns in spans:
        count, first_ns, last_ns, labels = question.firing(start_ns, end_ns)
        if count:
            which = f" {{{labels}}}" if labels else ""
            yield Finding(
                f"{question.alert}{which} fired in the steady phase, from {first_ns / 1e9:.3f} s "
                f"to {last_ns / 1e9:.3f} s"
            )


def _fires(question: _Question, fault: _Fault, suffix: str) -> Iterator[Result]:
    bound = f"at most {question.within}"
    earlier, *_ = question.firing(fault.start_ns - question.asked.step_ns, fault.start_ns)
    if earlier:
        yield Doubt(f"{fault.name}: {question.alert} was firing already when it began")
        return
    first_ns = question.first_ns(fault.start_ns)
    took_ns = None if first_ns is None else first_ns - fault.start_ns
    yield Measure(f"time_to_fire{suffix}", _s(took_ns), "s", objective=bound)
    watched_ns = question.asked.to_ns - fault.start_ns
    if took_ns is not None and took_ns <= question.within.ns:
        yield from _resolves(question, fault, suffix)
    elif watched_ns < question.within.ns:
        yield Doubt(
            f"{fault.name}: {question.alert} did not fire, and was watched for only "
            f"{watched_ns / 1e9:.3f} s of the {question.within} that it has"
        )
    elif took_ns is None:
        yield Finding(
            f"{fault.name}: {question.alert} never fired; it has {question.within} from the "
            "start of the fault"
        )
    else:
        yield Finding(
            f"{fault.name}: {question.alert} fired {took_ns / 1e9:.3f} s after its start; the "
            f"objective is {question.within}"
        )


def _resolves(question: _Question, fault: _Fault, suffix: str) -> Iterator[Result]:
    if fault.healed_ns is None:
        yield Doubt(f"{fault.name}: it was never healed, so the end of the alert was not seen")
        return
    end_ns = question.asked.to_ns + 1
    if fault.next_ns is not None and fault.next_ns > fault.healed_ns:
        end_ns = min(end_ns, fault.next_ns)
    count, _, last_ns, _ = question.firing(fault.healed_ns, end_ns)
    took_ns = last_ns - fault.healed_ns if count else 0
    goes_on = bool(count) and last_ns + question.asked.step_ns >= end_ns
    within = question.resolves_within
    yield Measure(
        f"time_to_resolve{suffix}",
        None if goes_on else _s(took_ns),
        "s",
        objective=None if within is None else f"at most {within}",
    )
    if within is None:
        return
    if took_ns > within.ns:
        yield Finding(
            f"{fault.name}: {question.alert} still fired {took_ns / 1e9:.3f} s after the heal; "
            f"the objective is {within}"
        )
    elif goes_on:
        yield Doubt(
            f"{fault.name}: {question.alert} still fired when it was last looked at, "
            f"{took_ns / 1e9:.3f} s after the heal; it has {within}"
        )


def _s(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


# Not by `@checker`: which of its parameters are for Prometheus is no table.
checkers.add("alerting", alerting, kind="objective", needs=("events",), alerts=("alert",))
