"""The decisions of the service that a flaw may change. Each flaw replaces exactly one.

The sound ones are gathered in ``SOUND``; a flaw is a file in ``flaws/`` with a function
``apply(sound)`` that gives them back with one replaced.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from payresil.refpay.books import inbox, operations, payments
from payresil.refpay.books.database import Database, Executor
from payresil.refpay.books.values import (
    Admission,
    Event,
    NewOperation,
    NewPayment,
    OperationAdmission,
)
from payresil.refpay.psp.answer import Json, PspAnswer

#: Sends a request to the PSP, and gives the body of its answer.
Send = Callable[[], Awaitable[Json]]


def one_key_per_operation(operation: str, attempt: int, region: str) -> str:
    """The PSP key of an operation: the same for each attempt, whoever makes it, for ever."""
    return operation


@asynccontextmanager
async def each_statement_commits(database: Database) -> AsyncIterator[Executor]:
    """No transaction is open while the PSP is asked."""
    yield database


def unknown_stays_unknown(answer: PspAnswer) -> str | None:
    """The state that an unclear answer means: none, until the PSP has been asked again."""
    return answer.state


async def once(send: Send) -> Json:
    """One question is one request."""
    return await send()


def every_answer(status: int) -> bool:
    """Refusals and failures are counted like all others."""
    return True


def every_field(fields: Mapping[str, object]) -> Mapping[str, object]:
    """A line says all that its writer knows."""
    return fields


def only_with_the_lease(held: bool) -> bool:
    """Payments are taken, and the PSP is asked, by the region that holds the lease."""
    return held


@dataclass(frozen=True)
class Policies:
    """Decisions, each with the sound one as default.

    ``psp_key``: (operation, attempt 1, 2, …, region of the instance) → key sent to the PSP.
    ``admit``: make a payment and its key durable, or find what the key made before.
    ``scope``: what a payment's statements run in, from the intent to the outcome.
    ``unclear``: the state that an answer without one means.
    ``receive``: record an event of the PSP and its effect.
    ``reserve``: make a refund durable within what was captured.
    ``session``: settings of every database session.
    ``ask_psp``: get one question answered, given what sends it as a request.
    ``counts``: whether an answer of this status is counted in the metrics.
    ``logs``: of the fields of a log line, those that are written.
    ``acts``: whether an instance takes payments, given whether it holds its region's lease.
    ``schema``: SQL that is applied to the books after the service's own.
    """

    psp_key: Callable[[str, int, str], str] = one_key_per_operation
    admit: Callable[[Executor, NewPayment], Awaitable[Admission]] = payments.admit
    scope: Callable[[Database], AbstractAsyncContextManager[Executor]] = each_statement_commits
    unclear: Callable[[PspAnswer], str | None] = unknown_stays_unknown
    receive: Callable[[Executor, Event], Awaitable[str]] = inbox.receive
    reserve: Callable[[Executor, NewOperation], Awaitable[OperationAdmission]] = operations.admit
    session: Mapping[str, str] = field(default_factory=dict)
    ask_psp: Callable[[Send], Awaitable[Json]] = once
    counts: Callable[[int], bool] = every_answer
    logs: Callable[[Mapping[str, object]], Mapping[str, object]] = every_field
    acts: Callable[[bool], bool] = only_with_the_lease
    schema: str = ""


SOUND = Policies()
