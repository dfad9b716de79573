"""The verdict as a comment on a pull request: `report.md`, short, the verdict first.

GitHub-flavoured Markdown. What comes from the run is escaped, so that it can make no link, no
image, no HTML and no mention of anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from payresil.core.registry import renderer
from payresil.core.results import CheckResult, Verdict
from payresil.core.run import Run
from payresil.render import facts, numbers
from payresil.render.headline import (
    by_urgency,
    headline,
    is_judged,
    judged,
    key_measures,
    total,
)
from payresil.render.remedies import (
    definitions,
    key_line,
    key_lines_wanted,
    remedy_rows,
)
from payresil.render.visible import visible
from payresil.render.windows import fault_window
from payresil.render.witness import Entry, timeline
from payresil.render.wording import SIGNS, evidence_word

#: More rows of a table than these are counted, not shown.
_ROWS = 25
_DOUBTS = 12
#: More failed checks than these are counted, without a timeline of their own.
_FAILED = 8

_MARKS = {
    "pass": "✅",
    "fail": "❌",
    "inconclusive": "⚠️",
    "broken": "🛑",
    "interrupted": "🛑",
}

#: What Markdown, and GitHub's mathematics, give a meaning to in the middle of a line.
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~>$])")

#: What begins a list at the start of one.
_BULLET = re.compile(r"^([-+]|\d+[.)])(?=\s)")

#: A comment of GitHub's holds 65,536 characters.
_LONGEST = 60_000

#: Of a check; recovery with a remedy has one for every step.
_MEASURES = 16

#: What GitHub turns into a mention, a reference or a link even when it is escaped; a zero-width
#: space behind it stops that and cannot be seen.
_MAGIC = re.compile(r"(@|#|www|https?|mailto)", re.IGNORECASE)


@renderer(file="report.md")
def md(run: Run, verdict: Verdict) -> str:
    """A comment: the verdict, the checks, the faults, each failed check's first timeline folded."""
    blocks = [
        list(_head(run, verdict)),
        list(_checks(verdict)),
        list(_faults(run, verdict)),
        list(_remedies(run)),
        list(_definitions(verdict)),
        list(_doubts(verdict)),
        *_findings(verdict),
        list(_last(run, verdict)),
    ]
    return _joined(_fitting([block for block in blocks if block]))


def _joined(blocks: list[list[str]]) -> str:
    return "\n".join("\n".join(block) + "\n" for block in blocks)


def _fitting(blocks: list[list[str]]) -> list[list[str]]:
    """`blocks`, without the longest ones where a comment could not hold them all."""
    kept = list(blocks)
    while len(_joined(kept)) > _LONGEST:
        longest = max(kept, key=lambda block: len(_joined([block])))
        kept[kept.index(longest)] = ["*A part that is too long for a comment is in report.html.*"]
    return kept


def cell(value: object, limit: int = 300) -> str:
    """Text for a paragraph or a table cell."""
    text = _SPECIAL.sub(r"\\\1", visible(value, limit))
    text = _BULLET.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))
    return _MAGIC.sub("\\1\u200b", text)


def _code(value: object, limit: int = 80) -> str:
    """Text as code in a table cell, where a bar needs a backslash even in code."""
    text = visible(value, limit).replace("|", "\\|")
    fence = "`" * (_longest_run(text) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}" if text.strip() else "(no name)"


def _longest_run(text: str) -> int:
    """Length of the longest row of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)


def _head(run: Run, verdict: Verdict) -> Iterator[str]:
    said = headline(verdict)
    yield f"## {_MARKS[said.word]} {said.word.upper()}: {cell(verdict.scenario, 120)}"
    yield ""
    yield f"> {cell(verdict.claim)}"
    yield ""
    yield f"**{cell(said.sentence, 600)}** {said.meaning} Exit status {verdict.exit_status}."
    yield ""
    count = facts.counts(run)
    yield (
        f"{numbers.plural(count.attempts, 'attempt')} of "
        f"{numbers.plural(count.intents, 'intent')}, {count.tried_twice:,} tried twice or more "
        "by customers."
    )
    if key_lines_wanted(run, verdict):
        yield ""
        yield " · ".join(f"**{cell(told)}**" for told in key_line(key_measures(verdict)))


def _checks(verdict: Verdict) -> Iterator[str]:
    if not verdict.checks:
        return
    yield "| outcome | check | judged | findings | measured |"
    yield "|---|---|---|--:|---|"
    for check in by_urgency(verdict.checks)[:_ROWS]:
        looked = "<br>".join(map(cell, judged(check))) or "nothing"
        yield _row(_mark(check), _code(check.name), looked, f"{total(check):,}", _measured(check))
    if len(verdict.checks) > _ROWS:
        yield _row("", f"… and {len(verdict.checks) - _ROWS:,} more", "", "", "")


def _faults(run: Run, verdict: Verdict) -> Iterator[str]:
    if not verdict.faults:
        yield "No fault was injected."
        return
    yield "| evidence | fault | active | measured |"
    yield "|---|---|---|---|"
    for fault in verdict.faults[:_ROWS]:
        window = fault_window(run, fault.name)
        active = "not recorded" if window is None else window.text
        word = f"{SIGNS[fault.outcome.value]} {evidence_word(fault)}"
        yield _row(word, _code(fault.name), active, _measured(fault))
    if len(verdict.faults) > _ROWS:
        yield _row("", f"… and {len(verdict.faults) - _ROWS:,} more", "", "")


def _remedies(run: Run) -> Iterator[str]:
    rows = remedy_rows(run)
    if not rows:
        return
    yield "| result | remedy | at work | decided | steps |"
    yield "|---|---|---|---|---|"
    for row in rows[:_ROWS]:
        steps = "<br>".join(
            f"{_code(step.name)} {step.took}" + (f" {step.result}" if step.failed else "")
            for step in row.steps
        )
        sign = SIGNS["fail" if row.failed else "pass"]
        result = f"{sign} {cell(row.result, 2000)}"
        yield _row(result, _code(row.name), f"{row.when}, {row.took}", row.who, steps)
    if len(rows) > _ROWS:
        yield _row("", f"… and {len(rows) - _ROWS:,} more", "", "", "")


def _definitions(verdict: Verdict) -> Iterator[str]:
    for term in definitions(verdict):
        yield f"- **{cell(term.name)}**: {cell(term.means)}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _mark(check: CheckResult) -> str:
    return f"{_MARKS[check.outcome.value]} {check.outcome.value}"


def _measured(result: CheckResult) -> str:
    told = [
        f"{_code(m.name, 60)} {cell(numbers.measure(m), 120)}"
        + (f", objective {cell(m.objective, 80)}" if m.objective else "")
        for m in result.measures
        if not is_judged(m)
    ]
    return "<br>".join(told[:_MEASURES])


def _doubts(verdict: Verdict) -> Iterator[str]:
    doubts = [
        (result, doubt)
        for result in (*verdict.faults, *by_urgency(verdict.checks))
        for doubt in result.doubts
    ]
    if not doubts:
        return
    yield "Doubts:"
    yield ""
    for result, doubt in doubts[:_DOUBTS]:
        yield f"- {_code(result.name)} {cell(doubt.message)}"
    if len(doubts) > _DOUBTS:
        yield f"- … and {len(doubts) - _DOUBTS:,} more"


def _findings(verdict: Verdict) -> Iterator[list[str]]:
    """Of every failed check its claim and its first finding's timeline, folded in."""
    failed = [check for check in by_urgency(verdict.checks) if check.findings]
    for check in failed[:_FAILED]:
        yield list(_first_finding(check))
    if len(failed) > _FAILED:
        more = numbers.plural(len(failed) - _FAILED, "more failed check")
        yield [f"… and {more}, in report.html"]


def _first_finding(check: CheckResult) -> Iterator[str]:
    finding = check.findings[0]
    shown = timeline(finding.witness, 30)
    about = f" ({_html(finding.intent)})" if finding.intent else ""
    yield "<details>"
    yield (
        f"<summary>First of {numbers.plural(total(check), 'finding')}: "
        f"{_html(check.name)}: {_html(finding.message)}{about}</summary>"
    )
    yield ""
    yield f"Claim: {cell(check.claim)}"
    yield ""
    if shown.head:
        yield from _fenced(
            [
                *map(_entry, shown.head),
                *([f"… {shown.left_out:,} lines left out …"] if shown.left_out else []),
                *map(_entry, shown.tail),
            ]
        )
        yield ""
    yield "</details>"


def _html(value: object) -> str:
    """Text inside an HTML block, where Markdown is not read but mentions are."""
    text = visible(value, 300).replace("&", "&amp;").replace("<", "&lt;")
    return _MAGIC.sub("\\1\u200b", text)


def _entry(entry: Entry) -> str:
    return f"{entry.time:>10} s {'!' if entry.fault else ' '} {entry.who:<8} {entry.what}"


def _fenced(lines: Iterable[str]) -> Iterator[str]:
    """A block of code; its fence is longer than any run of backticks in it."""
    body = list(lines)
    fence = "`" * max(3, _longest_run("\n".join(body)) + 1)
    yield f"{fence}text"
    yield from body
    yield fence


def _last(run: Run, verdict: Verdict) -> Iterator[str]:
    for warning in verdict.warnings[:_DOUBTS]:
        yield f"- Warning: {cell(warning)}"
    if verdict.warnings:
        yield ""
    yield "Run it again:"
    yield ""
    yield from _fenced([visible(facts.command(run, verdict))])
