"""What the command line of pytest, and its configuration, say to payresil."""

from __future__ import annotations

import argparse
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from payresil.engine.scenario_process import Choices, RunsFolder

_runs_key = pytest.StashKey["RunsFolder"]()


def add_options(parser: pytest.Parser) -> None:
    """Declare them."""
    group = parser.getgroup("payresil", "payresil: scenarios as tests")
    group.addoption("--payresil-seed", type=_seed, metavar="N", help="Another seed.")
    group.addoption("--payresil-flaw", metavar="NAME", help="Run the service with a known flaw.")
    group.addoption("--payresil-backend", metavar="NAME", help="How systems are started.")
    group.addoption("--payresil-at", metavar="FILE", help="Where the system is, for attach.")
    group.addoption("--payresil-prometheus", metavar="URL", help="A Prometheus that watches it.")
    group.addoption("--payresil-out", metavar="DIR", help="Where run folders are left.")
    group.addoption(
        "--payresil-import",
        action="append",
        default=[],
        metavar="FILE.py",
        help="Load faults, checkers or journeys of your own.",
    )
    parser.addini("payresil_backend", "How systems are started.")
    parser.addini("payresil_at", "Where the system is, for the backend attach.")
    parser.addini("payresil_prometheus", "A Prometheus that watches the system.")
    parser.addini("payresil_out", "Where run folders are left.", default="reports")
    parser.addini("payresil_import", "Files with faults, checkers or journeys.", type="paths")


def choices_of(
    config: pytest.Config, *, flaw: str | None = None, seed: int | None = None
) -> Choices:
    """What `payresil run` is told; `flaw` and `seed`, where given, go before the options."""
    from payresil.engine.scenario_process import Choices

    named = [config.invocation_params.dir / file for file in config.getoption("--payresil-import")]
    return Choices(
        flaw=flaw or config.getoption("--payresil-flaw"),
        seed=config.getoption("--payresil-seed") if seed is None else seed,
        backend=config.getoption("--payresil-backend") or config.getini("payresil_backend") or None,
        at=_at(config),
        prometheus=config.getoption("--payresil-prometheus")
        or config.getini("payresil_prometheus")
        or None,
        imports=tuple(map(str, [*config.getini("payresil_import"), *named])),
    )


def runs_of(config: pytest.Config, shared: Path | None = None) -> RunsFolder:
    """Where the scenarios of this test run run: in `shared`, or in a folder of its own."""
    from payresil.engine.scenario_process import RunsFolder

    if _runs_key not in config.stash:
        folder = shared or _out(config) / _name_of_now()
        config.stash[_runs_key] = RunsFolder(folder, config.invocation_params.dir)
    return config.stash[_runs_key]


def known_runs(config: pytest.Config) -> RunsFolder | None:
    """The same, where anybody asked for it."""
    return config.stash.get(_runs_key, None)


def _at(config: pytest.Config) -> str | None:
    """Named from where the command was given, or in the configuration from the root folder."""
    if named := config.getoption("--payresil-at"):
        return str(config.invocation_params.dir / named)
    named = config.getini("payresil_at")
    return str(config.rootpath / named) if named else None


def _out(config: pytest.Config) -> Path:
    named = config.getoption("--payresil-out")
    if named:
        return Path(config.invocation_params.dir / named)
    return Path(config.rootpath / config.getini("payresil_out"))


def _name_of_now() -> str:
    return f"pytest-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError("a seed is a whole number from 0 on")
    return seed
