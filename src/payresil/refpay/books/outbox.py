"""Messages to the rest of the business, written with the change that they tell of."""

from __future__ import annotations

from collections.abc import Callable

from payresil.refpay.books.database import Database, Row

_BATCH = 500


async def relay(database: Database, publish: Callable[[Row], None]) -> int:
    """Publish what waits, oldest first, and mark it sent; how many there were.

    Published before it is marked: after a crash a message comes again, with the same number,
    and none is lost.
    """
    if not await database.rows("select 1 from outbox where sent_at is null limit 1"):
        return 0
    async with database.transaction() as transaction:
        rows = await transaction.rows(
            "select o.id, o.kind, o.payment, o.operation, p.reference"
            " from outbox o join payments p on p.id = o.payment"
            " where o.sent_at is null order by o.id limit $1 for update of o skip locked",
            _BATCH,
        )
        for row in rows:
            publish(row)
        await transaction.rows(
            "update outbox set sent_at = now() where id = any($1::bigint[])",
            [row["id"] for row in rows],
        )
    return len(rows)
