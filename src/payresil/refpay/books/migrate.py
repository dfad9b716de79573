"""Brings the schema of a database up to date: at every start, by whoever comes first."""

from __future__ import annotations

import hashlib
from importlib import resources

from payresil.refpay.books.database import Database

#: Raise it with every change of the SQL files. An older instance leaves a newer schema alone.
SCHEMA_VERSION = 2

_FILES = (
    *("schema.sql", "epochs.sql", "replication.sql", "ledger.sql"),
    *("functions.sql", "events.sql", "corrections.sql"),
)
_LOCK = 0x7061_7972  # an advisory lock of this service's own

_VERSIONS = "create table if not exists schema_version (version int not null, digest text not null)"
_PATIENCE_S = 20  # another instance may be at it, on a busy machine


async def migrate(database: Database, more: str = "") -> bool:
    """Apply the schema, and ``more`` SQL, under an advisory lock; True if anything was done.

    Raises DatabaseDownError or DatabaseUnknownError.
    """
    folder = resources.files(__package__)
    parts = [(folder / name).read_text(encoding="utf-8") for name in _FILES]
    script = "\n".join([*parts, more] if more else parts)
    digest = hashlib.sha256(script.encode()).hexdigest()
    async with database.transaction() as transaction:
        await transaction.script(f"select pg_advisory_xact_lock({_LOCK})", _PATIENCE_S)
        await transaction.script(_VERSIONS, _PATIENCE_S)
        held = await transaction.row("select version, digest from schema_version")
        if held and (held["version"] > SCHEMA_VERSION or held["digest"] == digest):
            return False
        await transaction.script(script, _PATIENCE_S)
        await transaction.script("delete from schema_version", _PATIENCE_S)
        await transaction.row("insert into schema_version values ($1, $2)", SCHEMA_VERSION, digest)
    return True
