"""Fault windows and phases as they were recorded."""

from __future__ import annotations

from payresil.core.run import Run
from payresil.render.windows import Window, fault_window, fault_windows, phases

S = 1_000_000_000


def event(kind, name, what, at):
    return {"kind": kind, "name": name, "what": what, "at_ns": at * S}


def test_a_phase_that_comes_back_is_there_twice():
    run = Run.from_rows(
        {},
        events=[
            event("phase", name, what, at)
            for name, begin, end in [("faulted", 1, 2), ("recovering", 2, 3), ("faulted", 3, 4)]
            for what, at in [("begin", begin), ("end", end)]
        ],
    )
    assert phases(run) == [
        Window("faulted", 1 * S, 2 * S),
        Window("recovering", 2 * S, 3 * S),
        Window("faulted", 3 * S, 4 * S),
    ]


def test_a_phase_cut_short_has_no_end():
    run = Run.from_rows({}, events=[event("phase", "steady", "begin", 0)])
    assert phases(run) == [Window("steady", 0, None)]


def test_a_fault_that_was_never_healed_says_so():
    run = Run.from_rows({}, events=[event("fault", "f", "inject", 10)])
    window = fault_window(run, "f")
    assert window is not None
    assert window.text == "10.0 s on, never healed"
    assert fault_window(run, "g") is None


def test_faults_in_the_order_they_began(story):
    run = story.made_up(story.plan(seconds=20, faults=(("late", 9, 12), ("early", 3, 5))))
    assert [window.name for window in fault_windows(run)] == ["early", "late"]
