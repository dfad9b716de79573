"""Every request that got past authentication, whatever became of its answer; and, with the
attempts that made them, the stored results of idempotent requests.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec import Struct

from stub_psp.store.database import Database


class Attempt(Struct, frozen=True):
    request: str
    account: str
    endpoint: str | None
    received_mono_ns: int
    reference: str | None = None
    key: str | None = None
    status: int | None = None
    replayed: bool = False
    rule: str | None = None
    point: str | None = None
    payment_intent: str | None = None
    charge: str | None = None


class StoredResult(Struct, frozen=True):
    """The first request under a key, and what it was answered."""

    created: int  # the stub's clock, Unix seconds
    endpoint: str
    digest: bytes  # keyed hash of path and parameters
    request: str
    status: int
    body: bytes
    intent: str | None
    charge: str | None


class Kept(Struct, frozen=True):
    """What of an attempt is kept for those that repeat its key."""

    clock_s: int
    digest: bytes
    status: int
    body: bytes


class Attempts:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, attempt: Attempt, kept: Kept | None = None) -> int:
        """Write it, unanswered, and its result if it has one to keep. Gives its number.

        Belongs in the transaction of what it did. A result that was pruned makes room.
        """
        clock_s, digest, kept_status, kept_body = (
            (kept.clock_s, kept.digest, kept.status, kept.body) if kept else (None,) * 4
        )
        seq = self._database.insert(
            "INSERT INTO attempts (request, account, endpoint, received_mono_ns, reference, key,"
            " status, replayed, rule, point, payment_intent, charge, clock_s, digest,"
            " kept_status, kept_body) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                attempt.request,
                attempt.account,
                attempt.endpoint,
                attempt.received_mono_ns,
                attempt.reference,
                attempt.key,
                attempt.status,
                attempt.replayed,
                attempt.rule,
                attempt.point,
                attempt.payment_intent,
                attempt.charge,
                clock_s,
                digest,
                kept_status,
                kept_body,
            ),
        )
        if kept is not None and attempt.key is not None:
            self._database.execute(
                "INSERT OR REPLACE INTO results (slot, attempt) VALUES (?,?)",
                (_slot(attempt.account, attempt.key), seq),
            )
        return seq

    def answered(self, seq: int, mono_ns: int) -> None:
        """Its answer was handed to the network. Written soon, not at once: a kill in the next
        milliseconds leaves an answered attempt looking unanswered, never the other way round.
        """
        self._database.defer(
            "UPDATE attempts SET answered_mono_ns = ? WHERE seq = ?", (mono_ns, seq)
        )

    def result(self, account: str, key: str) -> StoredResult | None:
        """What the key's first request was answered, however long ago."""
        row = self._database.row(
            "SELECT a.clock_s, a.endpoint, a.digest, a.request, a.kept_status, a.kept_body,"
            " a.payment_intent, a.charge FROM results r JOIN attempts a ON a.seq = r.attempt"
            " WHERE r.slot = ?",
            (_slot(account, key),),
        )
        return StoredResult(*row) if row else None


def _slot(account: str, key: str) -> bytes:
    return blake2b(f"{account}\0{key}".encode(), digest_size=16).digest()
