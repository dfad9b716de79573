"""When faults were active and which phase the run was in, for shading charts and for words."""

from __future__ import annotations

from dataclasses import dataclass

from payresil.core.run import Run
from payresil.render.numbers import seconds


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of run time; `end_ns` is None when no end was recorded."""

    name: str
    start_ns: int
    end_ns: int | None

    @property
    def text(self) -> str:
        """``10.0 s to 18.0 s``."""
        end = "on, never healed" if self.end_ns is None else f"to {seconds(self.end_ns)}"
        return f"{seconds(self.start_ns)} {end}"


def fault_windows(run: Run) -> list[Window]:
    """Every fault of the run, by its start: from injection asked for to healing confirmed."""
    rows = run.rows(
        "select fault, coalesce(start_ns, injected_ns) as s, coalesce(healed_ns, heal_ns) "
        "from fault_windows where s is not null order by s, fault"
    )
    return [Window(str(name), start, end) for name, start, end in rows]


def fault_window(run: Run, fault: str) -> Window | None:
    """When `fault` was active; None when it was never injected."""
    return next((window for window in fault_windows(run) if window.name == fault), None)


def phases(run: Run) -> list[Window]:
    """Every stretch of a phase. A phase that came back, such as faulted, is there each time.

    The view `phases` joins those into one, which would shade the time in between.
    """
    rows = run.rows(
        "select name, what, at_ns from events where kind = 'phase' and at_ns is not null "
        "order by at_ns, what desc"  # an end before the begin of the next at the same instant
    )
    open_at: dict[str, int] = {}
    found: list[Window] = []
    for name, what, at_ns in rows:
        if what == "begin":
            open_at[name] = at_ns
        elif what == "end" and name in open_at:
            found.append(Window(str(name), open_at.pop(name), at_ns))
    found += [Window(str(name), start, None) for name, start in open_at.items()]
    return sorted(found, key=lambda window: window.start_ns)
