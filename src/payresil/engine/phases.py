"""What step the run is in, written down as it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from payresil.engine.journal import Journal


class Phases:
    """One phase at a time; entering the next one ends the last."""

    def __init__(self, journal: Journal, on_change: Callable[[str], None]) -> None:
        self._journal = journal
        self._on_change = on_change
        self.current: str | None = None

    def enter(self, phase: str) -> None:
        """End the current phase and begin `phase`; nothing happens when it is the current one."""
        if phase == self.current:
            return
        self.end()
        self.current = phase
        self._journal.write("phase", phase, "begin")
        self._on_change(phase)

    def end(self) -> None:
        """End the current phase."""
        if self.current is not None:
            self._journal.write("phase", self.current, "end")
            self.current = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """`enter` for a block."""
        self.enter(name)
        yield
        self.end()
