"""What the books take and give: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the books have it now. Amounts are minor units."""

    id: str
    reference: str
    amount_minor: int
    currency: str
    capture: str
    state: str
    captured_minor: int
    refunded_minor: int
    reason: str | None = None
    psp_payment: str | None = None
    method: str | None = None
    asked: int = 0
    in_flight: bool = False  # a request is working on it and has not answered
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """A refund, capture or cancellation as the books have it now."""

    id: str
    kind: str
    payment: str
    reference: str
    amount_minor: int
    currency: str
    state: str
    reason: str | None = None
    psp_object: str | None = None
    psp_payment: str | None = None
    asked: int = 0
    in_flight: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment to be made durable. The worker that asked has it for ``lease_ms``.

    ``request`` tells this request from others with the same key. After ``until`` the database
    refuses it; None: it never does.
    """

    key: str
    fingerprint: bytes
    id: str
    reference: str
    amount_minor: int
    currency: str
    capture: str
    method: str | None
    instance: str
    lease_ms: int
    request: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """``fresh``, or what the key made before (``operation``, ``resource``)."""

    fresh: bool
    fingerprint: bytes
    operation: str
    resource: str


@dataclass(frozen=True, slots=True)
class NewOperation:
    """An operation to be made durable; ``amount_minor`` None means all there is."""

    key: str
    fingerprint: bytes
    id: str
    kind: str
    payment: str
    amount_minor: int | None
    instance: str
    lease_ms: int
    request: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OperationAdmission:
    """``verdict``: fresh | replay | not_found | wrong_state | exceeds.

    ``resource`` is the operation, or the payment's state where that was wrong;
    ``amount_minor`` the amount of a fresh one, or what is left where it was too much.
    """

    verdict: str
    fingerprint: bytes | None
    operation: str | None
    resource: str | None
    amount_minor: int | None
    currency: str | None
    psp_payment: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation or payment is to become; ``cause`` is who found out."""

    id: str
    to: str
    cause: str
    psp_object: str | None = None
    charge: str | None = None
    captured_minor: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the PSP, and the state it calls for (``to``; None: none)."""

    id: str
    type: str
    object: str | None
    reference: str | None
    payment: str | None
    operation: str | None
    psp_payment: str | None
    to: str | None
    captured_minor: int
    reason: str | None
