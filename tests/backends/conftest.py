"""What the tests of the backends share: a launcher, scratch folders, and watching processes end."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.own_server import OwnServer
from payresil.backends.launcher import Supervisor
from payresil.backends.proxies import PackageProxies

#: Generous: it bounds how long a failing test takes, and nothing else.
PATIENCE_S = 20.0

CONTROL_TOKEN = "token-of-the-tests"


@pytest.fixture
def launcher() -> Iterator[Supervisor]:
    with Supervisor.started() as started:
        yield started


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that another user may pass through; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="payresil-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def toxiproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageProxies]:
    """The own Toxiproxy server, driven through the package."""
    folder = tmp_path_factory.mktemp("toxiproxy")
    server = OwnServer("payresil.toxiproxy", folder / "ready.json")
    with Supervisor.started() as launcher:
        node = NodeProcess(
            "toxiproxy",
            server.program,
            launcher=launcher,
            log=folder / "log",
            report=lambda *_, **__: None,
        )
        node.launch()
        node.await_ready()
        yield PackageProxies("127.0.0.1", server.port("port"))


@pytest.fixture(scope="session")
def psp_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """The stub PSP, with state that survives a kill."""
    folder = tmp_path_factory.mktemp("psp")
    server = OwnServer(
        "stub_psp",
        folder / "ready.json",
        *("--data", str(folder / "data")),
        env={"STUB_PSP_CONTROL_TOKEN": CONTROL_TOKEN},
        ports=("port", "control_port"),
    )
    with Supervisor.started() as launcher:
        node = NodeProcess(
            "psp",
            server.program,
            launcher=launcher,
            log=folder / "log",
            report=lambda *_, **__: None,
        )
        node.launch()
        node.await_ready()
        yield server


@pytest.fixture
def plain_env() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something holds that no event tells of."""

    def wait(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            time.sleep(0.01)

    return wait


@pytest.fixture
def all_end() -> Callable[[Iterable[int]], bool]:
    """Whether every process ends; waits for the kernel to say so."""

    def wait(pids: Iterable[int]) -> bool:
        poll, watched = select.poll(), set()
        deadline = time.monotonic() + PATIENCE_S
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                watched.add(os.pidfd_open(pid))
        for fd in watched:
            poll.register(fd, select.POLLIN)
        while watched and time.monotonic() < deadline:
            for fd, _ in poll.poll(1000 * (deadline - time.monotonic())):
                poll.unregister(fd)
                watched.discard(fd)
                os.close(fd)
        return not watched

    return wait
