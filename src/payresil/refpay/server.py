"""One instance, from its settings to its end."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
import uvloop

from payresil.refpay.api.app import build_app
from payresil.refpay.eventlog import EventLog, capture_library_logs
from payresil.refpay.metrics import Metrics
from payresil.refpay.policies import Policies
from payresil.refpay.settings import Settings
from payresil.refpay.work import background
from payresil.refpay.work.service import build_service

#: How long a request may take to end after SIGTERM. What it leaves is resolved at the next start.
_GRACE_S = 0.6
#: Longer than the balancer keeps an idle connection, so that we never close one it is using.
_KEEP_ALIVE_S = 150


def serve(settings: Settings, policies: Policies, host: str, port: int, ready: Path | None) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError where the address cannot be had."""
    listener = socket.create_server((host, port), backlog=1024)
    log = EventLog(settings.instance, policies.logs)
    capture_library_logs(log)
    uvloop.run(_run(settings, policies, listener, ready, log))


async def _run(
    settings: Settings,
    policies: Policies,
    listener: socket.socket,
    ready: Path | None,
    log: EventLog,
) -> None:
    service = build_service(settings, policies, Metrics(), log)
    # What is loaded stays: the collector need not look at it again, nor as often as by default.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    # A database that is away is no reason not to start: /readyz keeps the balancer off.
    await background.prepare(service)
    tasks = background.start(service)
    config = uvicorn.Config(
        build_app(service),
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        proxy_headers=False,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    try:
        await _Server(config, listener, ready, log).serve([listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.gateway.close()
        service.database.close()
        log.info("stopped")


class _Server(uvicorn.Server):
    """Says when it serves, and ends with 0 on SIGTERM, which uvicorn would raise again."""

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, ready: Path | None, log: EventLog
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._ready = ready
        self._log = log

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self._listener.getsockname()[1]
        if self._ready is not None:
            write_ready(self._ready, port)
        self._log.info("serving", port=port)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self._log.info("stopping")
        self.should_exit = True
        asyncio.get_running_loop().call_later(_GRACE_S, self._hurry)

    def _hurry(self) -> None:
        self.force_exit = True


def write_ready(path: Path, port: int) -> None:
    """Tell whoever started us the port, in a file that is complete or not there."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"port": port}), encoding="utf-8")
    draft.replace(path)
