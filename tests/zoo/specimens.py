"""Every known flaw of the reference service, the scenario that exposes it, and what must fire."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@dataclass(frozen=True, slots=True)
class Specimen:
    """One run: a scenario with a flaw and the check that must find it, or with none of both."""

    scenario: str  # a file under `SCENARIOS`, without its ending
    flaw: str | None = None
    check: str | None = None

    @property
    def name(self) -> str:
        """What it is called in the matrix."""
        return self.flaw or "(flawless)"

    @property
    def path(self) -> Path:
        """The scenario's file."""
        return SCENARIOS / f"{self.scenario}.yaml"


FLAWED = (
    Specimen("gate/psp-lost-answers", "key-per-attempt", "idempotency"),
    Specimen("gate/psp-slow", "timeout-is-failure", "durability"),
    Specimen("gate/psp-slow", "blind-status-overwrite", "lifecycle"),
    Specimen("gate/service-crash", "psp-call-in-transaction", "lifecycle"),
    Specimen("gate/retry-storm", "check-then-insert", "idempotency"),
    Specimen("gate/retry-storm", "refund-race", "refunds"),
    Specimen("rehearsal/database-crash", "ack-before-commit", "durability"),
)

FLAWLESS = tuple(
    Specimen(str(path.relative_to(SCENARIOS).with_suffix("")))
    for folder in ("gate", "rehearsal")
    for path in sorted((SCENARIOS / folder).glob("*.yaml"))
)
