"""What the issuer's answers are called, and what the payer is told."""

from __future__ import annotations

#: reason -> (code, decline_code, message)
DECLINES: dict[str, tuple[str, str | None, str]] = {
    "generic_decline": ("card_declined", "generic_decline", "Your card was declined."),
    "insufficient_funds": (
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    "lost_card": ("card_declined", "lost_card", "Your card was declined."),
    "stolen_card": ("card_declined", "stolen_card", "Your card was declined."),
    "fraudulent": ("card_declined", "fraudulent", "Your card was declined."),
    "card_velocity_exceeded": (
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its"
        " amount limit.",
    ),
    "card_not_supported": (
        "card_declined",
        "card_not_supported",
        "Your card is not supported.",
    ),
    "expired_card": ("expired_card", None, "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", None, "Your card's security code is incorrect."),
    "processing_error": (
        "processing_error",
        None,
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_failed": (
        "payment_intent_authentication_failure",
        None,
        "We are unable to authenticate your payment method. Please choose a different payment"
        " method and try again.",
    ),
    "incorrect_number": ("incorrect_number", None, "Your card number is incorrect."),
    "invalid_expiry_month": (
        "invalid_expiry_month",
        None,
        "Your card's expiration month is invalid.",
    ),
    "invalid_expiry_year": (
        "invalid_expiry_year",
        None,
        "Your card's expiration year is invalid.",
    ),
    "invalid_cvc": ("invalid_cvc", None, "Your card's security code is invalid."),
}
