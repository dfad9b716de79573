"""Whatever is done to a good file: it loads, or it is refused with located problems."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from payresil.core.problems import InvalidScenario
from payresil.core.scenario import Scenario
from payresil.engine.lints import lint
from payresil.engine.scenario_file import dump_scenario, load_scenario
from payresil.engine.system_file import default_topology, load_system, system_path

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


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.__name__))
def test_a_changed_scenario_loads_or_is_refused(
    good: str, tmp_path: Path, mutation: Mutation
) -> None:
    path = tmp_path / "scenario.yaml"
    system = load_system("refpay")
    topology = default_topology(system)
    for seed in range(60):
        rng = random.Random(f"{mutation.__name__}/{seed}")
        path.write_text(mutation(rng, good.splitlines()), encoding="utf-8")
        scenario = load_or_refuse(path)
        if scenario is None:
            continue
        path.write_text(dump_scenario(scenario), encoding="utf-8")
        assert load_scenario(path) == scenario  # what loads also survives being recorded
        with suppress(InvalidScenario):
            lint(scenario, system, topology)


def test_several_changes_at_once(good: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    for seed in range(100):
        rng = random.Random(seed)
        text = good
        for _ in range(rng.randrange(2, 6)):
            text = rng.choice(MUTATIONS)(rng, text.splitlines() or [" "]) or " "
            if not re.search(r"[a-z_]{3,}", text) or ": " not in text:
                break
        path.write_text(text, encoding="utf-8")
        load_or_refuse(path)


def test_changed_bytes(good: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    data = good.encode()
    for seed in range(150):
        rng = random.Random(seed)
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at + 1 :])
        load_or_refuse(path)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.__name__))
def test_a_changed_system_file_loads_or_is_refused(tmp_path: Path, mutation: Mutation) -> None:
    original = system_path("refpay")
    assert original is not None
    good = original.read_text(encoding="utf-8")
    path = tmp_path / "system.yaml"
    for seed in range(15):
        rng = random.Random(f"{mutation.__name__}/{seed}")
        path.write_text(mutation(rng, good.splitlines()), encoding="utf-8")
        try:
            default_topology(load_system(path))
        except InvalidScenario as error:
            located(error, path)


def test_a_heap_of_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    heaps = ["[" * 50_000, "{a: " * 20_000, "- " * 40_000, "a:\n" * 9_000, "x" * 50_000,
             "'" * 50_000, "&a " * 30_000, "? " * 40_000, "#" * 50_000, "a: 1\n" * 9_000,
             "".join(f"key{n}: 1\n" for n in range(4_000))]  # fmt: skip
    for heap in heaps:
        path.write_text(heap)
        assert load_or_refuse(path) is None
