"""No text of a run can act on the terminal or file that shows it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from payresil.render.visible import LIMIT, listed, visible, width, wrapped

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)  # surrogates, too


@given(ANY_TEXT)
def test_what_is_shown_is_printable_and_can_be_written(text):
    shown = visible(text)
    assert "\n" not in shown
    assert all(c.isprintable() or c.isspace() for c in shown)
    assert "\x1b" not in shown
    shown.encode("utf-8")


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=100))
def test_ordinary_text_is_left_as_it_is(text):
    assert visible(text) == text


def test_escapes_are_written_out():
    assert visible("\x1b[31mred\x00\n\u202e") == r"\x1b[31mred\x00\n\u202e"


def test_long_text_is_cut_and_says_so():
    shown = visible("x" * 10_000)
    assert shown.startswith("x" * LIMIT)
    assert shown.endswith("… (cut, 10,000 characters)")
    assert len(visible("\x00" * 10_000)) < LIMIT + 40


def test_width_counts_columns():
    assert width("abc") == 3
    assert width("付款") == 4
    assert width("e\u0301") == 1


@given(st.text(max_size=300), st.integers(20, 100))
def test_wrapped_lines_fit_and_keep_every_character(text, columns):
    text = visible(text)
    lines = wrapped(text, columns, first="* ", rest="  ")
    assert all(width(line) <= columns for line in lines)
    assert "".join("".join(lines)[1:].split()) == "".join(text.split())


@given(st.lists(st.text(min_size=1, max_size=150), max_size=8), st.integers(30, 100))
def test_listed_parts_fit(parts, columns):
    lines = listed(map(visible, parts), columns, first="name  ", rest="    ")
    assert all(width(line) <= columns for line in lines)


def test_listed_parts_are_broken_between_parts():
    assert listed(["a b", "c d", "e f"], 12, first="", rest="  ") == ["a b · c d", "  e f"]
