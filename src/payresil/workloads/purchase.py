"""What one arrival buys, and how: the intent, and the values that fill a system's templates."""

from __future__ import annotations

from typing import Any

from payresil.core.plan import Arrival
from payresil.core.traffic import TrafficSpec
from payresil.workloads.attempts import Intent

_EXPIRY = (12, 2034)  # month and year, well after any run


def intent_of(spec: TrafficSpec, arrival: Arrival) -> Intent:
    """The intent of a customer's arrival."""
    n = spec.first + arrival.n
    return Intent(
        id=f"{spec.run}-{n}",
        n=n,
        source="load",
        journey=arrival.journey,
        amount_minor=arrival.amount_minor,
        currency=arrival.currency,
        due_ns=round(arrival.due_s * 1e9),
    )


def values_of(spec: TrafficSpec, card: int) -> dict[str, Any]:
    """Values for the placeholders of a system file; `card` is an index into the run's cards."""
    month, year = _EXPIRY
    return {
        "api_token": spec.api_token,
        "card_number": spec.card_numbers[card % len(spec.card_numbers)],
        "card_exp_month": month,
        "card_exp_year": year,
        "card_cvc": spec.card_cvc,
        "capture": "automatic",
    }
