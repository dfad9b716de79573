"""The two sides of a comparison, and what can disagree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from payresil.refpay.books.values import Operation, Payment
from payresil.refpay.psp.answer import read_intent, read_refund

BreakType = Literal[
    "missing_internal",  # the PSP took money that the books do not know
    "missing_psp",  # the books hold money that the PSP does not know
    "amount",
    "currency",
    "status",  # both are final, and differ
    "duplicate_psp",  # the PSP took the money of one payment twice
    "stuck_unknown",  # the books still wait for an answer that can be had
    "refund_mismatch",
]


@dataclass(frozen=True, slots=True)
class PspRefund:
    id: str
    intent: str
    state: str | None  # succeeded | failed; None: pending
    amount_minor: int
    currency: str
    operation: str | None  # ours, from the metadata
    remedy: bool  # made by this job


@dataclass(frozen=True, slots=True)
class PspIntent:
    """A payment intent with its refunds. ``state`` is the service's word for its status."""

    id: str
    state: str | None
    amount_minor: int
    captured_minor: int
    currency: str
    created: int
    charge: str | None
    capture: str
    reason: str | None
    reference: str | None
    payment: str | None
    fence: bool
    refunds: tuple[PspRefund, ...]

    @property
    def refunded_minor(self) -> int:
        return sum(refund.amount_minor for refund in self.refunds if refund.state == "succeeded")

    @property
    def holds_money(self) -> bool:
        """Captured and not given back in full by this job, or still authorized."""
        if self.state == "authorized":
            return True
        undone = any(refund.remedy for refund in self.refunds)
        return self.state == "succeeded" and not (
            undone and self.refunded_minor >= self.captured_minor
        )


@dataclass(frozen=True, slots=True)
class Break:
    """Something that disagrees. ``intent`` is the PSP object to act upon, if there is one."""

    type: BreakType
    detail: str
    payment: Payment | None
    intent: PspIntent | None = None
    keep: PspIntent | None = None  # of duplicates, the one that counts
    operation: Operation | None = None
    refund: PspRefund | None = None

    @property
    def psp_object(self) -> str | None:
        if self.refund is not None:
            return self.refund.id
        if self.intent is not None:
            return self.intent.id
        return self.payment.psp_payment if self.payment else None

    @property
    def id(self) -> str:
        """The same for the same discrepancy, whenever it is found."""
        subject = self.operation or self.payment
        return f"{self.type}:{self.psp_object or (subject.id if subject else 'unknown')}"

    @property
    def reference(self) -> str | None:
        if self.payment is not None:
            return self.payment.reference
        return self.intent.reference if self.intent else None

    @property
    def amount_minor(self) -> int:
        """The money at stake."""
        for side in (self.refund, self.operation):
            if side is not None:
                return side.amount_minor
        if self.intent is not None:
            return self.intent.captured_minor or self.intent.amount_minor
        assert self.payment is not None  # a break has a side
        return self.payment.captured_minor or self.payment.amount_minor

    @property
    def currency(self) -> str:
        side = self.intent or self.payment
        assert side is not None  # a break has a side
        return side.currency


def psp_refund(raw: Mapping[str, Any]) -> PspRefund:
    answer = read_refund(raw)
    metadata = raw.get("metadata") or {}
    return PspRefund(raw["id"], raw["payment_intent"], answer.state, raw["amount"],
                     raw["currency"], metadata.get("operation"), "remedy" in metadata)  # fmt: skip


def psp_intent(raw: Mapping[str, Any], refunds: tuple[PspRefund, ...]) -> PspIntent:
    answer = read_intent(raw)
    metadata = raw.get("metadata") or {}
    return PspIntent(
        id=raw["id"],
        state=answer.state,
        amount_minor=raw["amount"],
        captured_minor=answer.captured_minor,
        currency=raw["currency"],
        created=raw["created"],
        charge=answer.charge,
        capture=raw.get("capture_method") or "automatic",
        reason=answer.reason,
        reference=metadata.get("merchant_reference"),
        payment=metadata.get("payment"),
        fence="fence" in metadata,
        refunds=refunds,
    )
