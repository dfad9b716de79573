"""What one check came to, as plain lines: for JUnit's readers and for pytest."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.results import CheckResult, Finding
from payresil.render import numbers
from payresil.render.headline import judged, total
from payresil.render.visible import visible
from payresil.render.witness import Entry, timeline

#: More findings or doubts of one check than these are counted, not written out.
_SHOWN = 20


def claim_line(result: CheckResult) -> str:
    """What is claimed, and by whom."""
    return f"claim: {visible(result.claim or result.name)} [{visible(result.name, 100)}]"


def finding_lines(result: CheckResult) -> Iterator[str]:
    """Every finding with its timeline."""
    for finding in result.findings[:_SHOWN]:
        yield from _one_finding(finding)
    more = total(result) - min(len(result.findings), _SHOWN)
    if more > 0:
        yield f"… {numbers.plural(more, 'more finding')}, counted in verdict.json"


def doubt_lines(result: CheckResult) -> Iterator[str]:
    """Every doubt, with its traceback where a check raised."""
    for doubt in result.doubts[:_SHOWN]:
        yield f"doubt: {visible(doubt.message)}"
        for line in (doubt.traceback or "").splitlines():
            yield f"  {visible(line, 300)}"


def measure_lines(result: CheckResult) -> list[str]:
    """Every measure, with the objective it was held against."""
    return [
        f"{visible(m.name, 100)} = {visible(numbers.measure(m), 200)}"
        + (f", objective {visible(m.objective, 100)}" if m.objective else "")
        for m in result.measures
    ]


def failure_message(result: CheckResult) -> str:
    """A failed check in one line."""
    if not result.findings:
        return numbers.plural(total(result), "finding") + "; " + "; ".join(measure_lines(result))
    more = total(result) - 1
    first = visible(result.findings[0].message)
    return f"{first} (and {more:,} more)" if more else first


def doubt_message(result: CheckResult) -> str:
    """An undecided check in one line."""
    if result.doubts:
        return visible(result.doubts[0].message)
    return f"judged: {', '.join(judged(result)) or 'nothing'}"


def _one_finding(finding: Finding) -> Iterator[str]:
    about = f" [{visible(finding.intent, 80)}]" if finding.intent else ""
    yield visible(finding.message) + about
    shown = timeline(finding.witness)
    yield from map(_entry, shown.head)
    if shown.left_out:
        yield f"  … {numbers.plural(shown.left_out, 'line')} left out, see verdict.json …"
    yield from map(_entry, shown.tail)


def _entry(entry: Entry) -> str:
    return f"{entry.time:>12} s {'!' if entry.fault else ' '} {entry.who:<8} {entry.what}"
