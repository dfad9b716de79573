"""A node's life: launched, ready, killed, started again, and what is said when it dies."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from payresil.backends.embedded import node_process
from payresil.backends.embedded.node_process import NodeProcess, describe_status, last_lines
from payresil.backends.embedded.program import Program
from payresil.backends.embedded.stopping import stop
from payresil.backends.launcher import Supervisor
from payresil.core.protocols import EnvironmentBroke

Until = Callable[[Callable[[], object]], None]
Env = dict[str, str]

SERVE = "import signal, sys; print('serving'); sys.stdout.flush(); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SERVE


@pytest.fixture
def events() -> list[tuple[Any, ...]]:
    return []


@pytest.fixture
def made(
    launcher: Supervisor, tmp_path: Path, plain_env: Env, events: list[tuple[Any, ...]]
) -> Callable[..., NodeProcess]:
    def make(
        script: str, name: str = "a/service.1", stop_signal: int = signal.SIGTERM
    ) -> NodeProcess:
        log = tmp_path / f"{name.replace('/', '.')}.log"

        def program(port: int) -> Program:
            return Program(
                argv=(sys.executable, "-S", "-c", script),
                env=plain_env,
                port_when_ready=lambda _: (port or 4000) if "serving" in log.read_text() else None,
                stop_signal=stop_signal,
            )

        def report(kind: str, name: str, what: str, **detail: Any) -> None:
            events.append((kind, name, what, detail))

        return NodeProcess(name, program, launcher=launcher, log=log, report=report)

    return make


def whats(events: list[tuple[Any, ...]]) -> list[str]:
    return [what for _, _, what, _ in events]


def test_it_is_started_and_keeps_its_port(
    made: Callable[..., NodeProcess], events: list[tuple[Any, ...]]
) -> None:
    node = made(SERVE)
    node.launch()
    node.await_ready()
    assert node.running
    assert node.port == 4000
    node.kill()
    assert not node.running
    node.check()  # it was told to
    node.log.unlink()
    node.launch()
    node.await_ready()
    assert node.port == 4000
    assert whats(events) == ["started", "killed", "started"]
    assert events[0][3]["pid"] != events[2][3]["pid"]


def test_one_that_ends_at_start_is_described_by_its_last_words(
    made: Callable[..., NodeProcess],
) -> None:
    node = made("import sys; print('no such region', file=sys.stderr); sys.exit(3)")
    node.launch()
    with pytest.raises(EnvironmentBroke) as broke:
        node.await_ready()
    assert "a/service.1 ended while it was being started (status 3)" in str(broke.value)
    assert "a.service.1.log:\n  no such region" in str(broke.value)


def test_one_that_never_serves_is_not_waited_for_for_ever(
    made: Callable[..., NodeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_process, "START_S", 0.05)
    node = made("import signal; signal.pause()")
    node.launch()
    with pytest.raises(EnvironmentBroke, match=r"did not serve within 0.05 s.*\n.*\(empty\)"):
        node.await_ready()


def test_one_that_dies_by_itself_is_reported_and_noticed(
    made: Callable[..., NodeProcess], events: list[tuple[Any, ...]], until: Until
) -> None:
    node = made(
        "import os, sys; print('serving'); sys.stdout.flush(); sys.stdin.read(); os.abort()"
    )
    node.launch()
    until(lambda: not node.running)
    with pytest.raises(EnvironmentBroke, match=r"ended by itself \(status SIGABRT\)"):
        node.check()
    until(lambda: "exited" in whats(events))
    assert events[-1][3] == {"status": -signal.SIGABRT}


def test_it_is_stopped_in_order_and_started_again(
    made: Callable[..., NodeProcess], events: list[tuple[Any, ...]]
) -> None:
    words = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit('bye'));"
    node = made(words + SERVE)
    node.launch()
    node.await_ready()
    node.stop()
    assert not node.running
    assert last_lines(node.log)[-1] == "bye"
    node.check()  # it was told to
    node.launch()
    node.await_ready()
    assert whats(events) == ["started", "stopped", "started"]
    assert events[1][3]["pid"] == events[0][3]["pid"]


def test_one_that_does_not_listen_is_killed_which_is_told(
    made: Callable[..., NodeProcess],
    events: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_process, "STOP_S", 0.05)
    node = made(DEAF)
    node.launch()
    node.await_ready()
    node.stop()
    assert not node.running
    assert whats(events) == ["started", "killed", "stopped"]
    assert events[1][3]["reason"] == "it did not stop when asked to"
    assert events[2][3]["seconds"] >= 0.05


def test_a_paused_one_can_be_stopped(
    made: Callable[..., NodeProcess], events: list[tuple[Any, ...]]
) -> None:
    node = made(SERVE)
    node.launch()
    node.await_ready()
    node.pause()
    node.stop()
    assert whats(events) == ["started", "paused", "stopped"]


def test_each_program_has_its_own_signal_to_stop(made: Callable[..., NodeProcess]) -> None:
    node = made(DEAF, stop_signal=signal.SIGINT)
    node.launch()
    node.await_ready()
    node.stop()
    assert last_lines(node.log)[-1] == "KeyboardInterrupt"


def test_stopping_is_asked_for_and_then_enforced(
    made: Callable[..., NodeProcess],
    events: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from payresil.backends.embedded import stopping

    monkeypatch.setattr(stopping, "_WAVE_S", 0.2)
    polite, deaf, paused, dead = (made(code, f"n{i}") for i, code in enumerate([SERVE, DEAF] * 2))
    for node in (polite, deaf, paused, dead):
        node.launch()
        node.await_ready()
    paused.pause()
    dead.kill()
    stop([polite, deaf], [paused, dead, made(SERVE, "never-started")])
    assert not any(node.running for node in (polite, deaf, paused, dead))
    for node in (polite, deaf, paused, dead):
        node.check()
    killed = [name for _, name, what, _ in events if what == "killed"]
    assert killed == ["n3", "n1"]
    assert "exited" not in whats(events)


def test_what_was_never_started_cannot_be_killed(made: Callable[..., NodeProcess]) -> None:
    with pytest.raises(EnvironmentBroke, match="was never started"):
        made(SERVE).kill()
    with pytest.raises(EnvironmentBroke, match="was never started"):
        made(SERVE).stop()


@pytest.mark.parametrize(
    ("status", "words"), [(0, "0"), (3, "3"), (-9, "SIGKILL"), (-200, "signal 200")]
)
def test_statuses_in_words(status: int, words: str) -> None:
    assert describe_status(status) == words


def test_the_last_lines_of_a_huge_log_are_found_quickly(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(10_000_000_000)  # a hole: no such thing is read as a whole
        file.seek(0, 2)
        file.write(b"\xff\nlast but one\nlast\n")
    started = time.thread_time()
    assert last_lines(log, 2) == ["last but one", "last"]
    assert time.thread_time() - started < 5
    assert last_lines(tmp_path / "missing") == []
