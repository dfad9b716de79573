"""Which of the ten principles of a payment system each check touches.

A check belongs to a principle when its claim is a part of it. A check that is not listed, such
as one of a third party, touches none until it is added here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from payresil.core.results import CheckResult


@dataclass(frozen=True, slots=True)
class Principle:
    """Something that a user wants proven of a payment system."""

    number: int
    title: str
    asks: str


PRINCIPLES = (
    Principle(
        1, "Security", "TLS, authentication, secrets, card data; fraud is told from customers"
    ),
    Principle(2, "Monitoring and structured logs", "what the operators see is what clients saw"),
    Principle(3, "Load balancing", "load is spread, and a sick instance is taken out"),
    Principle(4, "Idempotency keys", "one payment moves money once, however often it is sent"),
    Principle(5, "Reconciliation", "customer, service and PSP agree; every break is found"),
    Principle(6, "Compliance", "evidence for the items of PCI DSS and DORA"),
    Principle(7, "Regular testing", "gates and baselines that run again and again"),
    Principle(8, "Disaster-recovery plan", "the plan was rehearsed; recovery time and data loss"),
    Principle(9, "Redundancy, replication, backup", "no acknowledged payment is lost"),
    Principle(10, "Incident retrospective", "what happened is drafted from the timeline"),
)

#: Check → numbers of the principles that its claim is a part of. Objectives of service in general
#: (availability, latency, approval_rate, amplification) are a part of none.
TOUCHES: dict[str, tuple[int, ...]] = {
    "no_leaks": (1,),
    "golden_signals": (2,),
    "structured_logs": (2,),
    "promql": (2,),
    "alerting": (2,),
    "balancing": (3,),
    "idempotency": (4,),
    "webhooks": (4,),
    "reconciliation": (5,),
    "double_entry": (5,),
    "lifecycle": (5,),
    "refunds": (5,),
    "convergence": (5,),
    "recovery": (8,),
    "data_loss": (8, 9),
    "no_split_brain": (9,),
    "durability": (9,),
    "redundancy": (9,),
    "restore": (9,),
    "backup_freshness": (9,),
}


def touching(principle: Principle, checks: Iterable[CheckResult]) -> tuple[CheckResult, ...]:
    """The checks of a run that touch `principle`."""
    return tuple(check for check in checks if principle.number in _touched(check))


def outside(checks: Iterable[CheckResult]) -> tuple[CheckResult, ...]:
    """The checks of a scenario that belong to none of the ten."""
    return tuple(check for check in checks if check.kind != "evidence" and not _touched(check))


def _touched(check: CheckResult) -> tuple[int, ...]:
    """By the checker's name: the second of its kind in a scenario is ``recovery.2``."""
    return TOUCHES.get(check.name.split(".")[0], ())
