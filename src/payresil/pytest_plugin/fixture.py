"""The fixture `payresil`: scenarios run by a test of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from payresil.pytest_plugin.settings import choices_of, runs_of

if TYPE_CHECKING:
    import pytest

    from payresil.core.results import Verdict
    from payresil.core.run import Run
    from payresil.engine.scenario_process import Left


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
        __tracebackhide__ = True
        choices = choices_of(self._config, flaw=flaw, seed=seed)
        left = runs_of(self._config).run(self._from_root(path), choices)
        verdict = _verdict_of(left)
        self._folders[verdict.run] = Path(left.folder or "")
        return verdict

    def folder(self, verdict: Verdict) -> Path:
        """The run folder behind a verdict of `run`."""
        return self._folders[verdict.run]

    def open_run(self, folder: str | Path) -> Run:
        """The tables of a recorded run; ask them with `Run.rows` and `Run.one` in SQL.

        Raises:
            payresil.core.run.RunError: when it is no run folder, or a damaged one; says what to do.
        """
        __tracebackhide__ = True
        from payresil.core.run import Run, RunError

        try:
            return Run.open(self._from_root(folder))
        except RunError as error:
            raise RunError(str(error)) from None

    def judge(self, folder: str | Path) -> Verdict:
        """Judge a recorded run again, from its folder alone.

        Raises:
            payresil.engine.scenario_process.NoVerdict: when it cannot be judged; says why.
        """
        __tracebackhide__ = True
        left = runs_of(self._config).judge(self._from_root(folder), choices_of(self._config))
        return _verdict_of(left)

    def _from_root(self, path: str | Path) -> Path:
        return self._config.rootpath / path


def _verdict_of(left: Left) -> Verdict:
    """Its verdict; where there is none, pytest shows the test that asked, and not how we looked."""
    __tracebackhide__ = True
    from payresil.engine.scenario_process import NoVerdict

    try:
        return left.verdict()
    except NoVerdict as error:
        raise NoVerdict(str(error)) from None
