"""Several verdicts as a table."""

from __future__ import annotations

from payresil.core.run import Run
from payresil.render.summary import summary
from payresil.render.visible import width


def test_a_line_for_every_verdict_and_a_count(flawless, flawed, story):
    empty = Run.from_rows({})
    broken = story.verdict_of(empty, [], [], broken="x", exit_status=4, scenario="zone-lost")
    shown = summary([story.passed(flawless), story.failed(flawed), broken])
    assert shown.splitlines() == [
        "verdict  scenario          checks  findings  recovery  exit",
        "pass     psp-lost-answers  8 of 8  0         9.25 s    0",
        "FAIL     psp-lost-answers  7 of 8  66        9.25 s    1",
        "BROKEN   zone-lost         0 of 0  0         –         4",
        "",
        "3 scenarios: 1 fail, 1 broken, 1 pass",
    ]


def test_long_and_wide_names_are_cut_to_fit(flawless, story):
    names = ["n" * 300, "付" * 100, "\x1b[31m"]
    shown = summary([story.passed(flawless, scenario=name) for name in names])
    assert max(map(width, shown.splitlines())) <= 100
    assert "\x1b" not in shown
    assert "…" in shown


def test_no_scenario_at_all():
    assert summary([]) == "no scenario was run\n"


def test_colour_when_asked(flawless, story):
    assert "\x1b[32mpass\x1b[0m" in summary([story.passed(flawless)], colour=True)


def test_scenarios_that_had_no_turn_are_counted(flawless, story):
    shown = summary([story.passed(flawless)], not_run=["late", "later"])
    assert shown.splitlines()[2:] == [
        "NOT RUN  late              –       –         –         –",
        "NOT RUN  later             –       –         –         –",
        "",
        "3 scenarios: 2 not run, 1 pass",
    ]
    assert summary([], not_run=["late"]).splitlines()[-1] == "1 scenario: 1 not run"
