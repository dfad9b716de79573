"""Faults go in and out when their time comes, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from payresil.core.protocols import EnvironmentBroke
from payresil.core.registry import faults
from payresil.core.scenario import FaultStep
from payresil.core.tables import read_folder
from payresil.core.values import Duration
from payresil.engine.journal import Journal
from payresil.engine.phases import Phases
from payresil.engine.timeline import Timeline


class FakeEnvironment:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.refuse = False

    def heal(self) -> None:
        self.log.append("heal everything")


@contextmanager
def a_timeline_fault(env: Any, level: int, *, fault_id: str) -> Iterator[None]:
    """Something breaks."""
    if env.refuse:
        raise RuntimeError("no such link")
    env.log.append(f"{fault_id} in {level}")
    yield
    env.log.append(f"{fault_id} out")


@pytest.fixture
def registered() -> Iterator[None]:
    faults.names()
    faults.add("a_timeline_fault", a_timeline_fault, evidence=lambda run, window: iter(()))
    yield
    del faults._members["a_timeline_fault"]


def step(name: str, at: float, duration: float) -> FaultStep:
    return FaultStep(name, "a_timeline_fault", Duration(at), Duration(duration), {"level": 3})


class Stage:
    """A timeline on a folder, and its events once closed."""

    def __init__(self, folder: Path, *steps: FaultStep) -> None:
        self.environment = FakeEnvironment()
        self.folder = folder
        self.journal = Journal(folder)
        self.journal.set_zero(0)
        self.phases = Phases(self.journal, lambda _phase: None)
        self.timeline = Timeline(self.environment, steps, self.journal, self.phases)  # type: ignore[arg-type]

    def events(self) -> list[tuple[str, str, str]]:
        self.journal.close()
        rows = read_folder(self.folder)["events"].to_pylist()
        return [(row["kind"], row["name"], row["what"]) for row in rows]


@pytest.mark.usefixtures("registered")
class TestPlay:
    def test_overlapping_faults_start_and_heal_in_their_order(self, tmp_path: Path) -> None:
        stage = Stage(tmp_path, step("slow", 1, 4), step("lost", 3, 4))
        moments: list[float] = []
        assert stage.timeline.play(lambda at: moments.append(at) is None)
        assert moments == [1, 3, 5, 7]
        assert stage.environment.log == [
            "slow in 3", "lost in 3", "slow out", "lost out", "heal everything",
        ]  # fmt: skip

    def test_heal_comes_before_inject_at_the_same_moment(self, tmp_path: Path) -> None:
        stage = Stage(tmp_path, step("second", 2, 1), step("first", 1, 1))
        stage.timeline.play(lambda at: True)
        assert stage.environment.log[:3] == ["first in 3", "first out", "second in 3"]

    def test_what_happened_is_in_the_events(self, tmp_path: Path) -> None:
        stage = Stage(tmp_path, step("slow", 1, 4))
        stage.timeline.play(lambda at: True)
        assert stage.events() == [
            ("phase", "faulted", "begin"),
            ("fault", "slow", "inject"),
            ("fault", "slow", "injected"),
            ("fault", "slow", "heal"),
            ("fault", "slow", "healed"),
            ("phase", "faulted", "end"),
            ("phase", "recovering", "begin"),
        ]

    def test_stopped_early_heals_what_is_in_force(self, tmp_path: Path) -> None:
        stage = Stage(tmp_path, step("slow", 1, 4), step("later", 2, 4))
        assert not stage.timeline.play(lambda at: at < 2)
        assert stage.environment.log == ["slow in 3", "slow out", "heal everything"]

    def test_a_fault_that_cannot_be_injected_ends_the_run_and_heals_the_rest(
        self, tmp_path: Path
    ) -> None:
        stage = Stage(tmp_path, step("good", 1, 9), step("bad", 2, 1))

        def refuse_the_second(at: float) -> bool:
            stage.environment.refuse = at == 2
            return True

        with pytest.raises(EnvironmentBroke, match="bad could not be injected: no such link"):
            stage.timeline.play(refuse_the_second)
        assert stage.environment.log == ["good in 3", "good out", "heal everything"]
        assert ("fault", "bad", "failed") in stage.events()


def test_events_before_zero_are_kept_and_get_negative_times(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("phase", "up", "begin", why="start")
    with pytest.raises(RuntimeError):
        journal.now_ns()
    import time

    journal.set_zero(time.monotonic_ns() + 1_000_000_000)
    journal.write("phase", "up", "end")
    journal.close()
    first, second = read_folder(tmp_path)["events"].to_pylist()
    assert first["at_ns"] < second["at_ns"] < 0
    assert json.loads(first["detail"]) == {"why": "start"}


def test_a_run_that_never_came_up_still_leaves_its_events(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("harness", "environment", "broken", error="no database")
    journal.close()
    assert read_folder(tmp_path)["events"].num_rows == 1
