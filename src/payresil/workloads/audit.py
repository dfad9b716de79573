"""The last question about every payment whose outcome nobody knows: what does the service say?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from payresil.core.mapping import Answer, build, classify
from payresil.core.tables import Recorder
from payresil.core.traffic import TrafficSpec
from payresil.workloads.attempts import Attempt
from payresil.workloads.connection import Address, Connection
from payresil.workloads.transport import Reply

_CONNECTIONS = 8
TRIES = 3  # for a read that gets no answer; a read changes nothing
_TIMEOUT_S = 3.0
_NOT_FOUND = 404


def audit(spec: TrafficSpec, intents: Iterable[str]) -> list[Attempt]:
    """Read every one of them by its reference, and record what came of it.

    `spec.base_url` must be an address that no fault touches. The rows go into the table
    `attempts`, shard ``audit``, in `spec.folder`, and are returned. Only 404 gives ``fail``: the
    service knows no such reference. A read that was refused or not allowed says nothing about
    the payment and gives ``unknown``.

    Raises:
        MappingError: when the system file describes no operation ``find``.
        ValueError: when `spec.base_url` is no http or https URL.
        OSError: when the rows cannot be written.
    """
    address = Address(spec.base_url, spec.ca_file)
    wanted = list(intents)
    build(spec.api, "find", _values(spec, ""))  # a system file without it shows here, at once
    rows = asyncio.run(_audit(spec, address, wanted)) if wanted else []
    recorder = Recorder(Path(spec.folder), "attempts", "audit")
    recorder.extend(rows)
    recorder.close()
    return rows


async def _audit(spec: TrafficSpec, address: Address, intents: list[str]) -> list[Attempt]:
    rows: list[Attempt] = []
    work = iter(intents)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(_CONNECTIONS, len(intents))):
            group.create_task(_reader(spec, address, work, rows))
    return rows


async def _reader(
    spec: TrafficSpec, address: Address, work: Iterator[str], rows: list[Attempt]
) -> None:
    async with Connection(address) as connection:
        for intent in work:
            for number in range(1, TRIES + 1):
                row = await _read(spec, connection, intent, number)
                rows.append(row)
                if row.status is not None:
                    break


async def _read(spec: TrafficSpec, connection: Connection, intent: str, number: int) -> Attempt:
    request = build(spec.api, "find", _values(spec, intent))
    sent_ns = time.monotonic_ns() - spec.zero_mono_ns
    reply = await connection.send(request, _TIMEOUT_S)
    answer = _meaning(spec, reply)
    done_ns = time.monotonic_ns() - spec.zero_mono_ns
    return Attempt(
        intent, int(intent.rpartition("-")[2]), "pay", number, "audit", None, "read", None,
        None, None, sent_ns, sent_ns, done_ns,
        answer.outcome, answer.status, answer.error, answer.state,
        answer.payment, answer.replayed, answer.region, answer.instance,
    )  # fmt: skip


def _values(spec: TrafficSpec, intent: str) -> Mapping[str, str]:
    return {"intent": intent, "api_token": spec.api_token}


def _meaning(spec: TrafficSpec, reply: Reply) -> Answer:
    if reply.status is None:
        return Answer("unknown", error=reply.error)
    answer = classify(spec.api, "find", reply.status, reply.headers, reply.body)
    if answer.outcome == "fail" and reply.status != _NOT_FOUND:
        return replace(answer, outcome="unknown")
    return answer
