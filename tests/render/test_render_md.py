"""A comment on a pull request: short, and nothing in it acts."""

from __future__ import annotations

import re
from dataclasses import replace

from markdown_it import MarkdownIt

from payresil.core.results import Finding, Line, Measure, Outcome
from payresil.render.md import md

MARKDOWN = MarkdownIt("commonmark").enable("table")


def test_the_verdict_comes_first(flawed, story):
    lines = md(flawed, story.failed(flawed)).splitlines()
    assert lines[0] == "## ❌ FAIL: psp-lost-answers"
    assert lines[4].startswith("**Money went wrong: 66 violations of idempotency.**")


def test_the_tables_are_tables(flawless, story):
    page = MARKDOWN.render(md(flawless, story.passed(flawless)))
    assert page.count("<table>") == 2
    assert page.count("<tr>") == 1 + 8 + 1 + 1
    assert "<code>steady_availability</code> 99.93% [99.71% to 99.99%]" in page


def test_the_first_timeline_is_folded(flawed, story):
    shown = md(flawed, story.failed(flawed))
    folded = shown[shown.index("<details>") : shown.index("</details>")]
    assert "<summary>First of 66 findings: idempotency: captured 2 times" in folded
    assert "answer not sent" in folded
    assert shown.count("<details>") == 1


def test_every_failed_check_has_its_claim_and_first_timeline(flawed, story):
    verdict = story.failed(flawed)
    slow = Finding("p99 was 3 s", "r-9", (Line(1, "client", "attempt 1 (load)"),))
    late = Finding("back after 40 s")
    found = {"latency": (slow, slow), "recovery": (late,)}
    checks = tuple(
        replace(check, outcome=Outcome.FAIL, findings=found[check.name], findings_total=2)
        if check.name in found
        else check
        for check in verdict.checks
    )
    shown = md(flawed, replace(verdict, checks=checks))
    assert re.findall(r"<summary>First of ([^:]+): (\w+): ", shown) == [
        ("66 findings", "idempotency"),
        ("2 findings", "latency"),
        ("2 findings", "recovery"),
    ]
    for check in checks:
        if check.outcome is Outcome.FAIL:
            assert f"\n\nClaim: {check.claim}\n\n" in shown
    assert shown.count("```text") == 3  # two timelines and the command; one finding has none
    assert shown.count("</details>") == 3
    many = tuple(replace(checks[0], name=f"check{n}") for n in range(11))
    shown = md(flawed, replace(verdict, checks=many))
    assert shown.count("<details>") == 8
    assert "… and 3 more failed checks, in report.html" in shown


def test_doubts_and_warnings_are_listed(flawless, story):
    shown = md(flawless, story.undecided(flawless, warnings=("the fault is too long",)))
    assert "- `idempotency` nothing was ever tried twice" in shown
    assert "- Warning: the fault is too long" in shown


def test_hostile_text_makes_no_link_image_html_or_mention(flawless, story):
    evil = (
        "[x](http://evil.example) ![i](http://evil.example/i.png) <img src=x> </details> "
        "@everyone #12 | `a` ``b`` **bold** www.evil.example ~~gone~~ $x$ &lt;"
    )
    verdict = story.undecided(flawless, scenario=evil, claim=evil, warnings=(evil,))
    check = replace(
        verdict.checks[0],
        name=evil,
        measures=(Measure(evil, 1, evil, objective=evil),),
        findings=(Finding(evil, evil, (Line(1, evil, f"```` {evil}"),)),),
    )
    shown = md(flawless, replace(verdict, checks=(check, *verdict.checks[1:])))
    kinds = {
        token.type for block in MARKDOWN.parse(shown) for token in [block, *(block.children or [])]
    }
    assert not kinds & {"link_open", "image", "s_open", "em_open"}
    page = MARKDOWN.render(shown)
    assert "<img" not in page
    assert page.count("</details>") == 1
    assert page.count("<table>") == 2
    outside_code = [
        child.content
        for token in MARKDOWN.parse(shown)
        for child in token.children or []
        if child.type == "text"
    ]
    assert not any("@e" in text or "#1" in text or "www." in text for text in outside_code)


def test_it_fits_in_a_comment(flawless, story):
    verdict = story.undecided(flawless)
    long = "\x00&<|" * 1000
    checks = [
        replace(check, name=f"{i}{long}", measures=tuple([Measure(long, 1, long)] * 50))
        for i in range(30)
        for check in verdict.checks
    ]
    shown = md(flawless, replace(verdict, checks=tuple(checks), claim=long, warnings=(long,) * 99))
    assert len(shown) < 65_536
    assert shown.startswith("## ⚠️ INCONCLUSIVE")
    assert "too long for a comment" in shown
