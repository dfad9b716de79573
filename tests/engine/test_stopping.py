"""Ctrl-C once ends in order, twice at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest

from payresil.engine.stopping import Stop, on_signals


def test_waits_until_the_time_has_come() -> None:
    ticks: list[int] = []
    until = time.monotonic_ns() + 30_000_000
    assert Stop().wait_until(until, lambda: ticks.append(1), every_s=0.005)
    assert time.monotonic_ns() >= until
    assert ticks


def test_a_time_that_has_passed_is_not_waited_for() -> None:
    assert Stop().wait_until(0, lambda: pytest.fail("no tick is due"))


def test_asking_ends_a_wait_at_once() -> None:
    stop = Stop()
    threading.Timer(0.02, stop.ask).start()
    assert not stop.wait_until(time.monotonic_ns() + 60_000_000_000, lambda: None, every_s=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    stop = Stop()
    before = signal.getsignal(number)
    with on_signals(stop):
        os.kill(os.getpid(), number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_thread_leaves_signals_alone() -> None:
    seen: list[bool] = []

    def run() -> None:
        with on_signals(Stop()):
            seen.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [True]


def test_a_signal_may_come_at_any_point_of_a_wait() -> None:
    """The handler runs between two lines of the wait, or of what it calls, on its own thread."""

    def waits(line: int) -> bool:
        """Wait, and be asked at this line; whether it was reached."""
        stop, seen = Stop(), 0

        def trace(_frame: FrameType, event: str, _: object) -> Any:
            nonlocal seen
            if event == "line":
                seen += 1
                if seen == line:
                    stop.ask()
            return trace

        def wait() -> None:
            sys.settrace(trace)
            stop.wait_until(time.monotonic_ns() + 20_000_000, lambda: None, every_s=0.005)
            sys.settrace(None)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive(), f"asked at line {line}, it waits for ever"
        return seen >= line

    reached = [waits(line) for line in range(1, 40)]
    assert any(reached)
