"""SVG is escaped, and its paths say what the series say."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from payresil.render.charts.svg import element, line, step_area, step_line, words


def test_attributes_and_text_are_escaped():
    text = "a\"b<c>&'"
    drawn = element("text", words(text), class_="x", data_name=text, x=1.25)
    parsed = ET.fromstring(drawn)
    assert parsed.text == text
    assert parsed.attrib == {"class": "x", "data-name": text, "x": "1.2"}


@given(st.text(st.characters(categories=["L", "P", "S", "Zs"])))
def test_no_text_leaves_its_element(text):
    parsed = ET.fromstring(element("text", words(text), title=text))
    assert "".join(parsed.itertext()) == text
    assert parsed.get("title") == text


def test_a_line_has_gaps_where_values_are_missing():
    assert line([(0, 1), (1, 2), None, (3, 4), (4, 5)]) == "M0,1L1,2M3,4L4,5"


def test_a_point_alone_is_a_dot():
    assert line([None, (1, 2), None]) == "M1,2h0"


def test_a_staircase():
    assert step_line([0, 1, 2], [5, 7]) == "M0,5L1,5L1,7L2,7"
    assert step_line([0, 1, 2, 3], [5, None, 7]) == "M0,5L1,5M2,7L3,7"


def test_an_area_goes_there_and_back():
    assert step_area([0, 1, 2], [9, 9], [5, 7]) == "M0,5L1,5L1,7L2,7L2,9L0,9Z"
