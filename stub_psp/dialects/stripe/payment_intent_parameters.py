"""What parameters payment intents take."""

from __future__ import annotations

from stub_psp.dialects.stripe import payment_methods
from stub_psp.dialects.stripe.currencies import MAXIMUM, MINIMUM
from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.dialects.stripe.expand import expandable
from stub_psp.dialects.stripe.lists import PAGING
from stub_psp.dialects.stripe.operations import Values
from stub_psp.dialects.stripe.parameters import (
    Reader,
    Schema,
    choice,
    currency,
    flag,
    integer,
    metadata,
    nested,
    text,
    texts,
)

DETAILS: dict[str, Reader] = {
    "description": text(1000),
    "receipt_email": text(512),
    "return_url": text(5000),
    "customer": text(255),
    "statement_descriptor": text(22),
    "statement_descriptor_suffix": text(22),
    "setup_future_usage": choice("on_session", "off_session"),
}
_CONFIRMING: dict[str, Reader] = {
    "payment_method": text(),
    "payment_method_data": nested(payment_methods.DATA),
    "payment_method_types": texts,
    "off_session": flag,
    "error_on_requires_action": flag,
    "use_stripe_sdk": flag,
    "expand": expandable("payment_intent"),
}
CREATE = Schema(
    DETAILS
    | _CONFIRMING
    | {
        "amount": integer(1, MAXIMUM),
        "currency": currency,
        "confirm": flag,
        "capture_method": choice("automatic", "automatic_async", "manual"),
        "confirmation_method": choice("automatic", "manual"),
        "automatic_payment_methods": nested(
            Schema({"enabled": flag, "allow_redirects": choice("always", "never")}, ("enabled",))
        ),
        "metadata": metadata,
    },
    required=("amount", "currency"),
)
CONFIRM = Schema(_CONFIRMING | {"return_url": text(), "receipt_email": text(512)})
CANCEL = Schema(
    {
        "cancellation_reason": choice(
            "duplicate", "fraudulent", "requested_by_customer", "abandoned"
        ),
        "expand": expandable("payment_intent"),
    }
)
CAPTURE = Schema(
    {"amount_to_capture": integer(1), "metadata": metadata, "expand": expandable("payment_intent")}
)
UPDATE = Schema({"metadata": metadata, "expand": expandable("payment_intent")} | DETAILS)
RETRIEVE = Schema({"client_secret": text(), "expand": expandable("payment_intent")})
LIST = Schema(PAGING | {"expand": expandable("payment_intent", listed=True)})


def check_create(values: Values) -> None:
    least = MINIMUM.get(values["currency"], 1)
    if values["amount"] < least:
        raise ApiError(
            400,
            f"Amount must be at least {least} {values['currency']} (in minor units)",
            code="amount_too_small",
            param="amount",
        )
    check_method(values)
    if not values.get("confirm"):
        for name in ("off_session", "error_on_requires_action"):
            if values.get(name):
                raise ApiError(400, f"{name} can only be used with confirm=true.", param=name)


def check_method(values: Values) -> None:
    if "payment_method" in values and "payment_method_data" in values:
        raise ApiError(
            400,
            "You may only specify one of these parameters: payment_method, payment_method_data.",
            param="payment_method_data",
        )
    for name in values.get("payment_method_types", []):
        if name != "card":
            raise ApiError(
                400,
                f'The payment method type "{name}" is not simulated here; use card.',
                param="payment_method_types",
            )
