"""What the page on CI shows works as it is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from payresil.core.results import Exit
from payresil.engine.series import worst_status

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci-gates.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def help_of(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_the_jobs_are_yaml_and_run_the_same_gate() -> None:
    github, gitlab = (yaml.safe_load(block) for block in blocks("yaml"))
    steps: list[dict[str, Any]] = github["jobs"]["gates"]["steps"]
    command = next(step["run"] for step in steps if "payresil run" in step.get("run", ""))
    assert command in gitlab["payment-gates"]["script"]
    assert f"$ {command}\n" in PAGE
    assert (ROOT / command.split()[2]).is_dir()
    for step in steps[steps.index(next(s for s in steps if s.get("run") == command)) + 1 :]:
        assert step["if"] == "always()"  # a red gate is when its reports are wanted
    assert gitlab["payment-gates"]["artifacts"]["reports"]["junit"] in command


def test_the_options_shown_exist() -> None:
    run = help_of("payresil.cli", "run")
    for option in ("--out", "--junit", "--summary", "--seed"):
        assert option in PAGE
        assert option in run
    shown = set(re.findall(r"--payresil-\w+", PAGE))
    offered = help_of("pytest")
    assert shown == set(re.findall(r"--payresil-\w+", offered))
    assert set(re.findall(r"`(payresil_\w+)`", PAGE)) == set(
        re.findall(r"^  (payresil_\w+)", offered, re.MULTILINE)
    )


def test_the_tests_shown_compile_and_name_scenarios_that_exist() -> None:
    (block,) = blocks("python")
    compile(block, "ci-gates.md", "exec")
    for file in re.findall(r"scenarios/gate/[a-z-]+\.yaml", PAGE):
        assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("status", [1, 2, 3, 4, 130, 0])
def test_every_exit_status_is_explained(status: int) -> None:
    assert re.search(rf"^\| {status} \|", PAGE, re.MULTILINE)


def test_the_order_of_the_statuses_is_the_one_that_is_told() -> None:
    order = [int(each) for each in re.findall(r"\d+", re.findall(r"counts: ([^.]+)\.", PAGE)[0])]
    assert sorted(order) == sorted(
        [Exit.PASS, Exit.FAIL, Exit.INCONCLUSIVE, Exit.BROKEN, Exit.INTERRUPTED]
    )
    for better, worse in zip(order[1:], order, strict=False):
        assert worst_status([better, worse]) == worse
