"""Ids of this service, without a digit, so that none of them looks like a card number."""

from __future__ import annotations

import hashlib
import os

_LETTERS = bytes.maketrans(b"0123456789abcdef", b"abcdefghijklmnop")


def new_id(prefix: str) -> str:
    """``<prefix>_`` and 28 letters at random."""
    return _id(prefix, os.urandom(14))


def id_of_key(prefix: str, secret: str, key: str) -> str:
    """The id of what a caller's idempotency key makes: always the same one.

    The PSP's key follows from it. A service that lost its newest books, with a region say, asks
    the PSP again with the key it used before, and gets the charge that it made. ``secret`` keeps
    callers from guessing ids.
    """
    salt = hashlib.sha256(secret.encode()).digest()
    return _id(prefix, hashlib.blake2b(key.encode(), digest_size=14, key=salt).digest())


def _id(prefix: str, content: bytes) -> str:
    return f"{prefix}_{content.hex().encode().translate(_LETTERS).decode()}"
