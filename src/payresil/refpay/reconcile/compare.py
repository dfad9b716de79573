"""The comparison of one payment with what the PSP has of it: values in, breaks out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from payresil.refpay.books.values import Operation, Payment
from payresil.refpay.reconcile.views import Break, PspIntent

#: Final answers that took no money.
_UNPAID = frozenset({"declined", "failed", "canceled"})


def compare(
    payment: Payment, operations: Sequence[Operation], intents: Sequence[PspIntent]
) -> list[Break]:
    """Everything about a payment that disagrees; ``intents`` are its own, newest first.

    A payment that a request is working on is left alone.
    """
    if payment.in_flight:
        return []
    money = [intent for intent in intents if intent.holds_money]
    if payment.state in _UNPAID:
        return [
            Break("status", f"{payment.state} here, {intent.state} there", payment, intent)
            for intent in money
        ]
    keep = _counts(payment, operations, money)
    breaks = [
        Break("duplicate_psp", "one payment, taken twice", payment, intent, keep)
        for intent in money
        if keep is not None and intent.id != keep.id
    ]
    if payment.state == "processing":
        known = keep or next((i for i in intents if i.state is not None), None)
        said = known.state if known else "nothing"
        breaks.append(Break("stuck_unknown", f"unknown here, {said} there", payment, known))
    elif keep is None:
        other = next((i for i in intents if i.id == payment.psp_payment), None)
        breaks += _without_money(payment, other)
    else:
        breaks += _same_payment(payment, keep)
        breaks += _refunds(payment, operations, keep)
    return breaks


def _counts(
    payment: Payment, operations: Sequence[Operation], money: Sequence[PspIntent]
) -> PspIntent | None:
    """Of the intents that hold money, the earliest, unless a customer's refund is on another."""
    refunded = any(op.kind == "refund" and op.state != "failed" for op in operations)
    booked = next((intent for intent in money if intent.id == payment.psp_payment), None)
    if refunded and booked is not None:
        return booked
    return earliest(money) if money else None


def earliest(money: Sequence[PspIntent]) -> PspIntent:
    """Of intents of one payment that hold money, newest first, the one that counts."""
    captured = [intent for intent in money if intent.state == "succeeded"] or list(money)
    # As the PSP lists them: of one second, the last in the list is the earliest.
    return min(reversed(captured), key=lambda intent: intent.created)


def _without_money(payment: Payment, other: PspIntent | None) -> Iterator[Break]:
    if other is None:
        yield Break("missing_psp", f"{payment.state} here, nothing there", payment)
    elif other.state != payment.state and not (
        other.state == "succeeded" and other.refunded_minor <= payment.refunded_minor
    ):
        yield Break("status", f"{payment.state} here, {other.state} there", payment, other)


def _same_payment(payment: Payment, keep: PspIntent) -> Iterator[Break]:
    if keep.currency != payment.currency:
        detail = f"{payment.currency} here, {keep.currency} there"
        yield Break("currency", detail, payment, keep)
    if keep.state != payment.state:
        yield Break("status", f"{payment.state} here, {keep.state} there", payment, keep)
    elif payment.state == "succeeded" and keep.captured_minor != payment.captured_minor:
        detail = f"{payment.captured_minor} here, {keep.captured_minor} there"
        yield Break("amount", detail, payment, keep)


def _refunds(payment: Payment, operations: Iterable[Operation], keep: PspIntent) -> Iterator[Break]:
    ours = {op.id: op for op in operations if op.kind == "refund"}
    by_psp = {op.psp_object: op for op in ours.values() if op.psp_object}
    seen = set()
    for refund in keep.refunds:
        if refund.remedy:
            continue
        operation = ours.get(refund.operation or "") or by_psp.get(refund.id)
        if operation is None:
            if refund.state == "succeeded":
                yield Break("refund_mismatch", "not in the books", payment, keep, refund=refund)
            continue
        seen.add(operation.id)
        if operation.in_flight:
            continue
        if refund.state is not None and operation.state != refund.state:
            detail = f"{operation.state} here, {refund.state} there"
            yield Break("refund_mismatch", detail, payment, keep, None, operation, refund)
        elif operation.amount_minor != refund.amount_minor:
            detail = f"{operation.amount_minor} here, {refund.amount_minor} there"
            yield Break("refund_mismatch", detail, payment, keep, None, operation, refund)
    for operation in ours.values():
        if operation.id not in seen and operation.state != "failed" and not operation.in_flight:
            detail = f"{operation.state} here, nothing there"
            yield Break("refund_mismatch", detail, payment, keep, None, operation)
