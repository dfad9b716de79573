"""Asks the PSP: time-outs, retries within a budget, the circuit breaker, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from payresil.refpay.lease.standing import Standing
from payresil.refpay.metrics import Metrics
from payresil.refpay.psp.answer import Json, PspAnswer, PspRequest
from payresil.refpay.psp.budget import RetryBudget
from payresil.refpay.psp.circuit import Circuit, CircuitOpenError
from payresil.refpay.psp.failure import FAILURES, is_outage, understand
from payresil.refpay.psp.sdk import StripeClient
from payresil.refpay.psp.transport import Transport
from payresil.refpay.settings import Settings

#: The key of attempt n (1, 2, …) at one operation; None for requests that take no key.
KeyOf = Callable[[int], str | None]

_NOT_SENT = PspAnswer("circuit_open")
_FENCED = PspAnswer("fenced")
#: The header that says in which epoch of the lease a request was sent. It is no parameter: a
#: request that comes again from another region has the same ones.
_EPOCH = "X-Epoch"


class Gateway:
    """The PSP as the service sees it: a request in, an answer out, nothing raised."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        on_circuit: Callable[[str], None],
        ask: Callable[[Callable[[], Awaitable[Json]]], Awaitable[Json]],
        standing: Standing,
    ):
        """``ask`` gets one question answered, given what sends it as a request.

        Nothing is sent while the instance may not act.
        """
        self._standing = standing
        self._settings = settings
        self._ask = ask
        self._metrics = metrics
        self._timeout = settings.psp_timeout_ms / 1000
        self._deadline = settings.psp_deadline_ms / 1000
        self._budget = RetryBudget()
        self.circuit = Circuit(
            settings.breaker_failures, settings.breaker_open_ms, is_outage, on_circuit
        )
        self._http = Transport(settings.psp_url)
        self._client = StripeClient(
            settings.psp_api_key,
            http_client=self._http,
            base_addresses={"api": settings.psp_url},
            max_network_retries=0,
        )

    async def close(self) -> None:
        await self._http.close_async()

    async def ask(self, request: PspRequest, key_of: KeyOf) -> PspAnswer:
        """The answer to a request, tried again while that may help and time allows."""
        self._budget.earn()
        began = monotonic()
        first = await self.ask_once(request, key_of(1))
        if not first.retry:
            return first
        attempt = 0

        async def once_more() -> PspAnswer:
            # The first answer is there already; tenacity, which costs as much CPU as the
            # request's own handling, comes in only when there is something to try again.
            nonlocal attempt
            attempt += 1
            if attempt == 1:
                return first
            self._metrics.retries.labels(request.endpoint).inc()
            left = self._deadline - (monotonic() - began)
            return await self.ask_once(request, key_of(attempt), left)

        left = self._deadline - (monotonic() - began)
        return await self._retrying(left)(once_more)

    def _retrying(self, seconds: float) -> AsyncRetrying:
        """Exponential pauses with full jitter, while attempts, time and budget last."""
        return AsyncRetrying(
            retry=retry_if_result(lambda answer: answer.retry),
            wait=wait_random_exponential(multiplier=0.05, max=0.4),
            stop=stop_any(
                stop_after_attempt(self._settings.psp_attempts),
                stop_before_delay(seconds),
                _StopWithoutBudget(self._budget),
            ),
            retry_error_callback=_last_answer,
        )

    async def ask_once(
        self, request: PspRequest, key: str | None, timeout: float | None = None
    ) -> PspAnswer:
        """The answer to one attempt, within ``timeout`` seconds (the setting, unless less)."""
        if not self._standing.acts:
            self._metrics.fenced.labels("psp").inc()
            return _FENCED
        began = perf_counter()
        limit = self._timeout if timeout is None else min(self._timeout, timeout)
        try:
            with self.circuit.guard():
                async with asyncio.timeout(limit):
                    body = await self._ask(lambda: self._send(request, key))
            answer = request.read(body)
        except CircuitOpenError:
            answer = _NOT_SENT
        except FAILURES as error:
            answer = understand(error)
        self._metrics.asked_psp(request.endpoint, answer.outcome, perf_counter() - began)
        return answer

    async def _send(self, request: PspRequest, key: str | None) -> Json:
        # The raw request costs half the CPU of a typed one, whose objects nobody looks at.
        options: dict[str, object] = {"idempotency_key": key} if key is not None else {}
        if self._standing.epoch is not None:
            options["headers"] = {_EPOCH: str(self._standing.epoch)}
        response = await self._client.raw_request_async(
            request.method, request.path, **options, **request.params
        )
        body: Json = response.data
        return body


class _StopWithoutBudget(stop_base):
    """Asked last, as it spends what it finds."""

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget

    def __call__(self, retry_state: RetryCallState) -> bool:
        return not self._budget.spend()


def _last_answer(state: RetryCallState) -> PspAnswer:
    assert state.outcome is not None  # tenacity stops only after an attempt
    answer: PspAnswer = state.outcome.result()
    return answer
