"""Takes back what a run created in a system that others use, too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from payresil.core.mapping import build, classify
from payresil.core.traffic import TrafficSpec
from payresil.workloads.connection import Address, Connection
from payresil.workloads.purchase import values_of

_CONNECTIONS = 4
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Taking:
    """One payment to take back, by one operation of the system file."""

    intent: str
    payment: str
    operation: str
    amount_minor: int
    currency: str


def undo(spec: TrafficSpec, takings: Iterable[Taking]) -> dict[str, str]:
    """Take every one of them back, under a key of its own; payment → what the service answered.

    Raises:
        MappingError: when the system file describes no such operation.
        ValueError: when `spec.base_url` is no http or https URL.
    """
    return asyncio.run(_undo_all(spec, Address(spec.base_url, spec.ca_file), list(takings)))


async def _undo_all(spec: TrafficSpec, address: Address, takings: list[Taking]) -> dict[str, str]:
    answers: dict[str, str] = {}
    work = iter(takings)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(_CONNECTIONS, len(takings))):
            group.create_task(_worker(spec, address, work, answers))
    return answers


async def _worker(
    spec: TrafficSpec, address: Address, work: Iterator[Taking], answers: dict[str, str]
) -> None:
    async with Connection(address) as connection:
        for taking in work:
            answers[taking.payment] = await _undo(spec, connection, taking)


async def _undo(spec: TrafficSpec, connection: Connection, taking: Taking) -> str:
    values = {
        **values_of(spec, 0),
        "intent": taking.intent,
        "payment": taking.payment,
        "amount_minor": taking.amount_minor,
        "currency": taking.currency,
    }
    request = build(spec.api, taking.operation, values, key=f"{taking.intent}-undo")
    reply = await connection.send(request, _TIMEOUT_S)
    if reply.status is None:
        return f"no answer ({reply.error})"
    answer = classify(spec.api, taking.operation, reply.status, reply.headers, reply.body)
    return f"{reply.status} {answer.state or ''}".strip()
