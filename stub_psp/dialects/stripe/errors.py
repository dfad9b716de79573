"""Stripe's error objects, and what the engine's refusals and declines are called in them."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from stub_psp.dialects.stripe.declines import DECLINES
from stub_psp.dialects.stripe.objects import intent_json
from stub_psp.engine.values import Charge, Decline, PaymentIntent, RefusedError
from stub_psp.exchange import Answer, RejectedError

_CARD_LIKE = re.compile(r"\d(?:[ -]?\d){11,}")


def masked(text: str) -> str:
    """Replace anything that could be a card number: messages repeat what they were sent."""
    return _CARD_LIKE.sub("[redacted]", text)


class ApiError(RejectedError):
    """An error object of the API. ``extra`` are further members of it, JSON-encodable."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type_: str = "invalid_request_error",
        extra: dict[str, object] | None = None,
    ) -> None:
        error: dict[str, object] = {}
        if code is not None:
            error["code"] = code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        error["message"] = masked(message)
        if param is not None:
            error["param"] = masked(param)
        error["type"] = type_
        error.update(extra or {})
        super().__init__(Answer(status, msgspec.json.encode({"error": error})))


def declined(
    decline: Decline, intent: bytes | None, method: dict[str, object] | None = None
) -> ApiError:
    """A 402: the parameters were fine, the card was not. ``intent`` is the object's JSON."""
    code, decline_code, message = DECLINES[decline.reason]
    extra: dict[str, object] = {}
    if decline.charge is not None:
        extra["charge"] = decline.charge
    if decline_code is not None:
        extra["decline_code"] = decline_code
    if intent is not None:
        extra["payment_intent"] = msgspec.Raw(intent)
    if method is not None:
        extra["payment_method"] = method
    return ApiError(402, message, code=code, type_="card_error", extra=extra)


def failure(status: int) -> Answer:
    type_ = "rate_limit_error" if status == 429 else "api_error"
    if status < 500 and status != 429:
        type_ = "invalid_request_error"
    message = (
        "An error occurred with our connection to the network."
        if status >= 500
        else ("Request rate limit exceeded." if status == 429 else "The request was refused.")
    )
    return ApiError(status, message, type_=type_).answer


def missing(kind: str, id_: str, *, status: int = 404, param: str | None = None) -> ApiError:
    return ApiError(
        status, f"No such {kind}: '{id_}'", code="resource_missing", param=param or "id"
    )


def from_refusal(refusal: RefusedError) -> ApiError:
    """Put the engine's no into the API's words."""
    return _REFUSALS[refusal.reason](refusal.detail)


def _intent(detail: dict[str, object]) -> PaymentIntent:
    intent = detail["intent"]
    assert isinstance(intent, PaymentIntent)  # the engine says so
    return intent


def _unexpected_state(detail: dict[str, object]) -> ApiError:
    intent = _intent(detail)
    return ApiError(
        400,
        f"This PaymentIntent's status is {intent.status}; it cannot {detail['action']} now.",
        code="payment_intent_unexpected_state",
        extra=_shown(intent),
    )


def _no_payment_method(detail: dict[str, object]) -> ApiError:
    return ApiError(
        400,
        "You cannot confirm this PaymentIntent because it's missing a payment method. Provide"
        " one with `payment_method` or `payment_method_data`.",
        code="payment_intent_unexpected_state",
        extra=_shown(_intent(detail)),
    )


def _already_captured(detail: dict[str, object]) -> ApiError:
    intent = _intent(detail)
    return ApiError(
        400,
        "This PaymentIntent could not be captured because it has already been captured.",
        code="payment_intent_unexpected_state",
        extra=_shown(intent),
    )


def _exceeds_capturable(detail: dict[str, object]) -> ApiError:
    intent = _intent(detail)
    return ApiError(
        400,
        f"The amount to capture ({detail['amount']}) is greater than what can be captured"
        f" ({intent.amount_capturable}).",
        code="amount_too_large",
        param="amount_to_capture",
    )


def _exceeds_refundable(detail: dict[str, object]) -> ApiError:
    return ApiError(
        400,
        f"Refund amount ({detail['amount']}) is greater than unrefunded amount on charge"
        f" ({detail['left']})",
        param="amount",
    )


def _shown(intent: PaymentIntent) -> dict[str, object]:
    return {"payment_intent": msgspec.Raw(intent_json(intent))}


def _charge_id(detail: dict[str, object]) -> str:
    charge = detail["charge"]
    assert isinstance(charge, Charge)  # the engine says so
    return charge.id


def _already_refunded(detail: dict[str, object]) -> ApiError:
    return ApiError(
        400,
        f"Charge {_charge_id(detail)} has already been refunded.",
        code="charge_already_refunded",
    )


def _not_refundable(detail: dict[str, object]) -> ApiError:
    return ApiError(
        400,
        f"Charge {_charge_id(detail)} took no money and cannot be refunded.",
        code="payment_intent_unexpected_state",
    )


_REFUSALS: dict[str, Callable[[dict[str, object]], ApiError]] = {
    "unexpected_state": _unexpected_state,
    "no_payment_method": _no_payment_method,
    "already_captured": _already_captured,
    "amount_exceeds_capturable": _exceeds_capturable,
    "amount_exceeds_refundable": _exceeds_refundable,
    "already_refunded": _already_refunded,
    "not_refundable": _not_refundable,
    "invalid_card": lambda detail: declined(Decline(str(detail["decline"])), None),
    "not_found": lambda detail: missing(str(detail["kind"]), str(detail["id"])),
}
