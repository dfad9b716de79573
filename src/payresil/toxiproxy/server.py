"""The process: one loop for the API and for everything that is proxied."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop

from payresil.toxiproxy import bodies, log, toxics
from payresil.toxiproxy.api import Api
from payresil.toxiproxy.collection import Collection
from payresil.toxiproxy.errors import ApiError
from payresil.toxiproxy.lease import Lease
from payresil.toxiproxy.options import Options

EXIT_OK = 0
EXIT_CANNOT_LISTEN = 1
EXIT_USAGE = 2

#: Seconds that API requests under way get at the end; the process is to be gone within one.
_GRACE_S = 0.6
_API_BACKLOG = 128
_API_KEEP_ALIVE_S = 60


class StartError(Exception):
    """The server cannot start; carries the exit status."""

    def __init__(self, event: str, reason: str, status: int) -> None:
        super().__init__(reason)
        self.event = event
        self.status = status


class _ApiServer(uvicorn.Server):
    """uvicorn beside the data plane: signals are ours, and others wait for it to serve."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()


def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    log.configure()
    toxics.load()
    _allow_many_files()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options))
    except StartError as error:
        log.error(error.event, reason=str(error))
        return error.status
    return EXIT_OK


def _allow_many_files() -> None:
    """Each proxied connection takes two files; use all that the system grants."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    proxies = Collection(options.seed)
    try:
        await _populate(proxies, options.config)
        await _serve_api(proxies, options, stop)
    finally:
        proxies.close()


async def _serve_api(proxies: Collection, options: Options, stop: asyncio.Event) -> None:
    lease = _lease(proxies)
    api = _ApiServer(
        uvicorn.Config(
            Api(proxies, lease).application(),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_keep_alive=_API_KEEP_ALIVE_S,
        )
    )
    listening = _listen(options.host, options.port)
    serving = asyncio.create_task(api.serve(sockets=[listening]))
    await api.serving.wait()
    if options.lease_ttl_ms is not None:
        lease.arm(options.lease_ttl_ms)
    port = int(listening.getsockname()[1])
    # What there is now stays, so the collector need not look at it again, nor often at the rest.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    log.event("serving", host=options.host, port=port, seed=options.seed)
    if options.ready_file is not None:
        _announce(options.ready_file, {"port": port, "seed": options.seed})
    await _until(stop, serving)
    proxies.close()
    lease.disarm()
    api.should_exit = True
    await asyncio.wait({serving}, timeout=_GRACE_S)
    log.event("stopped")


def _lease(proxies: Collection) -> Lease:
    loop = asyncio.get_running_loop()
    resets: set[asyncio.Task[list[str]]] = set()  # the loop itself holds tasks only weakly

    def heal() -> None:
        log.warning("lease_expired")
        task = loop.create_task(proxies.reset("lease"))
        resets.add(task)
        task.add_done_callback(resets.discard)

    return Lease(time.monotonic, loop.call_later, heal)


async def _until(stop: asyncio.Event, serving: asyncio.Task[None]) -> None:
    """Wait for the signal, or for the API to end of itself, which raises what ended it."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if serving.done():
        serving.result()


async def _populate(proxies: Collection, config: Path | None) -> None:
    if config is None:
        return
    try:
        wanted = bodies.new_proxies(config.read_bytes())
    except OSError as error:
        raise StartError("bad_config", f"{config}: {error.strerror}", EXIT_USAGE) from None
    except ApiError as error:
        raise StartError("bad_config", f"{config}: {error.message}", EXIT_USAGE) from None
    _done, failure = await proxies.populate(wanted)
    if failure is not None:
        raise StartError("bad_config", f"{config}: {failure.message}", EXIT_USAGE)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_API_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = f"cannot serve the API on {host}:{port}: {error}"
        raise StartError("cannot_listen", reason, EXIT_CANNOT_LISTEN) from None
    return listening


def _announce(path: Path, ready: dict[str, int]) -> None:
    """Write the whole file or nothing."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(ready))
        draft.replace(path)
    except OSError as error:
        raise StartError("bad_ready_file", f"{path}: {error.strerror}", EXIT_USAGE) from None
