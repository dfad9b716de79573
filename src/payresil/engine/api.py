"""payresil from Python: run a scenario, open what it left, judge it again."""

from __future__ import annotations

from pathlib import Path

from payresil.core.results import Verdict
from payresil.core.run import Run
from payresil.engine import pipeline


def run(
    scenario: str | Path,
    *,
    flaw: str | None = None,
    seed: int | None = None,
    backend: str = "process",
    at: str | Path | None = None,
    prometheus: str | None = None,
    out: str | Path = "reports",
) -> Verdict:
    """Run a scenario file and judge it; its folder is left under `out`.

    `at` says where the system is, for the backend ``attach``; `prometheus` is the address of one
    that watches the system, for checks that ask it.

    Raises:
        payresil.engine.refusal.Refusal: with every problem of the file, each with its place.
    """
    plan = pipeline.prepare(
        Path(scenario),
        flaw=flaw,
        seed=seed,
        backend=backend,
        at=None if at is None else Path(at),
        prometheus=prometheus,
        out=Path(out),
    )
    return pipeline.run_plan(plan)


def open_run(folder: str | Path) -> Run:
    """The tables of a recorded run; ask them with `Run.rows` and `Run.one` in SQL.

    Raises:
        payresil.engine.refusal.Refusal: when the folder is no run or is damaged.
    """
    return pipeline.open_run(Path(folder))[0]


def judge(folder: str | Path) -> Verdict:
    """Judge a recorded run again, from its folder alone.

    Raises:
        payresil.engine.refusal.Refusal: when the folder is no run or is damaged.
    """
    return pipeline.judge_folder(Path(folder))
