"""Secrets and card numbers that are sown in a run, and recognised wherever they turn up.

They are made anew for every run, so that each sighting is a leak of this run. The run folder must
not hold them either; ``run.json`` keeps fingerprints instead: the first characters, with which a
fast search finds candidates, and a salted SHA-256, which decides. The cards are of no account; a
token keeps at least three quarters of its characters to itself and dies with its run.
"""

from __future__ import annotations

import hashlib
import re
import secrets as random
from collections.abc import Container
from dataclasses import asdict, dataclass
from typing import Any

from payresil.core.protocols import Secrets

CARD = "card"
TOKEN = "token"

BIN_DIGITS = 6  # of a card, may be shown with the last four (PCI DSS 3.4.1)
_PREFIX_CHARACTERS = 8  # of a token, at most
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,}\Z")
_CARD = re.compile(r"[0-9]{13,19}\Z")


@dataclass(frozen=True, slots=True)
class Canary:
    """What may be known of a secret."""

    name: str  # api_token, card_number, …
    kind: str  # card | token
    length: int
    prefix: str
    salt: str  # hexadecimal
    sha256: str  # of salt and secret

    def is_(self, candidate: bytes) -> bool:
        """Whether `candidate` is the secret."""
        salted = bytes.fromhex(self.salt) + candidate
        return len(candidate) == self.length and self.sha256 == hashlib.sha256(salted).hexdigest()


def fingerprint(secrets: Secrets, names: Container[str] | None = None) -> list[dict[str, Any]]:
    """What ``run.json`` keeps under ``canaries``: one object for every secret of the run.

    With `names`, of those secrets only: of one that outlives the run nothing is to be kept.

    Raises:
        ValueError: for a secret that could not be recognised: a token is 16 or more of
            ``A-Z a-z 0-9 _ -``, a card number 13 to 19 digits.
    """
    return [
        asdict(_canary(name, value))
        for name, value in secrets.values()
        if names is None or name in names
    ]


def _canary(name: str, value: str) -> Canary:
    if _CARD.match(value):
        kind, prefix = CARD, value[:BIN_DIGITS]
    elif _TOKEN.match(value):
        kind, prefix = TOKEN, value[: min(_PREFIX_CHARACTERS, len(value) // 4)]
    else:
        raise ValueError(f"{name} cannot be a canary: it is no card number and no token of 16")
    salt = random.token_bytes(16)
    digest = hashlib.sha256(salt + value.encode()).hexdigest()
    return Canary(name, kind, len(value), prefix, salt.hex(), digest)


def canaries(content: Any) -> tuple[Canary, ...]:
    """Read back what `fingerprint` made.

    Raises:
        ValueError: when it is anything else.
    """
    try:
        return tuple(Canary(**entry) for entry in content)
    except TypeError as error:
        raise ValueError(f"run.json holds no usable canaries: {error}") from error
