"""Pieces of SVG as text. Whatever is not a number is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise, zip_longest

Point = tuple[float, float]


def element(tag: str, *children: str, **attributes: str | float) -> str:
    """An element. `children` are elements or `words`; ``stroke_width`` is ``stroke-width``."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{given}>{''.join(children)}</{tag}>" if children else f"<{tag}{given}/>"


def words(text: str) -> str:
    """Text between tags, escaped."""
    return escape(text, quote=False)


def _attribute(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{round(value, 1):g}"


def line(points: Sequence[Point | None]) -> str:
    """Path data through `points`, with a gap at every None; a point alone becomes a dot."""
    data: list[str] = []
    before: Point | None = None
    for point, after in zip_longest(points, points[1:]):
        if point is not None:
            data.append(f"{'M' if before is None else 'L'}{_pair(point)}")
            if before is None and after is None:
                data.append("h0")
        before = point
    return "".join(data)


def step_area(edges: Sequence[float], lower: Sequence[float], upper: Sequence[float]) -> str:
    """Path data of the area between two staircases; ``len(edges) == len(lower) + 1``."""
    top = _stairs(edges, upper)
    bottom = _stairs(edges, lower)
    return "M" + "L".join(map(_pair, [*top, *reversed(bottom)])) + "Z"


def step_line(edges: Sequence[float], heights: Sequence[float | None]) -> str:
    """Path data of a staircase, with a gap at every None."""
    points: list[Point | None] = []
    for (left, right), height in zip(pairwise(edges), heights, strict=True):
        points += [None] if height is None else [(left, height), (right, height)]
    return line(points)


def _stairs(edges: Sequence[float], heights: Sequence[float]) -> list[Point]:
    """Corners of a staircase; flat stretches of equal height are joined."""
    corners: list[Point] = []
    for (left, right), height in zip(pairwise(edges), heights, strict=True):
        if corners and corners[-1][1] == height:
            corners[-1] = (right, height)
        else:
            corners += [(left, height), (right, height)]
    return corners


def _pair(point: Point) -> str:
    return f"{_coordinate(point[0])},{_coordinate(point[1])}"


def _coordinate(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
