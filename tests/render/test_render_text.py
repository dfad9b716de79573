"""What the terminal shows at the end of a run."""

from __future__ import annotations

import re

from payresil.core.run import Run
from payresil.render.text import text
from payresil.render.visible import width


def test_the_verdict_is_the_last_line(flawed, story):
    shown = text(flawed, story.failed(flawed))
    assert shown.endswith("\nFAIL  psp-lost-answers  66 findings · exit 1\n")


def test_each_check_is_a_line_with_outcome_name_and_what_it_judged(flawless, story):
    shown = text(flawless, story.passed(flawless))
    assert re.search(r"^  pass +durability +1,290 intents judged · data_loss 0 payments$", shown,
                     re.MULTILINE)  # fmt: skip
    assert re.search(r"^  bit +psp_lost_answers +10\.0 s to 18\.0 s", shown, re.MULTILINE)


def test_a_finding_has_its_timeline_and_the_fault_is_marked(flawed, story):
    shown = text(flawed, story.failed(flawed))
    assert "  ✗ idempotency: captured 2 times" in shown
    assert re.search(r"s ! psp +payment_intents\.create: answer not sent", shown)
    assert len(re.findall(r"^  ✗ ", shown, re.MULTILINE)) == 3
    assert "… 63 more findings" in shown


def test_doubts_stand_indented_under_their_check(flawless, story):
    shown = text(flawless, story.undecided(flawless))
    assert "  ? idempotency\n      nothing was ever tried twice" in shown
    assert "        1/0\n" in shown  # the end of the traceback
    assert "INCONCLUSIVE  psp-lost-answers  0 findings · 2 not decided · " in shown
    assert "exit 3" in shown.splitlines()[-1]


def test_no_line_is_wider_than_100_columns(flawed, flawless, story):
    for run, verdict in [
        (flawed, story.failed(flawed, claim="a long claim " * 40)),
        (flawless, story.undecided(flawless, warnings=("w" * 300,))),
    ]:
        assert max(map(width, text(run, verdict).splitlines())) <= 100


def test_colour_only_when_asked_and_only_around_words(flawed, story):
    verdict = story.failed(flawed)
    plain, coloured = text(flawed, verdict), text(flawed, verdict, colour=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b[1;31mFAIL\x1b[0m  psp-lost-answers" in coloured


def test_a_run_that_broke_says_what_broke(story):
    run = Run.from_rows({})
    verdict = story.verdict_of(run, [], [], broken="a/db died at start", exit_status=4)
    shown = text(run, verdict)
    assert "broken: a/db died at start" in shown
    assert shown.endswith("BROKEN  psp-lost-answers  0 findings · exit 4\n")


def test_the_command_repeats_the_seed_and_the_flaw(flawed, story):
    command = "payresil run scenarios/gate/psp-lost-answers.yaml --flaw key-per-attempt --seed 7"
    assert f"again: {command}\n" in text(flawed, story.failed(flawed))
