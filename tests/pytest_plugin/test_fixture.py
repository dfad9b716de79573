"""The fixture `payresil`, for tests that say themselves what they expect."""

from __future__ import annotations

from typing import Any

TESTS = """
import pytest

from payresil.engine.scenario_process import NoVerdict


def test_a_flaw_is_caught(payresil):
    verdict = payresil.run("scenarios/flawed.yaml", flaw="key-per-attempt", seed=9)
    assert verdict.outcome == "fail"
    assert verdict.exit_status == 1
    assert verdict.checks[0].findings[0].message == "captured 2 times"
    folder = payresil.folder(verdict)
    assert folder.joinpath("verdict.json").is_file()
    assert payresil.open_run(folder).one("select count(*) from attempts") == 0


def test_every_call_is_a_run(payresil):
    for _ in range(2):
        assert payresil.run("scenarios/fine.yaml").exit_status == 0


def test_it_is_judged_again(payresil):
    verdict = payresil.run("scenarios/fine.yaml")
    again = payresil.judge(payresil.folder(verdict))
    assert again.exit_status == 3  # nobody came, so nothing was judged


def test_no_verdict_says_why(payresil):
    with pytest.raises(NoVerdict, match="there is no supervisor"):
        payresil.run("scenarios/no-environment.yaml")
    with pytest.raises(NoVerdict, match="nowhere.yaml"):
        payresil.run("scenarios/nowhere.yaml")
    with pytest.raises(NoVerdict, match="no run folder"):
        payresil.judge("scenarios")
"""


def test_what_it_offers(project: Any) -> None:
    for name in ("fine", "flawed", "no-environment"):
        project.scenario(name)
    project.write("test_own.py", TESTS)
    done = project.pytest("test_own.py")
    assert done.status == 0, done.out
    assert project.runs == [
        "flawed 9 key-per-attempt", "fine 5 None", "fine 5 None", "fine 5 None",
        "no-environment 5 None",
    ]  # fmt: skip


BAD_PATHS = """
def test_a_scenario(payresil):
    payresil.run("scenarios/nowhere.yaml")


def test_a_run(payresil):
    payresil.judge("nowhere")


def test_tables(payresil):
    payresil.open_run("nowhere")
"""


def test_a_bad_path_shows_the_line_that_named_it_and_none_of_ours(project: Any) -> None:
    project.write("test_own.py", BAD_PATHS)
    done = project.pytest("test_own.py")
    assert done.status == 1, done.out
    assert 'payresil.run("scenarios/nowhere.yaml")' in done.out
    assert 'payresil.judge("nowhere")' in done.out
    assert 'payresil.open_run("nowhere")' in done.out
    assert "NoVerdict: " in done.out
    assert "RunError: " in done.out
    assert "fixture.py" not in done.out
    assert "scenario_process.py" not in done.out
    assert "core/run.py" not in done.out
