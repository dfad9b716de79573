"""What README shows is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def payresil(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "payresil.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_scenario_shown_is_the_one_that_make_run_runs() -> None:
    shown = (ROOT / "scenarios" / "gate" / "psp-lost-answers.yaml").read_text()
    assert shown in blocks("yaml")


def test_every_python_block_compiles() -> None:
    assert len(blocks("python")) == 3
    for block in blocks("python"):
        compile(block, "README.md", "exec")


def test_the_fault_shown_can_be_named_in_a_scenario(tmp_path: Path) -> None:
    fault = next(block for block in blocks("python") if "my_faults.py" in block)
    (tmp_path / "my_faults.py").write_text(fault)
    scenario = tmp_path / "mine.yaml"
    scenario.write_text(
        blocks("yaml")[0].replace("psp_lost_answers: {share: 30%}", "slow_database: {delay: 150ms}")
    )
    done = payresil("--import", str(tmp_path / "my_faults.py"), "explain", str(scenario))
    assert done.returncode == 0, done.stderr
    assert "The database answers late." in done.stdout


@pytest.mark.parametrize(
    "file", re.findall(r"\]\((?!https?:)([^)#]+)\)", README), ids=lambda file: file
)
def test_every_link_leads_somewhere(file: str) -> None:
    assert (ROOT / file).exists()


@pytest.mark.parametrize("what", ["faults", "checkers", "flaws", "journeys"])
def test_what_scenarios_can_name_is_listed(what: str) -> None:
    done = payresil("list", what)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 1


def test_the_commands_shown_exist() -> None:
    named = set(re.findall(r"^\$ payresil (?:--import \S+ )?(\w+)", README, re.MULTILINE))
    assert named
    for command in named:
        assert payresil(command, "--help").returncode == 0, command
