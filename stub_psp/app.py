"""The API over HTTP: reads a request, has it served, and does with the connection as told."""

from __future__ import annotations

import asyncio
import time
import traceback

from stub_psp.exchange import Answer, Dialect, InvalidError, Marks, RejectedError, Request
from stub_psp.identifiers import mint
from stub_psp.lifecycle import Lifecycle, Reply
from stub_psp.log import log
from stub_psp.metrics import Metrics
from stub_psp.store import Store
from stub_psp.wire import BodyTooLargeError, ClientGoneError, Connection, Receive, Scope, Send

_CLOSE = (b"connection", b"close")


class Application:
    """An ASGI application for uvicorn with :class:`stub_psp.wire.OpenProtocol`."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        dialect: Dialect,
        store: Store,
        metrics: Metrics,
        stopping: asyncio.Event,
        epoch_header: str | None = None,
    ) -> None:
        """``epoch_header`` is the request header that says in which epoch it was sent."""
        self._epoch_header = epoch_header.lower().encode() if epoch_header else None
        self._lifecycle = lifecycle
        self._dialect = dialect
        self._attempts = store.attempts
        self._epochs = store.epochs
        self._metrics = metrics
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_ns = time.monotonic_ns()
        connection = Connection(scope, receive, send, self._stopping)
        request_id = mint("req")
        self._metrics.in_flight += 1
        try:
            await self._handle(connection, request_id, received_ns)
        except ClientGoneError:
            pass  # it never became a request
        except BodyTooLargeError:
            answer = self._dialect.failure(413)
            headers = self._dialect.headers(Marks(request_id))
            await connection.send(answer, [*headers, _CLOSE])
        except Exception as error:  # the last resort of a server: answer, log, go on
            self._log_bug(error, request_id)
            answer = self._dialect.failure(500)
            await connection.send(answer, self._dialect.headers(Marks(request_id)))
        finally:
            self._metrics.in_flight -= 1

    async def _handle(self, connection: Connection, request_id: str, received_ns: int) -> None:
        request = await connection.request()
        try:
            account = self._dialect.authenticate(request)
        except RejectedError as rejected:
            self._count(None, rejected.answer)
            await connection.send(rejected.answer, self._dialect.headers(Marks(request_id)))
            return
        endpoint, reply = await self._serve(connection, request, account, request_id, received_ns)
        self._count(endpoint, reply.answer if reply.how == "send" else None)
        await self._finish(connection, reply)

    async def _serve(
        self,
        connection: Connection,
        request: Request,
        account: str,
        request_id: str,
        received_ns: int,
    ) -> tuple[str | None, Reply]:
        if self._epoch_header is not None:
            said = request.headers.get(self._epoch_header)
            self._epochs.note(request_id, said, received_ns)
        try:
            call = self._dialect.read(request, account)
        except InvalidError as refused:
            reply = self._lifecycle.invalid(refused, account, request_id, received_ns)
            return refused.endpoint, reply
        reply = await self._lifecycle.serve(call, request_id, received_ns, connection)
        return call.endpoint, reply

    async def _finish(self, connection: Connection, reply: Reply) -> None:
        if reply.how == "send":
            assert reply.answer is not None  # there is one to send
            assert reply.marks is not None
            if await connection.send(reply.answer, self._dialect.headers(reply.marks)):
                self._attempts.answered(reply.attempt, time.monotonic_ns())
            return
        if reply.how == "reset":
            await connection.reset()
            return
        if reply.how == "hang":
            await connection.pause(reply.hang_ms)
        await connection.close()

    def _count(self, endpoint: str | None, answer: Answer | None) -> None:
        status = str(answer.status) if answer else "none"
        self._metrics.requests[endpoint or "none", status] += 1

    def _log_bug(self, error: Exception, request_id: str) -> None:
        # Only where it happened: the message of an error may repeat what was sent.
        where = traceback.extract_tb(error.__traceback__)[-1]
        log(
            "error",
            "request_failed",
            request=request_id,
            error=type(error).__name__,
            at=f"{where.filename.rpartition('/')[2]}:{where.lineno}",
        )
