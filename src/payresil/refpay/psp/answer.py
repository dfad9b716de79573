"""What the PSP said, or did not say, to one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PspAnswer:
    """``state`` is the service's word for what the PSP settled on; None: not known yet.

    ``outcome`` is a short label for metrics and logs. ``retry`` says that the same request with
    the same key may do better; ``stored`` that the PSP will repeat this very answer for the key.
    """

    outcome: str
    state: str | None = None
    psp_object: str | None = None
    charge: str | None = None
    captured_minor: int = 0
    reason: str | None = None
    retry: bool = False
    stored: bool = False
    body: Json | None = None


@dataclass(frozen=True, slots=True)
class PspRequest:
    """One request to the PSP: ``endpoint`` names it in metrics, ``read`` reads its answer."""

    endpoint: str
    method: str
    path: str
    params: Json
    read: Callable[[Json], PspAnswer]


def read_intent(intent: Json) -> PspAnswer:
    """The answer that a payment intent is, by its status."""
    state, reason = _state_of(intent)
    charge = intent.get("latest_charge")
    return PspAnswer(
        outcome=state or str(intent.get("status")),
        state=state,
        psp_object=intent["id"],
        charge=charge["id"] if isinstance(charge, Mapping) else charge,
        captured_minor=intent.get("amount_received") or 0,
        reason=reason,
        body=intent,
    )


def _state_of(intent: Json) -> tuple[str | None, str | None]:
    status = intent.get("status")
    if status == "succeeded":
        return "succeeded", None
    if status == "requires_capture":
        return "authorized", None
    if status == "canceled":
        return "canceled", intent.get("cancellation_reason")
    error = intent.get("last_payment_error")
    if status == "requires_payment_method" and error:
        return "declined", error.get("decline_code") or error.get("code")
    return None, None


def read_refund(refund: Json) -> PspAnswer:
    """The answer that a refund is, by its status."""
    status = refund.get("status")
    state = {"succeeded": "succeeded", "failed": "failed", "canceled": "failed"}.get(str(status))
    return PspAnswer(
        outcome=state or str(status),
        state=state,
        psp_object=refund["id"],
        reason=refund.get("failure_reason"),
        body=refund,
    )


def read_body(body: Json) -> PspAnswer:
    """An answer that is for the caller to read: a list, a search."""
    return PspAnswer(outcome="ok", state="ok", body=body)
