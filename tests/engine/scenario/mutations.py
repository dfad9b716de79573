"""Ways to spoil a scenario file, and what must become of it then."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

from payresil.core.problems import InvalidScenario
from payresil.core.scenario import Scenario
from payresil.engine.scenario_file import load_scenario

Mutation = Callable[[random.Random, list[str]], str]

WORDS = ["10", "10s", "30%", "yes", "null", "''", "[]", "{}", "[1, 2]", "{a: b}", "-1", "1e9", "~",
         "0s", "service->psp", "&a", "*a", "!!int 3", "|", "'", '"', "\t", "99999999999999999999",
         "\\", "?", "<<: x", "#", "%", "psp", "lost_answers", "{lost_answers: }", "💳"]  # fmt: skip


def delete_line(rng: random.Random, lines: list[str]) -> str:
    del lines[rng.randrange(len(lines))]
    return "\n".join(lines)


def duplicate_line(rng: random.Random, lines: list[str]) -> str:
    at = rng.randrange(len(lines))
    lines.insert(rng.randrange(len(lines) + 1), lines[at])
    return "\n".join(lines)


def swap_lines(rng: random.Random, lines: list[str]) -> str:
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return "\n".join(lines)


def indent_line(rng: random.Random, lines: list[str]) -> str:
    at = rng.randrange(len(lines))
    lines[at] = rng.choice(["", " ", "    ", "\t"]) + lines[at].lstrip(rng.choice(["", " "]))
    return "\n".join(lines)


def misspell_word(rng: random.Random, lines: list[str]) -> str:
    text = "\n".join(lines)
    word = rng.choice(list(re.finditer(r"[a-z_]{3,}", text)))
    at = rng.randrange(word.start(), word.end())
    return text[:at] + rng.choice(["", text[at] * 2, "x", "_"]) + text[at + 1 :]


def swap_value(rng: random.Random, lines: list[str]) -> str:
    text = "\n".join(lines)
    value = rng.choice(list(re.finditer(r"(?<=: )[^{}\[\],\n]+|(?<=\{)[^{}\n]*(?=\})", text)))
    return text[: value.start()] + rng.choice(WORDS) + text[value.end() :]


def truncate(rng: random.Random, lines: list[str]) -> str:
    text = "\n".join(lines)
    return text[: rng.randrange(len(text))]


def insert_character(rng: random.Random, lines: list[str]) -> str:
    text = "\n".join(lines)
    at = rng.randrange(len(text))
    char = chr(rng.choice([*range(128), 0x85, 0xA0, 0xFEFF, 0x2028, 0x1F600]))
    return text[:at] + char + text[at:]


def cut_out(rng: random.Random, lines: list[str]) -> str:
    text = "\n".join(lines)
    start = rng.randrange(len(text))
    return text[:start] + text[start + rng.randrange(40) :]


MUTATIONS: list[Mutation] = [
    delete_line, duplicate_line, swap_lines, indent_line, misspell_word, swap_value, truncate,
    insert_character, cut_out,
]  # fmt: skip


def located(error: InvalidScenario, path: Path) -> None:
    """Every problem says where it is, what was read and what was expected."""
    assert error.problems
    for problem in error.problems:
        assert problem.where.file == str(path)
        assert problem.read
        assert problem.expected
        assert "\n" not in str(problem)


def load_or_refuse(path: Path) -> Scenario | None:
    try:
        return load_scenario(path)
    except InvalidScenario as error:
        located(error, path)
        return None
