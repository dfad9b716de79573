"""What the doctor saw of one mapping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from payresil.core.problems import Place

Health = Literal["good", "wrong", "doubtful", "skipped"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One mapping: whether it is right, in words, and the line of the system file it is about."""

    mapping: str
    health: Health
    words: str
    where: Place | None = None


Findings = Iterator[Seen]
