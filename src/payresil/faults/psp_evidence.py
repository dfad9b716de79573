"""Whether a fault of the PSP's rules bit, told from the requests that they touched."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.core.protocols import Window
from payresil.core.results import Doubt, Measure, Result
from payresil.core.run import Run
from payresil.faults.evidence import end_of, parameters

#: A delay is over so much early: timers of an event loop are only so good.
_EARLY_NS = 5_000_000

#: Of touched requests, those that took so long, and those of which it is known how long they took:
#: until they were answered or, where nobody waited for that, had made their charge or refund.
_TOOK = """
select count(*) filter (coalesce(a.answered_ns, c.created_ns, r.created_ns) - a.received_ns >= ?),
       count(coalesce(a.answered_ns, c.created_ns, r.created_ns) - a.received_ns),
       count(*)
from psp_attempts a left join psp_charges c using (request) left join psp_refunds r using (request)
where a.rule = ?
"""


def psp_touched(run: Run, window: Window, point: str, name: str) -> Iterator[Result]:
    """Requests that the PSP's rule touched at `point`. The rule's id is the fault's."""
    touched, intents, answered = run.rows(
        "select count(*), count(distinct reference), count(answered_ns) from psp_attempts "
        "where rule = ? and point = ?",
        [window.fault, point],
    )[0]
    yield Measure(name, touched)
    yield Measure("intents_touched", intents)
    yield Measure("touched_requests_answered", answered)
    if touched == 0:
        yield Doubt(f"{window.fault} matched no request at the PSP: {_asked_instead(run, window)}")


def _asked_instead(run: Run, window: Window) -> str:
    calls = run.rows(
        "select endpoint, count(*) from psp_attempts where received_ns between ? and ? "
        "group by endpoint order by count(*) desc limit 5",
        [window.start_ns, end_of(window)],
    )
    if not calls:
        return "it was asked for nothing while the fault was active"
    said = ", ".join(f"{endpoint} {count} times" for endpoint, count in calls)
    chosen = parameters(run, window).get("endpoint", "any endpoint")
    return f"the rule is for {chosen}, and it was asked for {said}"


def psp_took(run: Run, window: Window, delay_ns: int) -> Iterator[Result]:
    """Requests that the PSP's rule touched and that took `delay_ns` at least: most must have."""
    slowed, known, touched = run.rows(_TOOK, [delay_ns - _EARLY_NS, window.fault])[0]
    yield Measure("requests_slowed", slowed)
    if touched and not slowed:
        yield Doubt(
            f"{window.fault} touched {touched} requests at the PSP, and none of them is known to "
            f"have taken {delay_ns / 1e6:g} ms"
        )
    elif touched and 2 * slowed <= known:
        yield Doubt(
            f"{window.fault} touched {touched} requests at the PSP, and of the {known} of which it "
            f"is known how long they took, only {slowed} took {delay_ns / 1e6:g} ms"
        )
