"""What the reconciliation job writes: its runs, its breaks, its repairs."""

from __future__ import annotations

from payresil.refpay.books.database import Executor


async def begin_run(executor: Executor) -> int:
    row = await executor.row("insert into reconcile_runs default values returning run")
    assert row is not None
    number: int = row["run"]
    return number


async def end_run(executor: Executor, run: int, examined: int, found: int, remedied: int) -> None:
    await executor.row(
        "update reconcile_runs set ended_at = now(), examined = $2, found = $3, remedied = $4"
        " where run = $1",
        run, examined, found, remedied,
    )  # fmt: skip


async def record_break(
    executor: Executor,
    run: int,
    id_: str,
    type_: str,
    *,
    payment: str | None,
    reference: str | None,
    psp_object: str | None,
    amount_minor: int,
    currency: str,
    detail: str,
) -> None:
    """A break as it was found, before anything is done about it. Found again, it stays."""
    await executor.row(
        "insert into breaks (id, run, type, payment, reference, psp_object, amount_minor,"
        " currency, detail, remedy, state)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'none yet', 'open') on conflict do nothing",
        id_, run, type_, payment, reference, psp_object, amount_minor, currency, detail,
    )  # fmt: skip


async def close_break(executor: Executor, run: int, id_: str, remedy: str, resolved: bool) -> None:
    """What was done about a break, if anything could be."""
    await executor.row(
        "update breaks set remedy = $3, state = case when $4 then 'resolved' else 'open' end,"
        " resolved_at = case when $4 then now() end,"
        " resolved_run = case when $4 then $2::bigint end"
        " where id = $1 and (remedy <> $3 or (state = 'resolved') <> $4)",
        id_, run, remedy, resolved,
    )  # fmt: skip


async def adopt_payment(
    executor: Executor, id_: str, reference: str, amount_minor: int, currency: str, capture: str
) -> bool:
    """Enter a payment that the books had lost, as "processing"; False if it is there."""
    return await _call(
        executor, "payment_adopt($1, $2, $3, $4, $5)", id_, reference, amount_minor, currency,
        capture,
    )  # fmt: skip


async def match_events(executor: Executor, payment: str, psp_payment: str, reference: str) -> None:
    """Events that came before their payment was in the books belong to it now."""
    await executor.row(
        "update inbox set payment = $1, state = 'applied'"
        " where state = 'received' and (object = $2 or reference = $3)",
        payment, psp_payment, reference,
    )  # fmt: skip


async def point_to(executor: Executor, payment: str, psp_payment: str, charge: str | None) -> None:
    """Which of several intents counts for a payment."""
    await executor.row(
        "update payments set psp_payment = $2, psp_charge = $3, updated_at = now()"
        " where id = $1 and psp_payment is distinct from $2",
        payment, psp_payment, charge,
    )  # fmt: skip


async def charge_undone(
    executor: Executor, payment: str, charge: str, amount_minor: int, currency: str
) -> bool:
    """Book a charge that came twice, and went back."""
    return await _call(
        executor, "charge_undone($1, $2, $3, $4)", payment, charge, amount_minor, currency
    )


async def correct_payment(executor: Executor, id_: str, captured_minor: int) -> bool:
    """Book out what the PSP did not take; False where that cannot be."""
    return await _call(executor, "payment_correct($1, $2)", id_, captured_minor)


async def void_payment(executor: Executor, id_: str, reason: str) -> bool:
    """Book out a payment that the PSP does not have."""
    return await _call(executor, "payment_void($1, $2)", id_, reason)


async def adopt_refund(
    executor: Executor, id_: str, payment: str, amount_minor: int, psp_refund: str
) -> bool:
    """Enter a refund that the books did not know; False where it would be too much."""
    return await _call(
        executor, "refund_adopt($1, $2, $3, $4)", id_, payment, amount_minor, psp_refund
    )


async def _call(executor: Executor, call: str, *args: object) -> bool:
    row = await executor.row(f"select {call} as done", *args)
    assert row is not None
    done: bool = row["done"]
    return done
