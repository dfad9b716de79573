"""Ids: a prefix, the number of the row in eight letters and digits, and sixteen random ones.

With the number in it an id needs no index to be found by, and ids of a kind sort in the order
they were made, as Stripe's do more or less. The random part keeps them from being guessed.
"""

from __future__ import annotations

import os
import random
from binascii import b2a_base64
from functools import lru_cache

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BLOCK = 62**4  # numbers that four of them count
_LETTERS = bytes.maketrans(b"+/", b"xy")
_random = random.Random(os.urandom(32))

#: Tables whose ids have their row's number in them.
PREFIXES = {"intents": "pi", "charges": "ch", "refunds": "re", "events": "evt"}


def numbered(table: str, seq: int) -> str:
    """The id of a new row: ``pi_…`` for intents."""
    high, low = divmod(seq, _BLOCK)
    return f"{PREFIXES[table]}_{_encoded(high)}{_encoded(low)}{_token(12)}"


def seq_of(table: str, id_: str) -> int | None:
    """The row an id may be of, or None. Whether the row has that very id is still to be seen."""
    prefix, start = PREFIXES[table], len(PREFIXES[table]) + 1
    if not id_.startswith(prefix) or len(id_) != start + 24 or id_[start - 1] != "_":
        return None
    high, low = _number(id_[start : start + 4]), _number(id_[start + 4 : start + 8])
    return None if high is None or low is None else high * _BLOCK + low


@lru_cache(maxsize=4096)
def _encoded(number: int) -> str:
    digits = ""
    for _ in range(4):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits


@lru_cache(maxsize=4096)
def _number(digits: str) -> int | None:
    number = 0
    for digit in digits:
        value = _DIGITS.find(digit)
        if value < 0:
            return None
        number = number * 62 + value
    return number


def mint(prefix: str) -> str:
    """An id for what has no row, or few: ``mint("req")`` is ``req_`` and 24 characters."""
    return f"{prefix}_{_token(18)}"


def secret(prefix: str) -> str:
    """As :func:`mint`, of cryptographic randomness."""
    return f"{prefix}_{_text(os.urandom(24))}"


def _token(size: int) -> str:
    return _text(_random.randbytes(size))


def _text(token: bytes) -> str:
    return b2a_base64(token, newline=False).translate(_LETTERS).decode("ascii")
