"""Payment methods that come with a request: a test token, or a card that was typed."""

from __future__ import annotations

from datetime import UTC, datetime

from stub_psp.dialects.stripe import cards
from stub_psp.dialects.stripe.errors import missing
from stub_psp.dialects.stripe.operations import Values
from stub_psp.dialects.stripe.parameters import (
    Schema,
    choice,
    integer,
    metadata,
    nested,
    text,
)
from stub_psp.engine.values import PaymentIntent, PaymentMethod
from stub_psp.execution import Execution
from stub_psp.identifiers import mint

_CARD = Schema(
    {
        "number": text(32),
        "exp_month": integer(),
        "exp_year": integer(),
        "cvc": text(8),
    },
    required=("number", "exp_month", "exp_year"),
)
_ADDRESS = Schema(
    {name: text() for name in ("city", "country", "line1", "line2", "postal_code", "state")}
)
_BILLING = Schema(
    {
        "address": nested(_ADDRESS),
        "email": text(),
        "name": text(),
        "phone": text(),
        "tax_id": text(),
    }
)
DATA = Schema(
    {
        "type": choice("card"),
        "card": nested(_CARD),
        "billing_details": nested(_BILLING),
        "allow_redisplay": choice("always", "limited", "unspecified"),
        "metadata": metadata,
    },
    required=("type", "card"),
)


def given(
    execution: Execution, values: Values, intent: PaymentIntent | None = None
) -> PaymentMethod | None:
    """The payment method in the parameters; None where there is none.

    Raises RefusedError ``invalid_card``, or ApiError ``resource_missing`` for an unknown token.
    """
    now = datetime.fromtimestamp(execution.now_s, UTC)
    secret = execution.store.secret
    if "payment_method_data" in values:
        typed = values["payment_method_data"]["card"]
        card = cards.from_number(
            typed["number"],
            typed["exp_month"],
            typed["exp_year"],
            typed.get("cvc"),
            secret=secret,
            now=(now.year, now.month),
        )
        return PaymentMethod(mint("pm"), card)
    token = values.get("payment_method")
    if not token:
        return None
    for known in (intent.method, intent.declined_method) if intent else ():
        if known is not None and known.id == token:
            return known
    found = cards.from_token(token, secret, now.year)
    if found is None:
        raise missing("PaymentMethod", token, status=400, param="payment_method")
    return PaymentMethod(mint("pm"), found)
