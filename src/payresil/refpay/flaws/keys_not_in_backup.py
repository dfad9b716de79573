"""Keeps the idempotency keys in an unlogged table: quick, and in no standby and no backup.

Such a table is not in the write-ahead log, and PostgreSQL empties it when it recovers. Exposed by
looking for the keys in a restored database, or in one that was promoted.
"""

from __future__ import annotations

from dataclasses import replace

from payresil.refpay.policies import Policies

_UNLOGGED = "alter table idempotency_keys set unlogged;"


def apply(sound: Policies) -> Policies:
    return replace(sound, schema=_UNLOGGED)
