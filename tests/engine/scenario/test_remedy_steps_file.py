"""Remedies as a scenario file writes them, and how they are written down again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from payresil.core.scenario import RemedyStep, SystemChoice
from payresil.core.values import Duration
from payresil.engine.scenario_file import InvalidScenario, dump_scenario, load_scenario

Write = Callable[..., Path]

SCENARIO = """\
name: x
claim: y
system: {refpay-two-regions: {replication: quorum, flaw: promote-a-lagging-standby}}
workload: {rate: 50/s, duration: 40s, journeys: {checkout: 1}}
remedies:
  - {at: 0s, failover: {to: b}}
  - at: 5s
    confirm: 1500ms
    failover:
      to: a
      detect_after: 3s
  - {at: 9s, restore}
checks: [idempotency]
"""


def problems(write: Write, remedies: str) -> list[str]:
    """The problems of a list of remedies that begins in line 5."""
    head, _, tail = SCENARIO.partition("remedies:\n")
    checks = tail[tail.index("checks") :]
    path = write(f"{head}remedies:\n{remedies}{checks}")
    with pytest.raises(InvalidScenario) as caught:
        load_scenario(path)
    return [str(each).removeprefix(f"{path}:") for each in caught.value.problems]


def test_remedies_are_read_with_their_defaults(write: Write) -> None:
    scenario = load_scenario(write(SCENARIO))
    first, second, third = scenario.remedies
    assert first == RemedyStep(
        "failover",
        "failover",
        Duration(0),
        None,
        {"to": "b", "detect_after": Duration(1)},
    )
    assert first.where.endswith("scenario.yaml:6:5")
    assert (second.id, second.remedy, second.confirm) == ("failover.2", "failover", Duration(1.5))
    assert second.parameters == {"to": "a", "detect_after": Duration(3)}
    assert (third.id, third.parameters) == ("restore", {"ago": Duration(2)})


def test_system_flaw_and_replication_are_chosen_together(write: Write) -> None:
    assert load_scenario(write(SCENARIO)).system == SystemChoice(
        "refpay-two-regions", "promote-a-lagging-standby", "quorum"
    )


def test_what_is_recorded_loads_back_equal(write: Write) -> None:
    scenario = load_scenario(write(SCENARIO))
    again = write(dump_scenario(scenario), "again.yaml")
    assert load_scenario(again) == scenario
    assert load_scenario(again, recorded=True) == scenario
    assert "steps" not in again.read_text()


def test_a_scenario_without_remedies_records_none(write: Write) -> None:
    text = SCENARIO[: SCENARIO.index("remedies")] + "checks: [idempotency]\n"
    assert "remedies" not in dump_scenario(load_scenario(write(text)))


@pytest.mark.parametrize(
    ("remedies", "problem"),
    [
        ("  - {at: 0s, failovr: {to: b}}\n", "6:14: read the key 'failovr', expected "),
        ("  - {at: 0s, failover: {to: b}, restore: {}}\n", "6:33: read restore besides failover"),
        ("  - {failover: {to: b}}\n", "6:5: read no at"),
        ("  - {at: 0s}\n", "6:5: read a step without a remedy, expected a remedy: "),
        ("  - {at: 0, failover: {to: b}}\n", "6:10: read '0', expected a duration"),
        ("  - {at: 0s, confirm: soon, failover: {to: b}}\n", "6:23: read 'soon', expected a dur"),
        ("  - {at: 0s, confirm: -1s, failover: {to: b}}\n", "6:23: read '-1s', expected a durat"),
        (
            "  - {at: 0s, duration: 3s, failover: {to: b}}\n",
            "6:14: read the key 'duration', exp",
        ),
        ("  - {at: 0s, failover}\n", "6:22: read no to, expected the key to"),
        ("  - {at: 0s, failover: {to: b, steps: 3}}\n", "6:32: read the key 'steps', expected"),
        ("  - {at: 0s, failover: {to: b, detect: 3s}}\n", "6:32: read the key 'detect', expecte"),
        ("  - {at: 0s, failover: {to: [b]}}\n", "6:29: read "),
        ("  - failover\n", "6:5: read "),
        ("  {at: 0s, failover: {to: b}}\n", "6:3: read a mapping, expected a list of remedies"),
    ],
)
def test_every_problem_of_a_remedy_has_its_place(write: Write, remedies: str, problem: str) -> None:
    found = problems(write, remedies)
    assert any(each.startswith(problem) for each in found), found


def test_two_remedies_in_a_step_say_what_to_do(write: Write) -> None:
    (found,) = problems(write, "  - {at: 0s, failover: {to: b}, restore: {}}\n")
    assert "one remedy in a step; others are steps of their own" in found


def test_a_misspelt_remedy_names_the_nearest(write: Write) -> None:
    (found,) = problems(write, "  - {at: 0s, failovr: {to: b}}\n")
    assert "(did you mean failover?)" in found


def test_all_problems_come_at_once(write: Write) -> None:
    text = "  - {at: 0, failover: {to: b}}\n  - {restore}\n  - {at: 1s, confirm: x, nothing: {}}\n"
    assert len(problems(write, text)) >= 4


# --- which system ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        (
            "{refpay: {replication: synchronous}}",
            "3:19: read the key replication, expected no replication: refpay has one region, "
            "with one database",
        ),
        (
            "{refpay-two-regions: {replication: synchronos}}",
            "3:44: read 'synchronos', expected one of asynchronous, synchronous, quorum "
            "(did you mean synchronous?)",
        ),
        ("{refpay-two-regions: {replicaton: quorum}}", "3:31: read the key 'replicaton', expect"),
    ],
)
def test_a_replication_that_cannot_be(write: Write, choice: str, problem: str) -> None:
    lines = SCENARIO.splitlines()
    lines[2] = f"system: {choice}"
    path = write("\n".join(lines))
    with pytest.raises(InvalidScenario) as caught:
        load_scenario(path)
    assert any(str(each).startswith(f"{path}:{problem}") for each in caught.value.problems)


def test_a_broken_system_file_is_told_when_its_replication_is_chosen(write: Write) -> None:
    write("name: broken\n", "broken.yaml")
    text = SCENARIO.replace(
        "{refpay-two-regions: {replication: quorum, flaw: promote-a-lagging-standby}}",
        "{broken.yaml: {replication: quorum}}",
    )
    with pytest.raises(InvalidScenario, match=r"broken\.yaml:1:1: read no service"):
        load_scenario(write(text))
