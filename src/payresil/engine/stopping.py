"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second for an immediate one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType

#: Ctrl-C, a polite end, a terminal that was closed.
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether the run is to end early. `wait_until` returns as soon as it is.

    It is asked from a signal handler, which may run in the midst of a wait, on the same thread. An
    Event would be set under a lock that the wait may hold: for ever. A SimpleQueue may be put into
    at any time.
    """

    def __init__(self) -> None:
        self._asked = False
        self._bell: SimpleQueue[None] = SimpleQueue()

    def __call__(self) -> bool:
        """True once an end was asked for."""
        return self._asked

    def ask(self) -> None:
        """Ask for an orderly end."""
        self._asked = True
        self._bell.put(None)

    def wait_until(self, mono_ns: int, tick: Callable[[], None], every_s: float = 0.25) -> bool:
        """Wait for a point on the monotonic clock, calling `tick` meanwhile; False when stopped."""
        while not self._asked:
            left_s = (mono_ns - time.monotonic_ns()) / 1e9
            if left_s <= 0:
                return True
            tick()
            with suppress(Empty):
                self._bell.get(timeout=min(left_s, every_s))
        return False


@contextmanager
def on_signals(stop: Stop) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP ask `stop`; once asked, the next one raises KeyboardInterrupt."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop():
            raise KeyboardInterrupt
        stop.ask()

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the caller's: only the main thread may take them
        return
    before = {number: signal.signal(number, handle) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
