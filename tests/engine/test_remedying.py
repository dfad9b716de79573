"""Remedies beside the timeline: what is written down of them, and how each of them may end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from payresil.core import registry
from payresil.core.protocols import (
    Environment,
    EnvironmentBroke,
    RemedyFailed,
    RemedyLog,
    RemedyStopped,
    Unreachable,
)
from payresil.core.remedy_record import remedies
from payresil.core.run import Run
from payresil.core.scenario import FaultStep, RemedyStep
from payresil.core.tables import read_folder
from payresil.core.values import Duration
from payresil.engine.journal import Journal
from payresil.engine.phases import Phases
from payresil.engine.remedying import Remedies, RemedySteps
from payresil.engine.timeline import Timeline

ACT = "act_for_a_test"

Row = tuple[str, str, str, dict[str, Any]]
Acts = Callable[[RemedyLog], None]


class Stage:
    """Remedies that do what a test says, and the events that they leave."""

    def __init__(self, folder: Path, acts: dict[str, Acts]) -> None:
        self.folder = folder
        self.journal = Journal(folder)
        self.journal.set_zero(0)
        self.acts = acts
        steps = [
            RemedyStep(name, ACT, Duration(n), parameters={"name": name, "wait": Duration(2)})
            for n, name in enumerate(acts)
        ]
        self.remedies = Remedies(cast(Environment, self), steps, self.journal)

    def rows(self) -> list[Row]:
        self.journal.close()
        found = read_folder(self.folder)["events"].to_pylist()
        return [(row["kind"], row["name"], row["what"], json.loads(row["detail"])) for row in found]

    def ended(self) -> dict[str, Any]:
        """What the only remedy ended with."""
        ((_, _, _, detail),) = [
            row for row in self.rows() if row[0] == "remedy" and row[2] != "begin"
        ]
        return detail


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    registry.remedies.names()

    def act(environment: Any, steps: Any, name: str, wait: Duration) -> None:
        """Something is done."""
        environment.acts[name](steps)

    registry.remedies.add(ACT, act, needs=())
    made: list[Stage] = []

    def make(**acts: Acts) -> Stage:
        made.append(Stage(tmp_path, acts))
        return made[-1]

    yield make
    for each in made:
        each.remedies.stop()
    del registry.remedies._members[ACT]


def nothing(steps: RemedyLog) -> None:
    """Done at once."""


def watch(steps: RemedyLog) -> None:
    """On watch for what never comes."""
    with steps.step("detect"):
        steps.until(lambda: False, every_s=0.005)


def raising(error: BaseException) -> Acts:
    def act(steps: RemedyLog) -> None:
        with steps.step("promote") as found:
            found["node"] = "b/db"
            raise error

    return act


# --- what one writes down --------------------------------------------------------------------


def log_of(folder: Path, confirm: Duration | None = None) -> tuple[RemedySteps, Journal]:
    journal = Journal(folder)
    journal.set_zero(0)
    step = RemedyStep("failover.2", "failover", Duration(0), confirm)
    return RemedySteps(step, journal, threading.Event()), journal


def rows_of(folder: Path, journal: Journal) -> list[Row]:
    journal.close()
    found = read_folder(folder)["events"].to_pylist()
    return [(row["kind"], row["name"], row["what"], json.loads(row["detail"])) for row in found]


def test_a_step_is_written_with_what_it_found(tmp_path: Path) -> None:
    steps, journal = log_of(tmp_path)
    with steps.step("fence") as found:
        found["epoch"] = 2
    assert rows_of(tmp_path, journal) == [
        ("remedy_step", "failover.2", "begin", {"step": "fence"}),
        ("remedy_step", "failover.2", "end", {"step": "fence", "epoch": 2}),
    ]


def test_a_step_that_fails_says_why_and_what_it_found_by_then(tmp_path: Path) -> None:
    steps, journal = log_of(tmp_path)

    def fence() -> None:
        with steps.step("fence") as found:
            found["held_for_ms"] = 700
            raise Unreachable("the witness is away")

    with pytest.raises(Unreachable):
        fence()
    assert rows_of(tmp_path, journal)[1] == (
        "remedy_step",
        "failover.2",
        "failed",
        {"step": "fence", "held_for_ms": 700, "error": "the witness is away"},
    )


def test_an_automatic_remedy_decides_at_once(tmp_path: Path) -> None:
    steps, journal = log_of(tmp_path)
    steps.decide()
    assert rows_of(tmp_path, journal)[1][3] == {"step": "decide"}


def test_a_person_takes_as_long_as_the_scenario_says(tmp_path: Path) -> None:
    steps, journal = log_of(tmp_path, Duration(0.05))
    steps.decide()
    begin, end = rows_of(tmp_path, journal)
    assert end[3] == {"step": "decide", "confirm": "50ms"}
    table = read_folder(tmp_path)["events"].to_pylist()
    assert 50e6 <= table[1]["at_ns"] - table[0]["at_ns"] < 5e9
    assert begin[2] == "begin"


def test_a_run_that_ends_first_is_not_confirmed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.set_zero(0)
    ending = threading.Event()
    ending.set()
    step = RemedyStep("failover", "failover", Duration(0), Duration(3600))
    with pytest.raises(RemedyStopped, match="before a person had confirmed"):
        RemedySteps(step, journal, ending).decide()
    assert rows_of(tmp_path, journal)[1][2] == "failed"


def test_until_asks_until_it_holds(tmp_path: Path) -> None:
    steps, journal = log_of(tmp_path)
    answers = iter([False, False, True])
    steps.until(lambda: next(answers), every_s=0.001)
    assert next(answers, None) is None
    journal.close()


def test_until_looks_once_more_before_it_gives_up(tmp_path: Path) -> None:
    """What holds by then is done, though the run ends."""
    journal = Journal(tmp_path)
    journal.set_zero(0)
    ending = threading.Event()
    ending.set()
    steps = RemedySteps(RemedyStep("x", "x", Duration(0)), journal, ending)
    steps.until(lambda: True)
    with (
        steps.step("level"),
        pytest.raises(RemedyStopped, match="the run ended while it was at level"),
    ):
        steps.until(lambda: False)
    journal.close()


# --- how they end ----------------------------------------------------------------------------


def test_a_remedy_that_comes_to_its_end(stage: Callable[..., Stage]) -> None:
    one = stage(failover=nothing)
    one.remedies.start("failover")
    one.remedies.finish(30, lambda: None)
    assert one.rows() == [
        ("remedy", "failover", "begin", {"name": "failover", "wait": "2s"}),
        ("remedy", "failover", "end", {}),
    ]


@pytest.mark.parametrize("error", [RemedyFailed("nothing to promote"), Unreachable("b/db is away")])
def test_an_answer_of_the_system_is_no_defect_of_the_harness(
    stage: Callable[..., Stage], error: Exception
) -> None:
    one = stage(failover=raising(error))
    one.remedies.start("failover")
    one.remedies.finish(30, lambda: None)
    one.remedies.check()
    assert one.rows() == [
        ("remedy", "failover", "begin", {"name": "failover", "wait": "2s"}),
        ("remedy_step", "failover", "begin", {"step": "promote"}),
        (
            "remedy_step",
            "failover",
            "failed",
            {"step": "promote", "node": "b/db", "error": str(error)},
        ),
        ("remedy", "failover", "failed", {"step": "promote", "error": str(error)}),
    ]


def test_a_part_that_broke_ends_the_run(stage: Callable[..., Stage]) -> None:
    one = stage(failover=raising(EnvironmentBroke("the router says no")))
    one.remedies.start("failover")
    with pytest.raises(
        EnvironmentBroke, match="remedy failover broke at promote: the router says no"
    ):
        one.remedies.finish(30, lambda: None)
    with pytest.raises(EnvironmentBroke):
        one.remedies.check()
    assert "traceback" not in one.ended()


def test_a_defect_ends_the_run_with_its_traceback(stage: Callable[..., Stage]) -> None:
    one = stage(failover=raising(KeyError("b/db")))
    one.remedies.start("failover")
    with pytest.raises(EnvironmentBroke, match="remedy failover broke at promote: KeyError: 'b/db"):
        one.remedies.finish(30, lambda: None)
    assert "in act" in one.ended()["traceback"]


def test_one_that_cannot_even_be_called_ends_the_run(stage: Callable[..., Stage]) -> None:
    one = stage(failover=nothing)
    del one.acts["failover"]
    one.remedies.start("failover")
    with pytest.raises(EnvironmentBroke, match="remedy failover broke at its beginning: KeyError"):
        one.remedies.finish(30, lambda: None)


def test_what_cannot_be_written_ends_the_run(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stage(failover=nothing)

    def full(*_: Any, **__: Any) -> None:
        raise EnvironmentBroke("the disk is full")

    monkeypatch.setattr(one.journal, "write", full)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    one.remedies.start("failover")
    with pytest.raises(EnvironmentBroke, match="the disk is full"):
        one.remedies.finish(30, lambda: None)


def test_parameters_and_results_may_have_any_name(stage: Callable[..., Stage]) -> None:
    """`name` and `wait` above, and `one` and `other` of a remedy for a border."""

    def act(steps: RemedyLog) -> None:
        with steps.step("promote") as found:
            found |= {"what": "x", "kind": "y", "step": "z"}

    one = stage(failover=act)
    one.remedies.start("failover")
    one.remedies.finish(30, lambda: None)
    (_, _, (_, _, _, detail), _) = one.rows()
    assert detail == {"what": "x", "kind": "y", "step": "promote"}


def test_all_that_broke_is_told(stage: Callable[..., Stage]) -> None:
    one = stage(first=raising(KeyError("1")), second=raising(EnvironmentBroke("2")))
    one.remedies.start("first")
    one.remedies.start("second")
    with pytest.raises(EnvironmentBroke, match="first broke") as caught:
        one.remedies.finish(30, lambda: None)
    assert "second broke" in str(caught.value)


def test_one_on_watch_is_stopped_at_the_end(stage: Callable[..., Stage]) -> None:
    one = stage(failover=watch)
    one.remedies.start("failover")
    assert one.remedies.active == ("failover",)
    ticks: list[int] = []
    one.remedies.finish(0.05, lambda: ticks.append(1))
    assert ticks
    assert one.remedies.active == ()
    assert one.ended() == {"step": "detect", "error": "the run ended while it was at detect"}


def test_without_patience_it_is_stopped_at_once(stage: Callable[..., Stage]) -> None:
    one = stage(failover=watch)
    one.remedies.start("failover")
    ticks: list[int] = []
    one.remedies.finish(0, lambda: ticks.append(1))
    assert not ticks
    assert one.remedies.active == ()


def test_what_is_at_work_gets_its_time(stage: Callable[..., Stage]) -> None:
    may_end = threading.Event()

    def work(steps: RemedyLog) -> None:
        with steps.step("resolve"):
            steps.until(may_end.is_set, every_s=0.005)

    one = stage(failover=work)
    one.remedies.start("failover")
    one.remedies.finish(30, may_end.set)
    assert one.ended() == {}


def test_a_tick_that_raises_leaves_them_to_be_stopped(stage: Callable[..., Stage]) -> None:
    one = stage(failover=watch)
    one.remedies.start("failover")

    def broke() -> None:
        raise EnvironmentBroke("a node died")

    with pytest.raises(EnvironmentBroke, match="a node died"):
        one.remedies.finish(30, broke)
    one.remedies.stop()
    assert one.remedies.active == ()


def test_what_never_began_leaves_nothing(stage: Callable[..., Stage]) -> None:
    one = stage(failover=watch, restore=nothing)
    assert [step.id for step in one.remedies.steps] == ["failover", "restore"]
    one.remedies.finish(30, lambda: None)
    assert one.rows() == []


def test_the_record_reads_what_was_written(stage: Callable[..., Stage]) -> None:
    one = stage(failover=raising(RemedyFailed("nothing to promote")))
    one.remedies.start("failover")
    one.remedies.finish(30, lambda: None)
    one.journal.close()
    run = Run.from_rows({}, events=read_folder(one.folder)["events"].to_pylist())
    (found,) = remedies(run)
    assert found.failed
    assert found.detail["wait"] == "2s"
    (step,) = found.steps
    assert (step.name, step.failed, step.detail["node"]) == ("promote", True, "b/db")


# --- on the timeline -------------------------------------------------------------------------


def test_they_begin_when_their_time_comes_and_run_beside_it(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stage(first=nothing, second=nothing)
    started: list[str] = []
    monkeypatch.setattr(one.remedies, "start", started.append)
    timeline = Timeline(
        cast(Environment, Healing()), [], one.journal, Phases(one.journal, print), one.remedies
    )
    moments: list[float] = []
    assert timeline.play(lambda at: moments.append(at) is None)
    assert moments == [0.0, 1.0]
    assert started == ["first", "second"]


def test_a_timeline_that_is_cut_short_begins_no_more(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stage(first=nothing, second=nothing)
    started: list[str] = []
    monkeypatch.setattr(one.remedies, "start", started.append)
    timeline = Timeline(
        cast(Environment, Healing()), [], one.journal, Phases(one.journal, print), one.remedies
    )
    assert not timeline.play(lambda at: at < 1)
    assert started == ["first"]


def test_at_one_moment_a_remedy_is_on_watch_before_a_fault_is_injected(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stage(first=nothing)
    order: list[str] = []
    monkeypatch.setattr(one.remedies, "start", lambda name: order.append(f"start {name}"))
    fault = FaultStep("region_loss", "region_loss", Duration(0), Duration(1), {"region": "a"})
    timeline = Timeline(
        cast(Environment, Healing()),
        [fault],
        one.journal,
        Phases(one.journal, print),
        one.remedies,
    )
    monkeypatch.setattr(timeline, "inject", lambda name: order.append(f"inject {name}"))
    timeline.play(lambda at: True)
    assert order == ["start first", "inject region_loss"]


class Healing:
    """An environment without faults."""

    def heal(self) -> None:
        """There is nothing."""
