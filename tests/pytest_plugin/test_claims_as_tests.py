"""Every claim of a scenario is a test, and none is greener than the run."""

from __future__ import annotations

from typing import Any

import pytest

NAMES = ("fine", "flawed", "undecided", "broken", "broken-late", "no-environment", "silent")


@pytest.fixture(scope="module")
def done(shared_project: Any) -> Any:
    """One pytest over scenarios that end in every way."""
    for name in NAMES:
        shared_project.scenario(name)
    return shared_project.pytest("scenarios")


def test_a_file_is_run_once_and_gives_a_test_per_claim(done: Any, shared_project: Any) -> None:
    assert sorted(shared_project.runs) == sorted(f"{name} 5 None" for name in NAMES)
    for name in NAMES:
        tests = [test.split(" ", 1)[1] for test in done.tests if test.startswith(f"{name} ")]
        assert tests == ["run", "fault psp_lost_answers bit", "idempotency", "durability"]


def test_what_held_passes(done: Any) -> None:
    assert {word for test, (word, _) in done.tests.items() if test.startswith("fine ")} == {
        "passed"
    }


def test_a_finding_fails_and_shows_claim_witness_and_command(done: Any) -> None:
    word, said = done.tests["flawed idempotency"]
    assert word == "failure"
    assert said.splitlines()[:2] == [
        "FAIL: captured 2 times (and 2 more)",
        "claim: The claim of idempotency. [idempotency]",
    ]
    assert "captured 2 times [r-1]" in said
    assert "1.100 s ! psp      charge ch_2 succeeded" in said
    assert "again: payresil --import own.py run scenarios/flawed.yaml --seed 5\n" in said
    assert said.splitlines()[-1].startswith("report: reports/pytest-") or "/report.html" in said
    assert "Traceback" not in done.out
    assert done.tests["flawed durability"][0] == "passed"


def test_undecided_is_a_failure_that_says_so(done: Any) -> None:
    word, said = done.tests["undecided durability"]
    assert word == "failure"
    assert said.startswith("INCONCLUSIVE: nothing was put to the test\nclaim: The claim of dur")
    assert "again: payresil" in said


def test_what_broke_is_an_error_for_every_claim(done: Any) -> None:
    for name, words in (("broken", "the run broke: a/db died"), ("no-environment", "no supervi")):
        for test, (word, said) in done.tests.items():
            if test.startswith(f"{name} "):
                assert word == "error"
                assert words in said
                assert "again: payresil --import" in said


def test_a_violation_stays_one_when_something_broke_later(done: Any) -> None:
    assert done.tests["broken-late idempotency"][0] == "failure"
    assert done.tests["broken-late durability"][0] == "error"


def test_a_red_exit_status_shows_when_no_claim_does(done: Any) -> None:
    word, said = done.tests["silent run"]
    assert word == "failure"
    assert "every claim held, and the exit status is 3" in said


def test_nothing_is_skipped_and_the_folders_are_told(done: Any) -> None:
    assert "skipped" not in {word for word, _ in done.tests.values()}
    assert done.status == 1
    assert "payresil: run folders are in " in done.out


def test_names_are_claims_and_all_differ(shared_project: Any, done: Any) -> None:
    shared_project.scenario("twice", "[idempotency, latency, latency: {p99: 2s}]")
    listed = shared_project.pytest("--collect-only", "-q", "scenarios/twice.yaml").out
    lines = [line.split("::")[1] for line in listed.splitlines() if "::" in line]
    assert [line.split(":")[0] for line in lines] == [
        "run", "fault psp_lost_answers bit", "idempotency", "latency", "latency.2",
    ]  # fmt: skip
    assert any("moves money at most once" in line for line in lines)
