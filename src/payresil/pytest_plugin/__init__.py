"""Scenarios as tests: `pytest scenarios/gate` runs each file once and gives a test per claim.

Nothing of the harness is imported before a scenario is collected: every pytest of an environment
loads this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from payresil.engine.scenario_folder import is_record, is_scenario
from payresil.pytest_plugin.settings import add_options, known_runs, runs_of

if TYPE_CHECKING:
    from payresil.pytest_plugin.fixture import Payresil
    from payresil.pytest_plugin.scenario import ScenarioFile

#: Handed to the workers of pytest-xdist, so that all share one folder.
_SHARED = "payresil_folder"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `payresil run`, under names that no other plug-in claims."""
    add_options(parser)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """YAML that is no scenario is left to others, and so are the copies in run folders."""
    if file_path.suffix != ".yaml" or not is_scenario(file_path):
        return None
    if is_record(file_path) and not parent.session.isinitpath(file_path):
        return None
    from payresil.pytest_plugin.scenario import ScenarioFile

    return ScenarioFile.from_parent(parent, path=file_path)


def pytest_configure(config: pytest.Config) -> None:
    """In a worker of pytest-xdist: take the folder that all workers share."""
    shared = getattr(config, "workerinput", {}).get(_SHARED)
    if shared is not None:
        runs_of(config, Path(shared))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the runs of this test run go."""
    node.workerinput[_SHARED] = str(runs_of(node.config).folder)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the run folders are."""
    runs = known_runs(config)
    if runs is not None and runs.folder.exists():
        terminalreporter.write_line(f"payresil: run folders are in {runs.folder}")


@pytest.fixture(name="payresil", scope="session")
def payresil_fixture(pytestconfig: pytest.Config) -> Payresil:
    """Runs scenarios from a test: ``verdict = payresil.run("scenarios/gate/steady.yaml")``."""
    from payresil.pytest_plugin.fixture import Payresil

    return Payresil(pytestconfig)
