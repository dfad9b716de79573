"""The report for people: whole, alone, accessible, and no greener than the evidence."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise

import pytest

from payresil.core.results import Finding, Line, Measure
from payresil.core.run import Run
from payresil.render.html import html

STYLE = (files("payresil.render") / "templates" / "report.css").read_text()


@pytest.fixture(scope="module")
def failing(flawed, story):
    return html(flawed, story.failed(flawed))


@pytest.fixture(scope="module")
def passing(flawless, story):
    return html(flawless, story.passed(flawless))


def test_it_is_well_formed(failing, passing, flawless, story):
    for page in (failing, passing, html(flawless, story.undecided(flawless))):
        found = story.elements(page)
        assert found.open == []
        assert found.wrong == []
        assert len(found.ids) == len(set(found.ids))
        assert page.count("<svg") == 3


def test_it_needs_nothing_else(failing, story):
    found = story.elements(failing)
    assert not found.named("script")
    assert "javascript:" not in failing
    for _, attributes in found.tags:
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert "@import" not in failing
    assert not re.search(r"url\((?!#)", failing)


def test_the_first_screen_says_it_all(failing):
    head = failing[: failing.index('id="findings"')]
    for said in (
        "psp-lost-answers",
        "A customer is charged once, even when the PSP&#39;s answer never arrives.",
        "Money went wrong: 66 violations of idempotency.",
        "exit 1",
        "9.25",
        "data loss",
        "1,290",
        "1,356",
        "1,356 psp charges",
    ):
        assert said in head


def test_every_check_stands_in_its_table(passing, story):
    text = story.elements(passing).texts
    rows = [row for row in text["tr"] if "money" in row or "objective" in row]
    assert len([row for row in rows if "✓" in row and "pass" in row]) >= 8
    assert any("99.93%" in row and "[99.71% to 99.99%]" in row and "at least 99%" in row
               for row in rows)  # fmt: skip


def test_a_finding_shows_who_said_what_when(failing, story):
    found = story.elements(failing)
    assert {"client", "service", "psp"} <= set(found.texts["th"])
    rows = found.texts["tr"]
    assert any("⚡" in row and "answer not sent" in row for row in rows)
    assert any("+2.960" in row and "unknown, no answer: timeout" in row for row in rows)


def test_an_inconclusive_report_explains_and_does_not_promise(flawless, story):
    page = html(flawless, story.undecided(flawless, warnings=("a lint",)))
    assert "nothing was ever tried twice, so nothing was put to the test" in page
    assert "Treat it like a red build" in page
    assert "not shown to bite" in page
    assert "may have missed one" in page
    assert "<b>Warning:</b> a lint" in page
    assert "checks held" not in page


def test_all_ten_principles_are_there(passing, story):
    rows = [row for row in story.elements(passing).texts["tr"] if re.match(r"\s*\d+\s", row)]
    assert len(rows) == 10 + 0 * len(rows)
    assert sum("not covered" in row for row in rows) == 5
    assert "idempotency" in rows[3]
    assert "Checks that belong to none of the ten: <code>availability</code>" in passing


def test_the_facts_of_the_run_and_nothing_secret(failing):
    for said in ("a/service.2", "postgresql: 18.4", "--flaw key-per-attempt --seed 7", "psp_rules"):
        assert said in failing
    assert "not for a report" not in failing


def test_charts_say_what_they_show(passing, story):
    found = story.elements(passing)
    for attributes in found.named("svg"):
        assert attributes["role"] == "img"
        assert set(attributes["aria-labelledby"].split()) <= set(found.ids)
    assert all(found.texts["desc"])
    assert "⚡ psp_lost_answers" in found.texts["text"]
    assert {"steady", "faulted", "recovering"} <= set(found.texts["text"])
    assert "logarithmic axis" in passing


def test_headings_tables_and_signs_are_accessible(failing, story):
    found = story.elements(failing)
    assert found.named("html")[0]["lang"] == "en"
    assert len(found.named("h1")) == 1
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") for attributes in found.named("th"))
    assert "✗</span> fail" in failing  # word and sign, not colour alone
    assert "✓</span> pass" in failing


def test_the_figures_behind_the_charts_are_a_table(passing, story):
    body = passing[passing.index("The figures behind the charts") :]
    assert body.count("<tr>") >= 42


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(scheme):
    """WCAG 2.2 AA: 4.5 to 1."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", blocks[0]))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", blocks[1]))
    pairs = [(ink, paper) for ink in ("ink", "quiet") for paper in ("paper", "sheet")]
    pairs += [(word, "paper") for word in ("pass", "fail", "inconclusive", "broken", "link")]
    pairs += [(word, f"{word}-paper") for word in ("pass", "fail", "inconclusive", "broken")]
    pairs += [("ink", f"{word}-paper") for word in ("pass", "fail", "inconclusive", "broken")]
    pairs += [(line, "paper") for line in ("p50", "p95", "p99", "fault")]
    assert {pair: round(contrast(*(colours[name] for name in pair)), 1) for pair in pairs
            if contrast(*(colours[name] for name in pair)) < 4.5} == {}  # fmt: skip


def contrast(one, other):
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_an_empty_run_is_a_report_too(story):
    run = Run.from_rows({})
    page = html(run, story.verdict_of(run, [], []))
    assert story.elements(page).wrong == []
    assert "No check ran, so nothing was judged." in page
    assert "Nothing was judged, so nothing could be found." in page
    assert "No load was recorded" in page
    assert "<svg" not in page


def test_a_run_without_faults_says_nothing_about_faults(story):
    run = story.made_up(story.plan(seconds=5, faults=()))
    page = html(run, story.passed(run))
    assert "No fault was injected, so this run says nothing about faults." in page
    assert "no fault was injected" in page


def test_load_that_was_never_answered_has_no_latency_chart(story):
    row = {"intent": "i", "operation": "pay", "attempt": 1, "source": "load", "kind": "create",
           "due_ns": 0, "sent_ns": 0, "done_ns": 1, "outcome": "unknown"}  # fmt: skip
    run = Run.from_rows({}, attempts=[row])
    page = html(run, story.verdict_of(run, [], []))
    assert page.count("<svg") == 2


def test_thousands_of_findings_stay_readable(flawed, story):
    verdict = story.failed(flawed)
    witness = tuple(Line(i * 10**6, "client", "x" * 5000) for i in range(500))
    many = tuple(Finding(f"finding {i}", f"i-{i}", witness) for i in range(3000))
    first = replace(verdict.checks[0], findings=many, findings_total=12_345)
    page = html(flawed, replace(verdict, checks=(first, *verdict.checks[1:])))
    assert len(page) < 1_000_000
    assert "12,345 findings, the first 100 shown" in page
    assert "460 lines left out" in page
    assert story.elements(page).wrong == []


def test_findings_without_timelines_are_listed_with_the_way_to_theirs(failing, story):
    assert "61 more, without timelines" in failing
    assert "payresil sql RUN &#34;select at_ns / 1e9 as s, who, what from timeline" in failing
    assert sum("3,998 eur" in item for item in story.elements(failing).texts["li"]) == 61


def test_a_check_with_thousands_does_not_push_out_the_others(flawed, story):
    verdict = story.failed(flawed)
    many = tuple(Finding(f"finding {i}") for i in range(1000))
    checks = [
        replace(check, findings=many if i == 0 else (Finding(f"the only one of {check.name}"),))
        for i, check in enumerate(verdict.checks)
    ]
    page = html(flawed, replace(verdict, checks=tuple(checks)))
    for check in checks[1:]:
        assert f"the only one of {check.name}" in page


def test_a_long_run_is_a_small_file(story):
    faults = tuple((f"fault.{i}", 10.0 * i, 10.0 * i + 5) for i in range(1, 60))
    run = story.made_up(story.plan(seconds=7200, rate=1, faults=faults))
    page = html(run, story.passed(run))
    assert len(page) < 1_000_000
    assert page.count('class="pointed"') < 3 * 400


def test_measures_that_are_missing_or_odd_are_shown_as_such(flawless, story):
    verdict = story.passed(flawless)
    odd = replace(
        verdict.checks[0],
        measures=(Measure("recovery_time", None, "s"), Measure("x", float("nan"), "s", low=1.0)),
    )
    page = html(flawless, replace(verdict, checks=(odd,)))
    assert "not measured" in page or "not <" in page
    assert "not a number" in page
