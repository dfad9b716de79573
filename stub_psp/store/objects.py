"""Payment intents, charges and refunds. Ids are unique across accounts, reads are per account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from stub_psp.engine.values import Charge, PaymentIntent, Refund
from stub_psp.identifiers import seq_of
from stub_psp.store.database import Database

Value = TypeVar("Value", PaymentIntent, Charge, Refund)
_encode = msgspec.json.Encoder().encode


class Origin(Struct, frozen=True):
    """The request that made an object: for the god view, and for events."""

    request: str | None
    key: str | None
    mono_ns: int


#: SQL with ``?`` in it, and what they stand for.
Condition = tuple[str, tuple[str | int | None, ...]]


class Page(Struct, frozen=True):
    """What a list asks for: at most ``limit`` rows, newest first, around a cursor."""

    limit: int = 10
    after: str | None = None
    before: str | None = None
    where: tuple[Condition, ...] = ()


class Table(Generic[Value]):
    """Reads one table of values, newest first."""

    def __init__(self, database: Database, table: str, kind: type[Value]) -> None:
        self._database = database
        self._table = table
        self._decode: Callable[[bytes], Value] = msgspec.json.Decoder(kind).decode

    def get(self, account: str, id_: str) -> Value | None:
        seq = seq_of(self._table, id_)
        if seq is None:
            return None
        row = self._database.row(f"SELECT value FROM {self._table} WHERE seq = ?", (seq,))
        value = self._decode(row[0]) if row else None
        return value if value and value.id == id_ and value.account == account else None

    def page(self, account: str, page: Page) -> tuple[list[Value], bool] | None:
        """Rows and whether there are more; None where the cursor names no object."""
        cursors: list[int | None] = []
        for cursor in (page.after, page.before):
            if cursor is not None and self.get(account, cursor) is None:
                return None
            cursors.append(None if cursor is None else seq_of(self._table, cursor))
        rows, more = page_rows(self._database, self._table, "value", account, page, cursors)
        return [self._decode(row[0]) for row in rows], more


class Objects:
    """Reads and writes money objects; writes belong inside a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.intents: Table[PaymentIntent] = Table(database, "intents", PaymentIntent)
        self.charges: Table[Charge] = Table(database, "charges", Charge)
        self.refunds: Table[Refund] = Table(database, "refunds", Refund)

    def reference_of(self, table: str, account: str, id_: str) -> str | None:
        """The merchant reference behind an object; None where there is none."""
        found: PaymentIntent | Charge | Refund | None
        if table == "intents":
            found = self.intents.get(account, id_)
        elif table == "charges":
            found = self.charges.get(account, id_)
        else:
            found = self.refunds.get(account, id_)
        return found.reference if found else None

    def put_intent(self, intent: PaymentIntent) -> None:
        self._database.execute(
            "INSERT INTO intents (seq, account, reference, created, status, value)"
            " VALUES (?,?,?,?,?,?) ON CONFLICT (seq) DO UPDATE SET"
            " reference = excluded.reference, status = excluded.status, value = excluded.value",
            (
                seq_of("intents", intent.id),
                intent.account,
                intent.reference,
                intent.created,
                intent.status,
                _encode(intent),
            ),
        )

    def put_charge(self, charge: Charge, origin: Origin) -> None:
        self._database.execute(
            "INSERT INTO charges (seq, account, intent, created, created_mono_ns, request, key,"
            " value) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (seq) DO UPDATE SET"
            " value = excluded.value",
            (
                seq_of("charges", charge.id),
                charge.account,
                seq_of("intents", charge.intent),
                charge.created,
                origin.mono_ns,
                origin.request,
                origin.key,
                _encode(charge),
            ),
        )

    def put_refund(self, refund: Refund, origin: Origin) -> None:
        self._database.execute(
            "INSERT INTO refunds (seq, account, intent, charge, created, created_mono_ns,"
            " request, key, value) VALUES (?,?,?,?,?,?,?,?,?)",
            (
                seq_of("refunds", refund.id),
                refund.account,
                seq_of("intents", refund.intent),
                seq_of("charges", refund.charge),
                refund.created,
                origin.mono_ns,
                origin.request,
                origin.key,
                _encode(refund),
            ),
        )

    def authorized(self) -> list[tuple[str, str]]:
        """(account, intent) of every authorization that waits for its capture."""
        rows = self._database.rows(
            "SELECT account, json_extract(CAST(value AS TEXT), '$.id') FROM intents"
            " WHERE status = 'requires_capture' ORDER BY seq"
        )
        return [(account, id_) for account, id_ in rows]

    def account_of(self, intent: str) -> str | None:
        row = self._database.row(
            "SELECT account FROM intents WHERE seq = ?", (seq_of("intents", intent),)
        )
        return row[0] if row else None


def page_rows(
    database: Database,
    table: str,
    columns: str,
    account: str,
    page: Page,
    cursors: Sequence[int | None],
) -> tuple[list[tuple[Any, ...]], bool]:
    """One page of a table, and whether there is more; ``cursors`` are those after and before."""
    conditions = ["account = ?", *(sql for sql, _ in page.where)]
    parameters: list[str | int | None] = [account]
    for _, values in page.where:
        parameters += values
    for seq, comparison in zip(cursors, "<>", strict=True):
        if seq is not None:
            conditions.append(f"seq {comparison} ?")
            parameters.append(seq)
    backwards = page.before is not None and page.after is None
    rows = database.rows(
        f"SELECT {columns} FROM {table} WHERE {' AND '.join(conditions)}"
        f" ORDER BY seq {'ASC' if backwards else 'DESC'} LIMIT ?",
        (*parameters, page.limit + 1),
    )
    shown = rows[: page.limit]
    if backwards:
        shown.reverse()
    return shown, len(rows) > page.limit
