"""What a person sees while a run goes on. It only reads the growing record."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from payresil.core.tables import Tail

_PLAIN_EVERY_S = 5.0


class Tally:
    """Attempts of the load so far, and in the last seconds, from the attempts stream."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._tail = Tail(path)
        self._clock = clock
        self._recent: list[tuple[float, int, int]] = []  # when read, attempts, of them not ok
        self.attempts = 0

    def read(self) -> tuple[float, float]:
        """Attempts a second and the share that did not end ok, over about three seconds."""
        now = self._clock()
        for batch in self._tail.new():
            outcomes = Counter(batch.column("outcome").to_pylist())
            total = sum(outcomes.values())
            self.attempts += total
            self._recent.append((now, total, total - outcomes["ok"]))
        self._recent = [entry for entry in self._recent if entry[0] > now - 3.0]
        total = sum(entry[1] for entry in self._recent)
        bad = sum(entry[2] for entry in self._recent)
        return total / 3.0, (bad / total if total else 0.0)


class Progress:
    """One line that changes on a terminal; plain lines, seldom, elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._tally: Tally | None = None
        self._phase = "up"
        self._next_plain = 0.0
        self._started = time.monotonic()

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def watch(self, attempts: Path) -> None:
        """Start counting the attempts that are written to this stream."""
        self._tally = Tally(attempts)

    def phase(self, phase: str) -> None:
        """A new step began."""
        self._phase = phase
        if self._console.is_terminal:
            self._live.update(Text(self._line((), None)), refresh=True)
        else:
            self._say(f"{phase}")

    def note(self, message: str) -> None:
        """Something worth a line of its own."""
        self._say(message)

    def tick(self, active: Sequence[str], left_s: float | None) -> None:
        """Refresh; call a few times a second."""
        if self._console.is_terminal:
            self._live.update(Text(self._line(active, left_s)), refresh=True)
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + _PLAIN_EVERY_S
            self._console.print(self._line(active, left_s), markup=False)

    def _say(self, message: str) -> None:
        elapsed = time.monotonic() - self._started
        self._console.print(f"{elapsed:6.1f}s  {message}", markup=False)

    def _line(self, active: Sequence[str], left_s: float | None) -> str:
        parts = [f"{time.monotonic() - self._started:6.1f}s  {self._phase:<10}"]
        if self._tally is not None:
            rate, errors = self._tally.read()
            parts.append(f"{rate:6.1f} attempts/s  {errors:6.1%} not ok")
        if active:
            parts.append("faults: " + ", ".join(active))
        if left_s is not None:
            parts.append(f"{max(left_s, 0):.0f}s left")
        return "  ".join(parts)
