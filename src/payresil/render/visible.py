"""Text of a run made safe to show: nothing in it can act on a terminal, a page or a parser.

Errors, claims and names come from the system under test or from a file somebody sent. A control
character, a lone surrogate or a character that turns the writing direction round would change
what a reader sees, or make the file unreadable; each is written out as its escape instead.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

#: Longest piece of text shown in one place; `verdict.json` holds all of it.
LIMIT = 600

#: Terminals do not agree on how wide these are; East Asian wide and full-width take two columns.
_WIDE = frozenset("WF")

#: A line is broken at spaces; a word longer than a line is cut.
_WORDS = re.compile(r"\s+")


def visible(value: object, limit: int = LIMIT) -> str:
    """`value` on one line in printable characters; what is longer than `limit` is cut."""
    text = value if isinstance(value, str) else str(value)
    shown = text[: limit + 1]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(map(_shown, shown))
    if len(shown) <= limit:
        return shown
    return f"{shown[:limit]}… (cut, {len(text):,} characters)"


def _shown(character: str) -> str:
    """The character itself, or its escape as Python writes it."""
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def wrapped(text: str, columns: int, *, first: str = "", rest: str = "") -> list[str]:
    """`text` broken into lines of at most `columns`, behind `first` on the first and `rest` after.

    `first` and `rest` must be narrower than `columns` by two at least.
    """
    lines = [first]
    empty = True  # nothing but the margin stands on the last line
    for word in _WORDS.split(text.strip()):
        if not empty and width(lines[-1]) + 1 + width(word) <= columns:
            lines[-1] += f" {word}"
            continue
        if not empty:
            lines.append(rest)
        room = columns - width(lines[-1])
        while width(word) > room:
            head = _head(word, room)
            lines[-1] += head
            word = word[len(head) :]
            lines.append(rest)
            room = columns - width(rest)
        lines[-1] += word
        empty = False
    return [line.rstrip() for line in lines]


def listed(parts: Iterable[str], columns: int, *, first: str, rest: str) -> list[str]:
    """`parts` with dots between them, broken between parts where that is enough."""
    lines = [first]
    empty = True
    for part in parts:
        if not empty and width(lines[-1]) + 3 + width(part) <= columns:
            lines[-1] += f" · {part}"
            continue
        if not empty or width(first) + width(part) > columns >= width(rest) + width(part):
            lines.append(rest)
        lines += wrapped(part, columns, first=lines.pop(), rest=rest)
        empty = False
    return [line.rstrip() for line in lines]


def _head(word: str, columns: int) -> str:
    """The longest start of `word` that fits."""
    used = 0
    for position, character in enumerate(word):
        used += _columns(character)
        if used > columns:
            return word[: max(position, 1)]
    return word
