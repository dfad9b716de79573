"""Stripe's rules for a repeated ``Idempotency-Key`` (API v1), as a pure decision.

From Stripe's pages on idempotent requests and low-level errors; the tests call them I-1 … I-12.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from hashlib import blake2b

from stub_psp.store.attempts import StoredResult

#: "Keys can be removed from the system automatically after they're at least 24 hours old."
RETENTION_S = 24 * 3600
MAX_KEY = 255


class Decision(Enum):
    EXECUTE = "execute"  # never seen, or pruned since
    REPLAY = "replay"  # the stored result is the answer
    MISMATCH = "mismatch"  # same key, other parameters or another endpoint
    IN_USE = "in use"  # the first request is still executing


def decide(
    stored: StoredResult | None, *, running: bool, endpoint: str, digest: bytes, now_s: int
) -> Decision:
    """Say what becomes of a request that has passed authentication and validation."""
    if running:
        return Decision.IN_USE
    if stored is None or now_s - stored.created >= RETENTION_S:
        return Decision.EXECUTE
    if stored.endpoint != endpoint or stored.digest != digest:
        return Decision.MISMATCH
    return Decision.REPLAY


def fingerprint(secret: bytes, path: str, pairs: Iterable[tuple[str, str]]) -> bytes:
    """Hash path and parameters, in whatever order they came.

    Keyed, because the parameters may hold a card number and a bare hash of one is as good as
    the number itself.
    """
    # The repr of a list of pairs of texts is unambiguous, whatever characters are in them.
    text = f"{path}\0{sorted(pairs)!r}"
    return blake2b(text.encode(), key=secret, digest_size=16).digest()
