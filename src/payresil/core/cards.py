"""Card numbers sown as canaries: valid to look at, of one run only, so that a leak is recognised.

A random number that passes Luhn's check may be an order number; a canary that turns up anywhere
is a leak. None is a test card that Stripe documents (docs.stripe.com/testing), because those
stand in every log and example of the world, and make PSPs behave in documented ways.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import count

#: Issuer prefixes of Visa (4) and Mastercard (51-55, 2221-2720) that test cards do not use:
#: Stripe's of sixteen digits begin with 4000, 4012, 4100, 4242, 5105, 5200, 5555 or 2223.
PREFIXES = ("4539", "4556", "4716", "4532", "4485", "5185", "5273", "5391", "5412", "2314", "2521")

#: Test cards are easy to type: few different digits. Canaries are not.
_DISTINCT = 6


def canary_cards(secret: bytes, k: int) -> tuple[str, ...]:
    """`k` different card numbers, the same for the same `secret`."""
    found: dict[str, None] = {}
    numbers = _numbers(secret)
    while len(found) < k:
        found[next(numbers)] = None
    return tuple(found)


def luhn_digit(digits: str) -> str:
    """The check digit that makes ``digits + it`` valid (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _numbers(secret: bytes) -> Iterator[str]:
    """Candidates without end."""
    for n in count():
        raw = hashlib.blake2b(n.to_bytes(8, "little"), key=secret[:64], digest_size=16).digest()
        prefix = PREFIXES[raw[0] % len(PREFIXES)]
        account = f"{int.from_bytes(raw[1:], 'little') % 10**11:011d}"
        if len(set(account)) >= _DISTINCT:
            yield prefix + account + luhn_digit(prefix + account)
