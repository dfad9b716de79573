"""Finds which payment an intent of the PSP belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from payresil.refpay.books.values import Payment
from payresil.refpay.reconcile.views import PspIntent


def match(
    payments: Iterable[Payment], intents: Iterable[PspIntent]
) -> tuple[dict[str, list[PspIntent]], list[PspIntent]]:
    """Intents by payment, and those that hold money and belong to none.

    By the payment's own id in the metadata, by the id of the intent in the books, or by a
    reference that only one payment has: never by amount and date, which two can share.
    """
    known = {payment.id for payment in payments}
    by_intent = {p.psp_payment: p.id for p in payments if p.psp_payment}
    by_reference = _only_one(payments)
    matched: dict[str, list[PspIntent]] = defaultdict(list)
    orphans = []
    for intent in intents:
        if intent.fence:
            continue
        owner = intent.payment if intent.payment in known else None
        owner = owner or by_intent.get(intent.id)
        if owner is None and intent.payment is None and intent.reference is not None:
            owner = by_reference.get(intent.reference)
        if owner is not None:
            matched[owner].append(intent)
        elif intent.holds_money:
            orphans.append(intent)
    return matched, orphans


def by_payment(orphans: Iterable[PspIntent]) -> list[list[PspIntent]]:
    """Orphans that were made for the same payment together, newest first."""
    together: dict[str, list[PspIntent]] = defaultdict(list)
    for intent in orphans:
        together[intent.payment or intent.id].append(intent)
    return list(together.values())


def _only_one(payments: Iterable[Payment]) -> dict[str, str]:
    owners: dict[str, Sequence[str]] = {}
    for payment in payments:
        owners[payment.reference] = (*owners.get(payment.reference, ()), payment.id)
    return {reference: ids[0] for reference, ids in owners.items() if len(ids) == 1}
