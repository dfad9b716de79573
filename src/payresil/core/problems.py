"""What is wrong with a file that a person wrote, said so that they can put it right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

#: Problems listed before the rest is only counted.
MAX_SHOWN = 50


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file, counted from 1; line 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read ``file:line:column`` back; text of another form is taken as a file's name."""
        parts = text.rsplit(":", 2)
        if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
            return cls(parts[0], int(parts[1]), int(parts[2]))
        return cls(text)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file, and where."""

    where: Place
    read: str
    expected: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f" (did you mean {self.nearest}?)" if self.nearest else ""
        return f"{self.where}: read {self.read}, expected {self.expected}{hint}"


class InvalidScenario(ValueError):
    """A scenario, or the system it names, that cannot be used.

    Holds every problem that was found, in the order of the lines.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.where))
        lines = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        if len(self.problems) > MAX_SHOWN:
            lines.append(f"and {len(self.problems) - MAX_SHOWN} problems more")
        super().__init__("\n".join(lines))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` was probably meant to be, if any is close."""
    close = difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return close[0] if close else None


def shown(text: str) -> str:
    """Text as an error message quotes it: on one line, and not longer than a glance."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
