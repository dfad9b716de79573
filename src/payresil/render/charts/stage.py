"""What every chart stands on: the time axis, the phases below it, the fault windows behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from payresil.core.run import Run
from payresil.render.charts.scale import Scale, time_label, time_ticks
from payresil.render.charts.series import Series
from payresil.render.charts.svg import element, words
from payresil.render.numbers import seconds
from payresil.render.remedies import remedy_windows
from payresil.render.visible import visible
from payresil.render.windows import Window, fault_windows, phases

WIDTH = 960
LEFT, RIGHT = 62, 906  # of the plot
PLOT = 190  # its height
LEGEND = 26
LANE = 20
_MOST_LANES = 6
_CHARACTER = 6.7  # rough width of one at this size of type


@dataclass(frozen=True)
class Stage:
    """Time from `start_s` to `end_s`, with what happened in it."""

    start_s: float
    end_s: float
    faults: Sequence[Window]
    phases: Sequence[Window]
    remedies: Sequence[Window] = ()

    @cached_property
    def x(self) -> Scale:
        """Run time in seconds to pixels."""
        return Scale(self.start_s, self.end_s, LEFT, RIGHT)

    @property
    def top(self) -> int:
        """Where the plot begins."""
        return LEGEND + LANE * len(self._lanes) + 8

    @property
    def bottom(self) -> int:
        """Where the plot ends."""
        return self.top + PLOT

    @property
    def height(self) -> int:
        """Of the whole drawing."""
        return self.bottom + 44

    def behind(self, chart: str) -> str:
        """Shaded fault windows, drawn before the data."""
        shades = []
        for window in self._within(self.faults):
            left, right = self._ends(window)
            place = {"x": left, "y": self.top, "width": right - left, "height": PLOT}
            shades.append(element("rect", class_="fault", **place))
            shades.append(element("rect", fill=f"url(#{chart}-fault)", **place))
        return "".join(shades)

    def around(self) -> str:
        """Fault labels above the plot; phases and the time axis below it."""
        return self._labels() + self._strip() + self._axis()

    def _within(self, windows: Sequence[Window]) -> list[Window]:
        """Those that overlap the time shown."""
        return [
            window
            for window in windows
            if window.start_ns / 1e9 < self.end_s
            and (window.end_ns is None or window.end_ns / 1e9 > self.start_s)
        ]

    def _ends(self, window: Window) -> tuple[float, float]:
        """Left and right pixel; at least two wide, so that a short fault can be seen."""
        left = self.x(window.start_ns / 1e9)
        right = RIGHT if window.end_ns is None else self.x(window.end_ns / 1e9)
        return left, max(right, left + 2)

    @cached_property
    def _lanes(self) -> list[list[tuple[Window, float]]]:
        """Labels in rows in which they do not touch; those beyond the last row go unnamed."""
        lanes: list[list[tuple[Window, float]]] = []
        taken: list[float] = []
        for window in self._within([*self.faults, *self.remedies]):
            left, right = self._ends(window)
            wide = max(right - left, len(self._name(window)) * _CHARACTER + 16)
            start = min(left, RIGHT - wide)
            lane = next((i for i, end in enumerate(taken) if end + 6 <= start), len(taken))
            if lane == _MOST_LANES:
                continue
            if lane == len(taken):
                lanes.append([])
                taken.append(0.0)
            lanes[lane].append((window, start))
            taken[lane] = start + wide
        return lanes

    def _labels(self) -> str:
        """The name of every fault and remedy over a bar as long as it was active.

        The ends of a fault go down the plot, over the data, which covers the shading.
        """
        drawn = []
        for row, lane in enumerate(self._lanes):
            y = LEGEND + (row + 1) * LANE - 4
            for window, start in lane:
                left, right = self._ends(window)
                kind, sign = ("remedy", "✚") if window in self.remedies else ("fault", "⚡")
                name = words(f"{sign} {self._name(window)}")
                bar = {"x": left, "y": y, "width": right - left, "height": 3}
                drawn += [
                    element("text", name, class_=f"{kind}-name", x=start, y=y - 4),
                    element("rect", class_=f"{kind}-bar", **bar),
                ]
                if kind == "fault":
                    drawn += [_edge(x, y, self.bottom) for x in (left, right)]
        return "".join(drawn)

    def _name(self, window: Window) -> str:
        """What a label says: its name, and that it was never healed or never ended."""
        endless = "never ended" if window in self.remedies else "never healed"
        return visible(window.name, 48) + ("" if window.end_ns is not None else f" ({endless})")

    def _strip(self) -> str:
        """The phases as a strip with their names; a name that does not fit is a tooltip."""
        drawn = []
        y = self.bottom + 4
        for i, window in enumerate(self._within(self.phases)):
            left, right = self._ends(window)
            name = visible(window.name, 40)
            kind = "phase-faulted" if window.name == "faulted" else f"phase-{i % 2}"
            box = {"x": left, "y": y, "width": right - left, "height": 16}
            drawn.append(
                element(
                    "rect",
                    element("title", words(f"{name}, from {seconds(window.start_ns)}")),
                    class_=f"phase {kind}",
                    **box,
                )
            )
            if len(name) * _CHARACTER < right - left:
                drawn.append(
                    element(
                        "text", words(name), class_="phase-name", x=(left + right) / 2, y=y + 12
                    )
                )
        return "".join(drawn)

    def _axis(self) -> str:
        ticks = time_ticks(self.start_s, self.end_s)
        step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
        drawn = []
        for tick in ticks:
            x = self.x(tick)
            drawn.append(
                element("line", class_="tick", x1=x, x2=x, y1=self.bottom + 20, y2=self.bottom + 25)
            )
            drawn.append(
                element("text", words(time_label(tick, step)), class_="x", x=x, y=self.bottom + 38)
            )
        for name, y in (("phase", self.bottom + 16), ("time", self.bottom + 38)):
            drawn.append(element("text", words(name), class_="x-name", x=LEFT - 24, y=y))
        return "".join(drawn)


def stage(run: Run, data: Series) -> Stage:
    """The time that the load of `run` took, until its last answer."""
    last_s = run.one("select max(done_ns) / 1e9 from attempts where source = 'load'")
    return Stage(
        data.start_s,
        max(data.edges_s[-1], last_s or 0.0),
        fault_windows(run),
        phases(run),
        remedy_windows(run),
    )


def _edge(x: float, top: float, bottom: float) -> str:
    return element("line", class_="fault-edge", x1=x, x2=x, y1=top, y2=bottom)
