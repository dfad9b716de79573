"""How long the remedies of an episode took, step by step, counted from the fault they answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from payresil.checkers.outages import Episode
from payresil.core.interruptions import answered_fault
from payresil.core.remedy_record import Remedy, RemedyStep, remedies
from payresil.core.results import Measure
from payresil.core.run import Run

#: Steps whose end says that something has come to zero.
_ZERO = {"resolve": "time_to_zero_unknowns", "reconcile": "time_to_zero_unreconciled"}


def answering(run: Run, episode: Episode) -> list[Remedy]:
    """The remedies that knew of an episode: they began after it had, or detected it.

    A planned one answers nothing: it is an episode itself.
    """
    return [
        remedy
        for remedy in remedies(run)
        if episode.start_ns <= remedy.known_ns < episode.end_ns and not remedy.planned
    ]


def recovered_by(found: Sequence[Remedy], episode: Episode) -> bool:
    """Whether a remedy came to a good end, so that recovery need not wait for the heal."""
    return any(
        remedy.done and remedy.end_ns is not None and remedy.end_ns <= episode.end_ns
        for remedy in found
    )


def times(run: Run, found: Sequence[Remedy], *, named: bool) -> Iterator[Measure]:
    """Seconds of every step that came to its end; `named` tells those of each remedy apart."""
    for remedy in found:
        suffix = f".{remedy.id}" if named else ""
        fault = answered_fault(run, remedy)
        since_ns = remedy.start_ns if fault is None else fault[1]
        for name in dict.fromkeys(step.name for step in remedy.steps):
            same = [step for step in remedy.steps if step.name == name]
            yield from _step(name, same, since_ns, suffix)


def _step(name: str, same: list[RemedyStep], since_ns: int, suffix: str) -> Iterator[Measure]:
    last = same[-1]
    ended = last.end_ns if last.done else None
    if name == "detect":
        yield Measure(f"detection_time{suffix}", _s(_since(ended, since_ns)), "s")
        return
    took = [step.took_ns for step in same if step.took_ns is not None]
    all_ended = ended is not None and len(took) == len(same)
    own = "decision_time" if name == "decide" else f"step_{name}"
    yield Measure(f"{own}{suffix}", _s(sum(took) if all_ended else None), "s")
    if name in _ZERO:
        yield Measure(f"{_ZERO[name]}{suffix}", _s(_since(ended, since_ns)), "s")


def _since(at_ns: int | None, since_ns: int) -> int | None:
    return None if at_ns is None else at_ns - since_ns


def _s(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9
