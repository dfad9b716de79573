"""The verdicts of several scenarios in one file for CI: JUnit, and a comment."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from payresil.core.results import Outcome, Verdict
from payresil.render.md import cell
from payresil.render.summary import HEADS, counted, table_rows

#: A comment of GitHub's holds 65,536 characters.
_LONGEST = 60_000

#: What the root of a JUnit file adds up over its suites.
_SUMS = ("tests", "failures", "errors", "skipped")


def combined_junit(files: Sequence[str]) -> str:
    """One JUnit file with the suites of several, in their order."""
    suites = [suite for file in files for suite in ET.fromstring(file).iter("testsuite")]
    root = ET.Element(
        "testsuites",
        {name: str(sum(int(suite.get(name, "0")) for suite in suites)) for name in _SUMS},
    )
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.3f}")
    root.extend(suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def combined_md(
    verdicts: Sequence[Verdict], comments: Sequence[str], not_run: Sequence[str]
) -> str:
    """One comment: the table, then the comment of every scenario that did not pass, as they fit.

    `comments` are the verdicts' own, in the order of `verdicts`.
    """
    lines = [f"## {counted(verdicts, not_run)}", "", _row(HEADS), _row(["---"] * len(HEADS))]
    lines += [_row([cell(each) for each in row]) for row in table_rows(verdicts, not_run)]
    shown = "\n".join(lines) + "\n"
    for verdict, comment in zip(verdicts, comments, strict=True):
        if verdict.outcome is Outcome.PASS and verdict.exit_status == 0:
            continue
        if len(shown) + len(comment) > _LONGEST:
            return f"{shown}\n*More than a comment holds: the rest is in each run's report.md.*\n"
        shown += f"\n{comment}"
    return shown


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
