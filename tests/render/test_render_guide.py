"""The guide and the reports use the same words."""

from __future__ import annotations

from pathlib import Path

import pytest

from payresil.render.wording import MEANINGS, STATUSES, TERMS, WORDS

GUIDE = (Path(__file__).parents[2] / "docs" / "reading-a-report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_the_guide_has_every_exit_status_as_the_report_explains_it(status):
    (row,) = [line for line in GUIDE.splitlines() if f"| {status} | {STATUSES[status]} |" in line]
    assert WORDS.get(status, "–") in row


@pytest.mark.parametrize("term", [term.name for term in TERMS])
def test_the_guide_defines_every_term(term):
    assert f"**{term}**" in GUIDE


def test_every_word_of_a_verdict_has_a_meaning():
    assert set(WORDS.values()) < set(MEANINGS)
