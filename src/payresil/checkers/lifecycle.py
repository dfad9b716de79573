"""Payments change state as payments may, and are written down before the PSP is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from payresil.core.grouping import columns, grouped, keep_suspects
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Duration

#: From each state to those that may follow it; None is before the first one. What is missing here
#: is final.
LEGAL: dict[str | None, tuple[str, ...]] = {
    None: ("processing", "authorized", "succeeded", "declined", "canceled", "failed"),
    "processing": ("authorized", "succeeded", "declined", "canceled", "failed"),
    "authorized": ("succeeded", "canceled"),
}

_CODES = {state: code for code, state in enumerate((None, *LEGAL[None]))}
_UNKNOWN_CODE = 7
#: A step from one state to another takes so many bits of a way.
_STEP_BITS = 6


def _legal_ways() -> Iterator[tuple[int, int]]:
    """Every legal way of a payment: how many rows tell of it, and what they come to.

    Row 0 is the payment itself with the state it is in, row k its k-th transition.
    """
    unfinished: list[tuple[str | None, ...]] = [(None,)]
    while unfinished:
        states = unfinished.pop()
        for state in LEGAL.get(states[-1], ()):
            way = (*states, state)
            unfinished.append(way)
            steps = [_CODES[state], *map(_step, way, way[1:])]
            yield len(steps), sum(step << _STEP_BITS * row for row, step in enumerate(steps))


def _step(before: str | None, after: str | None) -> int:
    return _CODES[before] * 8 + _CODES[after]


_LEGAL_WAYS = sorted(_legal_ways())
_LONGEST = max(rows for rows, _ in _LEGAL_WAYS) - 1


def _code(column: str) -> str:
    """SQL for the code of a state; one that payresil has no word for is no legal one."""
    whens = " ".join(f"when '{state}' then {code}" for state, code in _CODES.items() if state)
    return f"case {column} {whens} else {_UNKNOWN_CODE} end"


_WAY_BITS = _STEP_BITS * (_LONGEST + 1)
_ANY_OTHER = (1 << _WAY_BITS) - 1

#: What a row says of a payment, as the lowest bits of its code.
_SAID = f"""
select (hash(payment) >> {_WAY_BITS} << {_WAY_BITS}) | {_code("state")}::ubigint
from books_payments where payment is not null
union all
select (hash(payment) >> {_WAY_BITS} << {_WAY_BITS})
       | case when seq between 1 and {_LONGEST}
              then (case when from_state is null then 0 else {_code("from_state")} end * 8
                    + {_code("to_state")})::ubigint << ({_STEP_BITS} * seq)::ubigint
              else {_ANY_OTHER} end
from books_transitions where payment is not null
"""

_STRAYED = "hash(payment) >> 32 in (from strayed)"

_STEPS = f"""
select payment, intent, true as booked, null as seq, null as from_state, state, null as cause
from books_payments where {_STRAYED}
union all
select payment, intent, false, seq, from_state, to_state, cause
from books_transitions where {_STRAYED}
order by payment, booked desc, seq, from_state, state, cause, intent
"""

_JUDGED = """
select (select count(*) from books_payments), (select count(*) from books_transitions),
       count(*) filter (psp_charges > 0),
       count(*) filter (psp_created_ns is not null and booked_created_us is not null),
       count(*) filter (psp_charges > 0 and booked_payments > 0
                        and (psp_created_ns is null or booked_created_us is null)),
       count(*) filter (psp_charges > 0 and booked_payments = 0)
from three_books
"""

_NAMELESS = """
select (select count(*) from books_payments where payment is null)
     + (select count(*) from books_transitions where payment is null)
"""

#: `$1`: how far clocks may differ (ns).
_ASKED_FIRST = """
select intent, psp_created_ns, booked_ns from (
  select intent, n, psp_created_ns,
         (booked_created_us - (select zero_wall_us from meta)) * 1000 as booked_ns
  from three_books where psp_created_ns is not null
)
where booked_ns - psp_created_ns > $1 order by n, intent
"""


@dataclass(frozen=True, slots=True)
class _Transition:
    """One change of state, as the service wrote it down."""

    seq: int | None
    before: str | None
    after: str | None
    cause: str | None

    def __str__(self) -> str:
        return f"{self.before or 'new'} -> {self.after or '?'} ({self.cause or '?'})"


@checker(kind="money", needs=["books_payments", "books_transitions", "psp_charges"])
def lifecycle(
    run: Run,
    clock_skew: Duration = Duration(0.05),  # noqa: B008 - a value, never changed
) -> Iterator[Result]:
    """A payment moves only as payments may, and is in the books before the PSP is asked for money.

    A new payment may begin in any state; processing may become any other; authorized may become
    succeeded or canceled; succeeded, declined, canceled and failed are final. Transitions are
    numbered from 1 without a gap, each leaves the state that the one before led to, and the last
    one led to the state that the payment is in. A payment that the books have only since after the
    PSP charged for it was lost, or written down too late; `clock_skew` is how far the clock of the
    service's database may be ahead of the PSP's. `charges_never_booked` is left to
    reconciliation.
    """
    ((payments, transitions, charged, timed, untimed, never),) = run.rows(_JUDGED)
    yield Measure("payments_judged", payments)
    yield Measure("transitions_judged", transitions)
    yield Measure("charged_intents_judged", timed)
    yield Measure("charges_never_booked", never)
    if not transitions:
        yield Doubt(
            "no transition is recorded, so how payments came to be what they are is unknown"
        )
    else:
        yield from _strayed(run)
    if charged > never and not timed:
        yield Doubt("the books do not say when payments were made, so which came first is unknown")
    elif untimed:
        yield Doubt(
            f"of {untimed:,} of {charged - never:,} charged payments it is not known when they "
            "were made or charged, so which came first is unknown"
        )
    for intent, charged_ns, booked_ns in run.rows(_ASKED_FIRST, [clock_skew.ns]):
        yield Finding(
            f"charged at the PSP at {charged_ns / 1e9:.3f} s, in the books of the service only "
            f"since {booked_ns / 1e9:.3f} s",
            intent,
        )


def _strayed(run: Run) -> Iterator[Result]:
    if nameless := run.one(_NAMELESS):
        yield Doubt(f"{nameless:,} payments or transitions in the books name no payment")
    _look_at_payments(run)
    for payment, rows in groupby(run.rows(_STEPS), key=lambda row: row[0]):
        steps = list(rows)
        states = [state for _, _, booked, _, _, state, _ in steps if booked]
        transitions = [_Transition(*step[3:]) for step in steps if not step[2]]
        wrong = list(dict.fromkeys(_wrong(states, transitions)))
        if wrong:
            intent = next((row[1] for row in steps if row[1] is not None), None)
            yield Finding(f"payment {payment}: {'; '.join(wrong)}", intent)


def _look_at_payments(run: Run) -> None:
    """Pick those whose rows do not come to a legal way.

    No two rows of a legal way set the same bits, so as many rows that come to it are it.
    """
    payments = grouped(columns(run.sql, _SAID)[0], _WAY_BITS)
    ways = payments.said() | payments.counts.astype(np.uint64) << np.uint64(_WAY_BITS)
    legal = [rows << _WAY_BITS | way for rows, way in _LEGAL_WAYS]
    strayed = ~np.isin(ways, np.array(legal, np.uint64))
    keep_suspects(run.sql, "strayed", payments.keys[strayed])


def _wrong(states: Sequence[str | None], transitions: Sequence[_Transition]) -> Iterator[str]:
    """What is wrong with the way of one payment: the states it is booked in, its transitions."""
    if len(states) != 1:
        yield f"booked {len(states)} times" if states else "has transitions, and is not booked"
    if not transitions:
        yield "no transition led to its state"
        return
    before = None
    for number, transition in enumerate(transitions, 1):
        if transition.seq != number:
            yield f"its transition {number} has the number {transition.seq}"
        if transition.before != before:
            yield f"{transition} when it was {before or 'new'}"
        if transition.after not in LEGAL.get(transition.before, ()):
            yield f"{transition} is not legal"
        before = transition.after
    for state in states:
        if state != before:
            yield f"{state} in the books, though its last transition led to {before}"
