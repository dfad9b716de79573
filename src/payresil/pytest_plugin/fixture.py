"""The fixture `payresil`: scenarios run by a test of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from payresil.pytest_plugin.settings import choices_of, runs_of

if TYPE_CHECKING:
    import pytest

    from payresil.core.results import Verdict
    from payresil.core.run import Run


class Payresil:
    """Runs scenarios in processes of their own. Paths are taken from pytest's root folder."""

    def __init__(self, config: pytest.Config) -> None:
        """Made by the fixture."""
        self._config = config
        self._folders: dict[str, Path] = {}

    def run(self, path: str | Path, flaw: str | None = None, seed: int | None = None) -> Verdict:
        """Run a scenario and judge it.

        Raises:
            payresil.engine.scenario_process.NoVerdict: when it left none; says why.
        """
        choices = choices_of(self._config, flaw=flaw, seed=seed)
        left = runs_of(self._config).run(self._from_root(path), choices)
        verdict = left.verdict()
        self._folders[verdict.run] = Path(left.folder or "")
        return verdict

    def folder(self, verdict: Verdict) -> Path:
        """The run folder behind a verdict of `run`."""
        return self._folders[verdict.run]

    def open_run(self, folder: str | Path) -> Run:
        """The tables of a recorded run; ask them with `Run.rows` and `Run.one` in SQL."""
        from payresil.core.run import Run

        return Run.open(self._from_root(folder))

    def judge(self, folder: str | Path) -> Verdict:
        """Judge a recorded run again, from its folder alone.

        Raises:
            payresil.engine.scenario_process.NoVerdict: when it cannot be judged; says why.
        """
        runs = runs_of(self._config)
        return runs.judge(self._from_root(folder), choices_of(self._config)).verdict()

    def _from_root(self, path: str | Path) -> Path:
        return self._config.rootpath / path
