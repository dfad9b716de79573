"""One chart: a stage, an axis of values, marks, a legend, and words for those who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from payresil.render.charts.scale import Scale
from payresil.render.charts.stage import LEFT, PLOT, RIGHT, WIDTH, Stage
from payresil.render.charts.svg import element, words


@dataclass(frozen=True, slots=True)
class Axis:
    """The values: their scale, the ticks with their labels."""

    scale: Scale
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend: the class of its mark, an area or a line, and its name."""

    name: str
    mark: str
    area: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing and what it says. `name` makes its ids unique on the page."""

    name: str
    title: str
    description: str
    stage: Stage
    axis: Axis
    marks: Sequence[str]
    legend: Sequence[Key]
    values: Sequence[tuple[float, float, str]]  # from, to (seconds), what a pointer is told

    def svg(self) -> str:
        """The whole chart as one ``<svg>`` element."""
        stage = self.stage
        return element(
            "svg",
            element("title", words(self.title), id=f"{self.name}-title"),
            element("desc", words(self.description), id=f"{self.name}-desc"),
            element("defs", _patterns(self.name)),
            stage.behind(self.name),
            self._grid(),
            *self.marks,
            element("line", class_="base", x1=LEFT, x2=RIGHT, y1=stage.bottom, y2=stage.bottom),
            stage.around(),
            self._legend(),
            self._pointed(),
            xmlns="http://www.w3.org/2000/svg",
            class_="chart",
            viewBox=f"0 0 {WIDTH} {stage.height}",
            role="img",
            aria_labelledby=f"{self.name}-title {self.name}-desc",
        )

    def _grid(self) -> str:
        drawn = []
        for value, label in self.axis.ticks:
            y = self.axis.scale(value)
            drawn.append(element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=y, y2=y))
            drawn.append(element("text", words(label), class_="y", x=LEFT - 8, y=y + 4))
        return "".join(drawn)

    def _legend(self) -> str:
        drawn, x = [], float(LEFT)
        for key in self.legend:
            if key.area:
                box = {"x": x, "y": 5, "width": 22, "height": 11}
                drawn.append(element("rect", class_="swatch", **self._paint(key), **box))
            else:
                drawn.append(
                    element("line", class_=f"mark {key.mark}", x1=x, x2=x + 22, y1=11, y2=11)
                )
            drawn.append(element("text", words(key.name), class_="key", x=x + 28, y=15))
            x += 28 + len(key.name) * 6.6 + 20
        return "".join(drawn)

    def _paint(self, key: Key) -> dict[str, str | float]:
        return {"fill": f"url(#{self.name}-{key.mark})"}

    def _pointed(self) -> str:
        """Columns that cannot be seen and tell a pointer the values under it."""
        x, top = self.stage.x, self.stage.top
        return "".join(
            element(
                "rect",
                element("title", words(told)),
                class_="pointed",
                x=x(start),
                y=top,
                width=max(x(end) - x(start), 1),
                height=PLOT,
            )
            for start, end, told in self.values
        )


def _patterns(chart: str) -> str:
    """Fills that differ in pattern as well as in colour, so that they print in black and white."""
    return (
        _pattern(f"{chart}-ok", 8, element("rect", class_="fill-ok", width=8, height=8))
        + _pattern(
            f"{chart}-unknown",
            6,
            element("rect", class_="fill-unknown-back", width=6, height=6),
            element("path", class_="stroke-unknown", d="M-1,1L1,-1M0,6L6,0M5,7L7,5"),
        )
        + _pattern(
            f"{chart}-fail",
            6,
            element("rect", class_="fill-fail-back", width=6, height=6),
            element("path", class_="stroke-fail", d="M0,0L6,6M0,6L6,0"),
        )
        + _pattern(
            f"{chart}-fault",
            9,
            element("path", class_="stroke-fault", d="M-1,1L1,-1M0,9L9,0M8,10L10,8"),
        )
    )


def _pattern(name: str, size: int, *drawn: str) -> str:
    return element(
        "pattern", *drawn, id=name, width=size, height=size, patternUnits="userSpaceOnUse"
    )
