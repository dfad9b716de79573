"""How many decimals a currency has, by ISO 4217; most have two."""

from __future__ import annotations

_NONE = frozenset(
    (
        *("bif", "clp", "djf", "gnf", "isk", "jpy", "kmf", "krw"),
        *("pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"),
    )
)
_THREE = frozenset(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"))


def decimals(currency: str) -> int:
    """Digits behind the point in amounts of this currency."""
    code = currency.lower()
    if code in _NONE:
        return 0
    return 3 if code in _THREE else 2


def decimal(amount_minor: int, currency: str) -> str:
    """An amount in minor units as people write it, ``12.34``; exact, whatever its size."""
    places = decimals(currency)
    sign, digits = "-" if amount_minor < 0 else "", str(abs(amount_minor)).rjust(places + 1, "0")
    if not places:
        return sign + digits
    return f"{sign}{digits[:-places]}.{digits[-places:]}"
