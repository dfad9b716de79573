"""Cards by number and by token, as Stripe's testing page has them.

The number is read here, once, and what leaves is a :class:`Card` without it.
"""

from __future__ import annotations

from hashlib import blake2b

from stub_psp.engine.values import Card, RefusedError

#: Last digits after 400000000000…, or whole numbers -> what the issuer will answer.
OUTCOMES = {
    "4000000000000002": "generic_decline",
    "4000000000009995": "insufficient_funds",
    "4000000000009987": "lost_card",
    "4000000000009979": "stolen_card",
    "4000000000000069": "expired_card",
    "4000000000000127": "incorrect_cvc",
    "4000000000000119": "processing_error",
    "4000000000006975": "card_velocity_exceeded",
    "4100000000000019": "fraudulent",
    "4000000000000341": "generic_decline",
    "4000002500003155": "authenticate",
    "4000002760003184": "authenticate",
    "4000008260003178": "authenticate:insufficient_funds",
}

#: Token -> the test card behind it.
TOKENS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_us": "4242424242424242",
    "pm_card_visa_debit": "4000056655665556",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_mastercard_debit": "5200828282828210",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedLostCard": "4000000000009987",
    "pm_card_chargeDeclinedLostCard": "4000000000009987",
    "pm_card_visa_chargeDeclinedStolenCard": "4000000000009979",
    "pm_card_chargeDeclinedStolenCard": "4000000000009979",
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "pm_card_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "pm_card_chargeDeclinedFraudulent": "4100000000000019",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_visa_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeDeclinedIncorrectCvc": "4000000000000127",
    "pm_card_visa_chargeDeclinedIncorrectCvc": "4000000000000127",
    "pm_card_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_visa_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_visa_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_threeDSecure2Required": "4000002760003184",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
}


#: Twice a digit, and of that the sum of its digits.
_DOUBLED = str.maketrans("0123456789", "0246813579")


def from_token(token: str, secret: bytes, now_year: int) -> Card | None:
    """The card behind a test token, valid for years to come; None for an unknown token."""
    number = TOKENS.get(token)
    if number is None:
        return None
    return _card(number, 12, now_year + 8, secret)


def from_number(
    number: str,
    exp_month: int,
    exp_year: int,
    cvc: str | None,
    *,
    secret: bytes,
    now: tuple[int, int],
) -> Card:
    """Read a card that a payer typed; ``now`` is (year, month) on the stub's clock.

    Raises RefusedError ``invalid_card`` where Stripe would refuse to make a payment method of it.
    """
    digits = number.replace(" ", "").replace("-", "")
    if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 19 and luhn(digits)):
        raise RefusedError("invalid_card", decline="incorrect_number")
    if brand(digits) is None:
        raise RefusedError("invalid_card", decline="card_not_supported")
    exp_year = exp_year + 2000 if exp_year < 100 else exp_year
    if not 1 <= exp_month <= 12:
        raise RefusedError("invalid_card", decline="invalid_expiry_month")
    if (exp_year, exp_month) < now or exp_year > now[0] + 50:
        raise RefusedError("invalid_card", decline="invalid_expiry_year")
    if cvc is not None and not (cvc.isascii() and cvc.isdigit() and len(cvc) == 3):
        raise RefusedError("invalid_card", decline="invalid_cvc")
    return _card(digits, exp_month, exp_year, secret)


def luhn(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1)."""
    doubled = digits[-2::-2].translate(_DOUBLED)
    return (sum(map(int, digits[-1::-2])) + sum(map(int, doubled))) % 10 == 0


def brand(digits: str) -> str | None:
    """Visa or Mastercard by their ranges, else None."""
    if digits[0] == "4" and len(digits) in (13, 16, 19):
        return "visa"
    if len(digits) == 16 and (51 <= int(digits[:2]) <= 55 or 2221 <= int(digits[:4]) <= 2720):
        return "mastercard"
    return None


def _card(digits: str, exp_month: int, exp_year: int, secret: bytes) -> Card:
    # Keyed: the hash of a card number without a key gives the number away.
    fingerprint = blake2b(digits.encode(), key=secret, digest_size=8, person=b"card").hexdigest()
    return Card(
        brand=brand(digits) or "unknown",
        last4=digits[-4:],
        exp_month=exp_month,
        exp_year=exp_year,
        fingerprint=fingerprint,
        outcome=OUTCOMES.get(digits, "approve"),
    )
