"""The verdict for a terminal: plain lines of at most 100 columns, the verdict last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from payresil.core.registry import renderer
from payresil.core.results import CheckResult, Finding, Outcome, Verdict
from payresil.core.run import Run
from payresil.render import facts, numbers
from payresil.render.headline import (
    by_urgency,
    findings_total,
    headline,
    is_judged,
    judged,
    key_measures,
    total,
    with_findings,
)
from payresil.render.remedies import key_line, key_lines_wanted, remedy_rows
from payresil.render.visible import listed, visible, width, wrapped
from payresil.render.windows import fault_window
from payresil.render.witness import Entry, timeline
from payresil.render.wording import evidence_word

COLUMNS = 100

#: More findings than these are counted, not shown.
_FINDINGS = 3
_DOUBTS = 5
_LINES = 24  # of a finding's timeline

_COLOURS = {"pass": "32", "fail": "1;31", "inconclusive": "33", "broken": "1;35"}

Paint = Callable[[str, str], str]


@renderer(file=None)
def text(run: Run, verdict: Verdict, *, colour: bool = False) -> str:
    """Lines for a terminal; `colour` adds ANSI colours to the outcome words, and only there."""
    paint = painter(colour)
    blocks = [
        list(_head(run, verdict)),
        list(_faults(run, verdict, paint)),
        list(_remedies(run)),
        list(_checks(verdict, paint)),
        list(_findings(verdict, paint)),
        list(_doubts(verdict)),
        list(_warnings(verdict)),
        list(_last(run, verdict, paint)),
    ]
    return "\n".join("\n".join(block) + "\n" for block in blocks if block)


def _head(run: Run, verdict: Verdict) -> Iterator[str]:
    yield from wrapped(f"{visible(verdict.scenario, 200)}: {visible(verdict.claim)}", COLUMNS)
    count = facts.counts(run)
    parts = [f"run {visible(verdict.run, 60)}"]
    if run.meta.get("seed") is not None:
        parts.append(f"seed {visible(run.meta['seed'], 40)}")
    parts.append(
        f"{numbers.plural(count.attempts, 'attempt')} of {numbers.plural(count.intents, 'intent')}"
    )
    parts.append(f"{count.tried_twice:,} tried twice or more by customers")
    yield from wrapped(" · ".join(parts), COLUMNS)


def _faults(run: Run, verdict: Verdict, paint: Paint) -> Iterator[str]:
    if not verdict.faults:
        yield "faults: none"
        return
    yield "faults"
    for fault in verdict.faults:
        word = evidence_word(fault)
        window = fault_window(run, fault.name)
        told = [] if window is None else [window.text]
        yield from _row(paint, fault.outcome, word, fault.name, [*told, *_measures(fault)], 17)


def _remedies(run: Run) -> Iterator[str]:
    rows = remedy_rows(run)
    if rows:
        yield "remedies"
    for row in rows:
        word = "NOT DONE" if row.failed else "done"
        told = [row.when, row.took, row.who, *([row.result] if row.failed else [])]
        told += [
            f"{step.name} {step.took}" + (f" ({step.result})" if step.failed else "")
            for step in row.steps
        ]
        first = f"  {word:<17}  {row.name}"
        first += " " * max(2, 39 - width(first))
        yield from listed(told, COLUMNS, first=first, rest=" " * 39)


def _checks(verdict: Verdict, paint: Paint) -> Iterator[str]:
    if not verdict.checks:
        yield "checks: none"
        return
    yield "checks"
    for check in by_urgency(verdict.checks):
        told = [f"{', '.join(judged(check)) or 'nothing'} judged"]
        if total(check):
            told.insert(0, numbers.plural(total(check), "finding"))
        if check.doubts:
            told.insert(0, numbers.plural(len(check.doubts), "doubt"))
        told += _measures(check)
        yield from _row(paint, check.outcome, check.outcome.value, check.name, told, 12)
    if any(numbers.interval(m) for check in verdict.checks for m in check.measures):
        yield "  [low to high]: the 95% interval"


def _measures(result: CheckResult) -> list[str]:
    return [
        f"{visible(m.name, 60)} {visible(numbers.measure(m), 120)}"
        + (f", objective {visible(m.objective, 80)}" if m.objective else "")
        for m in result.measures
        if not is_judged(m)
    ]


def _row(
    paint: Paint, outcome: Outcome, word: str, name: str, told: list[str], room: int
) -> Iterator[str]:
    """One result: the word, the name, and the rest behind them, broken between its parts."""
    shown = word if outcome is Outcome.PASS else word.upper()
    first = f"  {shown:<{room}}  {visible(name, 60)}"
    first += " " * max(2, room + 22 - width(first))
    rest = " " * (room + 22)
    lines = listed(told, COLUMNS, first=first, rest=rest)
    yield lines[0].replace(shown, paint(outcome.value, shown), 1)
    yield from lines[1:]


def _findings(verdict: Verdict, paint: Paint) -> Iterator[str]:
    held = list(with_findings(verdict))
    if not held:
        return
    yield "findings"
    for check, finding in held[:_FINDINGS]:
        yield from _finding(check, finding, paint)
    more = findings_total(verdict) - min(len(held), _FINDINGS)
    if more > 0:
        yield f"  … {numbers.plural(more, 'more finding')}, the first of them in report.html"


def _finding(check: CheckResult, finding: Finding, paint: Paint) -> Iterator[str]:
    about = f" [{visible(finding.intent, 80)}]" if finding.intent else ""
    name = visible(check.name, 60)
    lines = wrapped(
        f"{name}: {visible(finding.message)}{about}", COLUMNS, first="  ✗ ", rest="    "
    )
    yield lines[0].replace("✗", paint("fail", "✗"), 1)
    yield from lines[1:]
    shown = timeline(finding.witness, _LINES)
    yield from _entries(shown.head)
    if shown.left_out:
        yield f"    … {numbers.plural(shown.left_out, 'line')} left out, see verdict.json …"
    yield from _entries(shown.tail)


def _entries(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        mark = "!" if entry.fault else " "
        first = f"  {entry.time:>12} s {mark} {entry.who:<8} "
        yield from wrapped(entry.what, COLUMNS, first=first, rest=" " * 27)


def _doubts(verdict: Verdict) -> Iterator[str]:
    doubtful = [result for result in (*verdict.faults, *verdict.checks) if result.doubts]
    if not doubtful:
        return
    yield "doubts"
    for result in doubtful:
        yield f"  ? {visible(result.name, 60)}"
        for doubt in result.doubts[:_DOUBTS]:
            yield from wrapped(visible(doubt.message), COLUMNS, first="      ", rest="      ")
            yield from _traceback(doubt.traceback)
        more = len(result.doubts) - _DOUBTS
        if more > 0:
            yield f"      … {more:,} more: see verdict.json"


def _traceback(traceback: str | None) -> Iterator[str]:
    for line in (traceback or "").strip().splitlines()[-6:]:
        yield from wrapped(visible(line, 300), COLUMNS, first="        ", rest="          ")


def _warnings(verdict: Verdict) -> Iterator[str]:
    for warning in verdict.warnings:
        yield from wrapped(visible(warning), COLUMNS, first="warning: ", rest="  ")
    if verdict.broken is not None:
        yield from wrapped(visible(verdict.broken), COLUMNS, first="broken: ", rest="  ")


def _last(run: Run, verdict: Verdict, paint: Paint) -> Iterator[str]:
    yield from wrapped(headline(verdict).sentence, COLUMNS)
    if key_lines_wanted(run, verdict):
        yield from listed(key_line(key_measures(verdict)), COLUMNS, first="", rest="  ")
    yield f"again: {visible(facts.command(run, verdict))}"
    if run.folder is not None:
        yield f"report: {visible(run.folder / 'report.html')}"
    yield _verdict_line(verdict, paint)


def _verdict_line(verdict: Verdict, paint: Paint) -> str:
    word = headline(verdict).word
    told = [numbers.plural(findings_total(verdict), "finding")]
    unbitten = sum(fault.outcome is not Outcome.PASS for fault in verdict.faults)
    undecided = sum(check.outcome is Outcome.INCONCLUSIVE for check in verdict.checks)
    if undecided:
        told.append(f"{undecided} not decided")
    if unbitten:
        told.append(f"{numbers.plural(unbitten, 'fault')} not shown to bite")
    told.append(f"exit {verdict.exit_status}")
    name = visible(verdict.scenario, 40)
    return f"{paint(word, word.upper())}  {name}  {' · '.join(told)}"


def painter(colour: bool) -> Paint:
    """What puts the colour of an outcome around a word, or leaves it as it is."""
    return _painted if colour else _plain


def _plain(_word: str, shown: str) -> str:
    return shown


def _painted(word: str, shown: str) -> str:
    return f"\x1b[{_COLOURS.get(word, '35')}m{shown}\x1b[0m"
