"""What the harness wrote down of its own steps: settle, reconcile, the end of traffic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payresil.core.run import Run


@dataclass(frozen=True, slots=True)
class Step:
    """One event of kind ``step``."""

    at_ns: int
    what: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settling:
    """Whether the system came to rest, and how long after the end of traffic that was known."""

    done: bool
    took_ns: int
    why: str  # what was still pending, or which question failed


def steps(run: Run, name: str) -> list[Step]:
    """The events of one step, oldest first."""
    rows = run.rows(
        "select at_ns, what, detail from events where kind = 'step' and name = ? "
        "order by at_ns, what",
        [name],
    )
    return [Step(at_ns, what, detail_of(detail)) for at_ns, what, detail in rows]


def detail_of(text: str | None) -> dict[str, Any]:
    """The detail of an event; one that is no JSON object is kept as ``{"text": …}``."""
    try:
        detail = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {"text": text}
    return detail if isinstance(detail, dict) else {"text": text}


def arrivals_ended_ns(run: Run) -> int | None:
    """When no new customer came any more: the drain began. None when it never did."""
    end_ns: int | None = run.one("select start_ns from phases where phase = 'drain'")
    return end_ns


def settled(run: Run) -> Settling | None:
    """How the system came to rest after the drain; None when the run does not say."""
    traffic_ended_ns = run.one("select end_ns from phases where phase = 'drain'")
    ends = [step for step in steps(run, "settle") if step.what in ("end", "failed")]
    if traffic_ended_ns is None or not ends:
        return None
    last = ends[-1]
    if last.what == "end" and last.detail.get("settled", True) is None:
        return None  # nobody could be asked
    done = last.what == "end" and last.detail.get("settled", True) is True
    pending = last.detail.get("pending")
    left = (
        {name: count for name, count in pending.items() if count}
        if isinstance(pending, dict)
        else {}
    )
    why = last.detail.get("error") or ", ".join(f"{k} {v}" for k, v in sorted(left.items()))
    return Settling(done, last.at_ns - traffic_ended_ns, str(why or "no reason recorded"))
