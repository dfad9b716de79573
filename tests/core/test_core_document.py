from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.document import (
    MAX_BYTES,
    MAX_DEPTH,
    ListNode,
    MapNode,
    Scalar,
    parse_document,
    read_document,
)
from payresil.core.problems import MAX_SHOWN, InvalidScenario, Place, Problem, nearest, shown


def problems_of(text: str) -> list[str]:
    problems: list[Problem] = []
    parse_document(text, "x.yaml", problems)
    return [str(problem) for problem in problems]


def tree_of(text: str) -> MapNode:
    problems: list[Problem] = []
    tree = parse_document(text, "x.yaml", problems)
    assert tree is not None
    assert problems == []
    return tree


def test_every_node_knows_where_it_stands() -> None:
    tree = tree_of("a: 1\nb:\n  - x\n  - {c: y}\n")
    a, b = tree.entries
    assert (a.key, str(a.where), str(a.value.where)) == ("a", "x.yaml:1:1", "x.yaml:1:4")
    assert isinstance(b.value, ListNode)
    assert [str(item.where) for item in b.value.items] == ["x.yaml:3:5", "x.yaml:4:5"]
    assert tree.get("b") is b
    assert tree.get("c") is None


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "off", "1:30", "012", "1_000", "0x1f", "2026-01-02", ".inf", "=", "1e3"],
)
def test_scalars_stay_what_was_written(text: str) -> None:
    (entry,) = tree_of(f"{text}: {text}").entries
    assert entry.key == text
    assert entry.value == Scalar(Place("x.yaml", 1, len(text) + 3), text)


def test_quoted_text_can_be_told_from_plain() -> None:
    values = [entry.value for entry in tree_of("a: x\nb: 'x'\nc: \"x\"\nd: |\n  x\n").entries]
    assert [value.plain for value in values if isinstance(value, Scalar)] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("text", ["a:", "a: ~", "a: null"])
def test_nothing_is_nothing(text: str) -> None:
    (entry,) = tree_of(text).entries
    assert isinstance(entry.value, Scalar)
    assert entry.value.empty


def test_quoted_nothing_is_text() -> None:
    (entry,) = tree_of("a: ''").entries
    assert isinstance(entry.value, Scalar)
    assert not entry.value.empty


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "x.yaml:1:1: read nothing, expected a mapping of keys to values"),
        ("# only a comment\n", "x.yaml:1:1: read nothing, expected a mapping of keys to values"),
        ("- a", "x.yaml:1:1: read a list, expected a mapping of keys to values"),
        ("word", "x.yaml:1:1: read 'word', expected a mapping of keys to values"),
        (
            "a: 1\nb: 2\na: 3",
            "x.yaml:3:1: read 'a' again, expected each key once (it is in line 1 already)",
        ),
        ("a:\n\tb: 1", "x.yaml:2:1: read a tab, expected spaces"),
        ("a: &x 1", "x.yaml:1:4: read an anchor, &x, expected values without anchors"),
        ("a: *x", "x.yaml:1:4: read an alias (*), expected the value itself"),
        ("a: !!int 1", "x.yaml:1:4: read a tag, 'tag:yaml.org,2002:int', expected values without"),
        ("a: !x 1", "x.yaml:1:4: read a tag, '!x', expected values without tags"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: read a second document, expected one document in a file"),
        ("? [a]\n: b", "x.yaml:1:3: read a list as a key, expected text"),
        ("a: [1, 2", "x.yaml:1:9: read the end of the line, expected YAML (while parsing a flow"),
        ("a: 'x\n", "x.yaml:2:1: read the end of the line, expected YAML (while scanning a quoted"),
        ("a: b: c", "x.yaml:1:5: read ': c', expected YAML (mapping values are not allowed here)"),
        ("a: @b", "x.yaml:1:4: read '@b', expected YAML (while scanning for the next token"),
        ("a: x\0y", "x.yaml:1:5: read '\\x00', expected printable text"),
        ('a: "\\0"', "x.yaml:1:4: read the character '\\x00', expected text without control"),
        ('a: "\\e[31m"', "x.yaml:1:4: read the character '\\x1b', expected text without control"),
        ('a: "\\uD800"', "x.yaml:1:4: read the character '\\ud800', expected text without"),
        ('a: "\\UFFFFFFFF"', "x.yaml:1:1: read an escape or a number out of range"),
        ("%YAML 9.9\n---\na: 1", "x.yaml:1:1: read '%YAML 9.9', expected YAML (found incompatible"),
    ],
)
def test_abuse_and_mistakes_are_located(text: str, problem: str) -> None:
    assert problems_of(text)[0].startswith(problem)


def test_an_alias_cannot_blow_up() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    assert len(problems_of(bomb)) == 21 + 40


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_ends_the_reading(opening: str) -> None:
    (problem,) = problems_of("a: \n  " + opening * 5000)
    assert f"expected at most {MAX_DEPTH} levels" in problem or "expected YAML" in problem


def test_several_problems_are_told_at_once() -> None:
    assert len(problems_of("a: &x 1\na: 2\nb: !y 3\nc: *x\n")) == 4


def test_a_byte_order_mark_and_windows_line_ends_are_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    problems: list[Problem] = []
    tree = read_document(path, problems)
    assert tree is not None
    assert [entry.key for entry in tree.entries] == ["a", "b"]
    assert problems == []


def test_bytes_that_are_no_utf8_are_located(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("a: ü\nb: ü".encode() + b"\xff\n")
    problems: list[Problem] = []
    assert read_document(path, problems) is None
    assert str(problems[0]) == f"{path}:2:5: read the byte 0xff, expected text in UTF-8"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\n" * (MAX_BYTES // 5 + 1))
    problems: list[Problem] = []
    assert read_document(path, problems) is None
    assert "more than" in str(problems[0])


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "name"])
def test_what_is_no_file_is_a_problem_and_no_wait(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x" * 300 if kind == "name" else "x.yaml")
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    problems: list[Problem] = []
    assert read_document(path, problems) is None
    assert str(problems[0]).startswith(f"{path}: read ")


def test_problems_stand_in_the_order_of_the_file_each_once() -> None:
    late = Problem(Place("x.yaml", 10, 1), "b", "c")
    early = Problem(Place("x.yaml", 9, 30), "a", "c", "d")
    error = InvalidScenario([late, early, late])
    assert error.problems == (early, late)
    assert str(error) == (
        "x.yaml:9:30: read a, expected c (did you mean d?)\nx.yaml:10:1: read b, expected c"
    )


def test_very_many_problems_are_counted() -> None:
    problems = [Problem(Place("x.yaml", n, 1), "a", "b") for n in range(1, MAX_SHOWN + 4)]
    lines = str(InvalidScenario(problems)).splitlines()
    assert len(lines) == MAX_SHOWN + 1
    assert lines[-1] == "and 3 problems more"


def test_a_place_is_read_back() -> None:
    for place in (Place("a/b:c.yaml", 3, 4), Place("--flaw")):
        assert Place.parse(str(place)) == place


def test_words_of_messages() -> None:
    assert nearest("Rate", ["rate", "seed"]) == "rate"
    assert nearest("zzz", ["rate", "seed"]) is None
    assert shown("a\nb") == "'a\\nb'"
    assert len(shown("x" * 1000)) < 70


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_a_tree_or_located_problems(text: str) -> None:
    problems: list[Problem] = []
    tree = parse_document(text, "x.yaml", problems)
    assert tree is not None or problems
    assert all(problem.where.line >= 1 for problem in problems)


yamlish = st.lists(
    st.sampled_from(
        ["a", "b", ": ", ":\n", "\n", "  ", "- ", "[", "]", "{", "}", ", ", "'", '"', "#", "&x ",
         "*x", "!t ", "|", ">", "?", "%", "---\n", "...", "\t", "~", "\\", "@", "`", "é", "0"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(yamlish)
def test_anything_made_of_yaml_is_a_tree_or_located_problems(text: str) -> None:
    problems: list[Problem] = []
    tree = parse_document(text, "x.yaml", problems)
    assert tree is not None or problems
