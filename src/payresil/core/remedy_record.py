"""What a run wrote down of its remedies: when each step began, how long it took, how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from payresil.core.run import Run
from payresil.core.steps import detail_of


@dataclass(frozen=True, slots=True)
class RemedyStep:
    """One step of a remedy; `end_ns` is None when it never ended."""

    name: str
    start_ns: int
    end_ns: int | None
    failed: bool
    detail: Mapping[str, Any]

    @property
    def done(self) -> bool:
        """Whether it came to a good end."""
        return self.end_ns is not None and not self.failed

    @property
    def took_ns(self) -> int | None:
        """From begin to end; None when it never ended."""
        return None if self.end_ns is None else self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Remedy:
    """One remedy with its steps, oldest first; `end_ns` is None when it never ended."""

    id: str  # failover, or failover.2 for the second one
    start_ns: int
    end_ns: int | None
    failed: bool
    detail: Mapping[str, Any]  # parameters, and what it gave or why it failed
    steps: tuple[RemedyStep, ...]

    @property
    def kind(self) -> str:
        """The remedy's name without its number."""
        return self.id.split(".")[0]

    @property
    def done(self) -> bool:
        """Whether it came to a good end."""
        return self.end_ns is not None and not self.failed

    @property
    def planned(self) -> bool:
        """Whether it took payments away by itself, as planned, and answered no fault."""
        return any(step.detail.get("planned") for step in self.steps)

    def step(self, name: str) -> RemedyStep | None:
        """The last step of this name that came to a good end."""
        found = [step for step in self.steps if step.name == name and step.done]
        return found[-1] if found else None

    @property
    def known_ns(self) -> int:
        """When it knew what it answers: its detection ended, or where it has none, it began."""
        detect = self.step("detect")
        if detect is None or detect.end_ns is None:
            return self.start_ns
        return detect.end_ns

    @property
    def unwell_ns(self) -> int:
        """When its watch first found what it answers, without a break until it knew of it."""
        detect = self.step("detect")
        unwell_s = None if detect is None else detect.detail.get("unwell_for_s")
        if not isinstance(unwell_s, int | float):
            return self.known_ns
        return max(self.start_ns, self.known_ns - round(unwell_s * 1e9))


@dataclass(frozen=True, slots=True)
class Promotion:
    """One step ``promote`` that came to a good end."""

    remedy: Remedy
    start_ns: int
    end_ns: int


def remedies(run: Run) -> list[Remedy]:
    """Every remedy of a run, by when it began."""
    steps: dict[str, list[RemedyStep]] = {}
    for remedy, name, start_ns, end_ns, failed, detail in run.rows(
        "select remedy, coalesce(step, 'unnamed'), start_ns, end_ns, failed, detail "
        "from remedy_steps order by start_ns, coalesce(end_ns, start_ns), step"
    ):
        step = RemedyStep(name, start_ns, end_ns, failed, detail_of(detail))
        steps.setdefault(remedy, []).append(step)
    return [
        Remedy(
            remedy,
            start_ns,
            end_ns,
            failed,
            {**detail_of(begin), **detail_of(detail)},
            tuple(steps.get(remedy, ())),
        )
        for remedy, start_ns, end_ns, failed, detail, begin in run.rows(
            "select remedy, start_ns, end_ns, failed, detail, begin_detail from remedies "
            "order by start_ns, remedy"
        )
    ]


def promotions(run: Run) -> list[Promotion]:
    """Every promotion of a database, oldest first."""
    found = [
        Promotion(remedy, step.start_ns, step.end_ns)
        for remedy in remedies(run)
        for step in remedy.steps
        if step.name == "promote" and step.end_ns is not None and not step.failed
    ]
    return sorted(found, key=lambda promotion: promotion.start_ns)


def unfinished(run: Run) -> Iterator[str]:
    """Of remedies that failed or never ended: ``remedy failover failed at step promote: …``."""
    for remedy in remedies(run):
        if remedy.done:
            continue
        last = next((step for step in reversed(remedy.steps) if not step.done), None)
        place = f" at step {last.name}" if last else ""
        if remedy.end_ns is None:
            yield f"remedy {remedy.id} never ended: the run ended{place or ' before it did'}"
            continue
        why = remedy.detail.get("error") or (last.detail.get("error") if last else None)
        yield f"remedy {remedy.id} failed{place}: {why or 'no reason recorded'}"
