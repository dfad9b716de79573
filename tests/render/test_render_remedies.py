"""Remedies in every form of the report."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from payresil.core.results import CheckResult, Measure, Outcome
from payresil.core.run import Run
from payresil.render.html import html
from payresil.render.md import md
from payresil.render.remedies import definitions, remedy_rows, remedy_windows
from payresil.render.text import text
from payresil.render.windows import Window

S = 1_000_000_000
WHY = "b/db could not be reached: <timed out> " + "x" * 300 + " at last"


def event(at_s, kind, what, **detail):
    return {
        "at_ns": round(at_s * S),
        "kind": kind,
        "name": "failover",
        "what": what,
        "detail": json.dumps(detail),
    }


def events(*, fails=False, **parameters):
    last = {"error": WHY} if fails else {"node": "b/db"}
    how = "failed" if fails else "end"
    return [
        event(10, "remedy", "begin", to="b", **parameters),
        event(10, "remedy_step", "begin", step="detect"),
        event(12, "remedy_step", "end", step="detect"),
        event(12, "remedy_step", "begin", step="decide"),
        event(14.5, "remedy_step", "end", step="decide"),
        event(14.5, "remedy_step", "begin", step="promote"),
        event(15.25, "remedy_step", how, step="promote", **last),
        event(15.25, "remedy", how, **({"error": WHY} if fails else {})),
    ]


def test_a_remedy_in_words():
    (row,) = remedy_rows(Run.from_rows({}, events=events()))
    assert (row.name, row.when, row.took, row.result, row.failed) == (
        "failover", "10.0 s to 15.2 s", "5.25 s", "done", False,
    )  # fmt: skip
    assert row.who == "automatic"
    assert row.parameters == "to: b"
    assert [(step.name, step.took, step.result) for step in row.steps] == [
        ("detect", "2 s", "done"),
        ("decide", "2.5 s", "done"),
        ("promote", "0.75 s", "done, node: b/db"),
    ]


def test_a_confirmation_is_told_with_its_waiting():
    (row,) = remedy_rows(Run.from_rows({}, events=events(confirm="2.5s")))
    assert row.who == "confirmed after 2.5 s"
    (row,) = remedy_rows(Run.from_rows({}, events=events(confirm="2.5s")[:4]))
    assert row.who == "waited for a confirmation"
    assert row.result == "never ended"
    assert row.when == "10.0 s on, never ended"


def test_when_remedies_were_at_work():
    run = Run.from_rows({}, events=events())
    assert remedy_windows(run) == [Window("failover", 10 * S, round(15.25 * S))]
    assert remedy_windows(Run.from_rows({}, events=[])) == []


def rows_of(run, table):
    asked = run.sql.execute(f"from {table}")
    names = [column[0] for column in asked.description]
    return [dict(zip(names, row, strict=True)) for row in asked.fetchall()]


@pytest.fixture
def failed_over(flawless):
    """The made-up run with remedies, and the checks about them."""

    def make(**how):
        old = rows_of(flawless, "events")
        attempts = rows_of(flawless, "attempts")
        return Run.from_rows(flawless.meta, attempts=attempts, events=[*old, *events(**how)])

    return make


def with_data_loss(verdict):
    lost = CheckResult(
        "data_loss", "objective", "Little is lost.", Outcome.PASS,
        measures=(
            Measure("acknowledged_judged", 900),
            Measure("data_loss", 3, "payments", objective="at most 5"),
            Measure("data_loss_after_reconciliation", 1, "payments"),
            Measure("detection_time", 2.0, "s"),
        ),
    )  # fmt: skip
    return replace(verdict, checks=(*verdict.checks, lost))


def test_definitions_of_what_is_shown(flawless, story):
    verdict = story.passed(flawless)
    assert [term.name for term in definitions(verdict)] == ["recovery_time", "data_loss"]
    names = [term.name for term in definitions(with_data_loss(verdict))]
    assert names == ["recovery_time", "detection_time", "data_loss"]
    assert definitions(replace(verdict, checks=())) == []


@pytest.mark.parametrize("render", [text, md, html])
def test_every_form_shows_the_remedy_and_the_figures(failed_over, story, render):
    run = failed_over()
    page = render(run, with_data_loss(story.passed(run)))
    shown = page.replace("\\_", "_")
    for words in ("failover", "promote", "0.75 s", "automatic", "10.0 s to 15.2 s"):
        assert words in shown
    assert "3 payments" in shown or "<dd>3 " in shown
    assert "objective at most 5" in shown


@pytest.mark.parametrize("render", [text, md, html])
def test_one_that_failed_is_told_in_full(failed_over, story, render):
    run = failed_over(fails=True)
    page = " ".join(render(run, story.passed(run)).split())
    assert "could not be reached" in page
    assert "at last" in page
    assert "<timed out>" not in page or render is text


def test_the_first_lines_of_a_comment_have_the_figures(failed_over, story):
    run = failed_over()
    head = md(run, with_data_loss(story.passed(run))).split("\n| ")[0].replace("\\_", "_")
    assert "recovery_time 9.25 s, objective at most 15s" in head
    assert "data_loss 3 payments, objective at most 5" in head
    assert "data_loss_after_reconciliation 1 payments" in head


def test_the_last_lines_of_a_terminal_have_the_figures(failed_over, story):
    run = failed_over()
    last = text(run, with_data_loss(story.passed(run)))[-700:]
    assert "recovery_time 9.25 s" in last
    assert "data_loss 3 payments" in last
    assert max(map(len, last.splitlines())) <= 100


def test_charts_have_a_bar_for_a_remedy(failed_over, flawless, story):
    run = failed_over()
    page = html(run, story.passed(run))
    assert page.count('class="remedy-bar"') == page.count('class="remedy-name"') > 0
    assert 'class="remedy-bar"' not in html(flawless, story.passed(flawless))


def test_without_remedies_there_is_no_table(flawless, story):
    verdict = replace(story.passed(flawless), checks=())
    assert 'id="remedies"' not in html(flawless, verdict)
    assert "remedies" not in text(flawless, verdict)
    assert text(flawless, story.passed(flawless)).count("recovery_time") == 1
    assert "decided" not in md(flawless, verdict)
