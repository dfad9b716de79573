"""Reads both sides: the PSP's lists, and the books."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from payresil.refpay.books import operations, payments
from payresil.refpay.books.database import Executor
from payresil.refpay.books.values import Operation, Payment
from payresil.refpay.psp import requests
from payresil.refpay.psp.answer import PspRequest
from payresil.refpay.psp.gateway import Gateway
from payresil.refpay.reconcile.views import PspIntent, PspRefund, psp_intent, psp_refund

#: Not found is not absence: ask as often, and wait as long between, before believing it.
_QUESTIONS = 3
_BETWEEN_S = 0.2


class IncompleteError(Exception):
    """One side could not be read in full, so nothing can be concluded."""


def _no_key(_attempt: int) -> None:
    return None


async def _read(gateway: Gateway, request: PspRequest) -> Mapping[str, Any]:
    answer = await gateway.ask(request, _no_key)
    if answer.body is None:
        raise IncompleteError(f"{request.endpoint}: {answer.outcome}")
    return answer.body


async def _pages(gateway: Gateway, kind: str, **filters: object) -> list[Mapping[str, Any]]:
    """Everything of a kind, newest first."""
    found: list[Mapping[str, Any]] = []
    cursor: dict[str, object] = {}
    while True:
        page = await _read(gateway, requests.list_page(kind, **filters, **cursor))
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = {"starting_after": found[-1]["id"]}


async def all_intents(gateway: Gateway) -> list[PspIntent]:
    """Every intent of the PSP with its refunds. Raises IncompleteError."""
    raw_intents = await _pages(gateway, "payment_intents")
    refunds: dict[str, list[PspRefund]] = defaultdict(list)
    for raw in await _pages(gateway, "refunds"):
        if raw.get("payment_intent"):
            refunds[raw["payment_intent"]].append(psp_refund(raw))
    return [psp_intent(raw, tuple(refunds.get(raw["id"], ()))) for raw in raw_intents]


async def intent_now(gateway: Gateway, id_: str) -> PspIntent | None:
    """One intent as it is now; None when the PSP says, several times, that it has none."""
    for question in range(_QUESTIONS):
        if question:
            await asyncio.sleep(_BETWEEN_S)
        answer = await gateway.ask(requests.get_payment(id_), _no_key)
        if answer.body is not None:
            refunds = await _pages(gateway, "refunds", payment_intent=id_)
            return psp_intent(answer.body, tuple(psp_refund(raw) for raw in refunds))
        if answer.outcome != "not_found":
            raise IncompleteError(f"payment_intents.retrieve: {answer.outcome}")
    return None


async def all_payments(executor: Executor) -> tuple[list[Payment], dict[str, list[Operation]]]:
    """Every payment of the books, and the operations by payment."""
    booked = await payments.every(executor)
    by_payment: dict[str, list[Operation]] = defaultdict(list)
    for operation in await operations.every(executor):
        by_payment[operation.payment].append(operation)
    return booked, by_payment


async def payment_now(executor: Executor, id_: str) -> tuple[Payment | None, Sequence[Operation]]:
    """One payment as it is now, with its operations."""
    payment = await payments.get(executor, id_)
    return payment, await operations.of_payment(executor, id_)
