"""Several verdicts in one file for CI."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from markdown_it import MarkdownIt

from payresil.core.run import Run
from payresil.render.combined import combined_junit, combined_md
from payresil.render.junit import junit
from payresil.render.md import md

MARKDOWN = MarkdownIt("commonmark").enable("table")


def test_suites_keep_their_order_and_are_added_up(flawless, flawed, story):
    files = [junit(flawed, story.failed(flawed)), junit(flawless, story.undecided(flawless))]
    root = ET.fromstring(combined_junit(files))
    assert [suite.get("failures") for suite in root] == ["1", "0"]
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "20",
        "failures": "1",
        "errors": "3",
        "skipped": "0",
    }
    assert combined_junit([]).endswith('time="0.000" />\n')


def test_a_comment_has_the_table_and_whoever_is_not_green(flawless, flawed, story):
    verdicts = [story.passed(flawless, scenario="steady"), story.failed(flawed)]
    comments = [md(flawless, verdicts[0]), md(flawed, verdicts[1])]
    shown = combined_md(verdicts, comments, ["late"])
    page = MARKDOWN.render(shown)
    assert page.startswith("<h2>3 scenarios: 1 fail, 1 not run, 1 pass</h2>")
    assert "<td>steady</td>" in page
    assert "<td>late</td>" in page
    assert "## ❌ FAIL: psp-lost-answers" in shown
    assert "PASS: steady" not in shown


def test_a_comment_fits_and_hostile_names_do_not_act(story):
    run = Run.from_rows({})
    evil = "[x](http://evil.example) | @everyone <img src=x>"
    verdict = story.verdict_of(run, [], [], exit_status=4, broken="b", scenario=evil)
    shown = combined_md([verdict] * 3, ["c" * 30_000] * 3, [evil])
    assert len(shown) < 65_536
    assert "the rest is in each run's report.md" in shown
    page = MARKDOWN.render(shown)
    assert "<img" not in page
    assert "<a " not in page
    assert page.count("<tr>") == 5
