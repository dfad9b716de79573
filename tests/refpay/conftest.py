"""Real parts for the tests of the reference service: PostgreSQL, the stub PSP, the service."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .link import Link
from .nodes import Psp, Refpay
from .postgres_server import Postgres, free_port, until


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="refpay-pg-"))
    server = Postgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _database_numbers() -> Iterator[int]:
    return iter(range(1, 10_000))


@pytest.fixture
def database_name(postgres: Postgres, _database_numbers: Iterator[int]) -> str:
    name = f"refpay{next(_database_numbers)}"
    postgres.create(name)
    return name


@pytest.fixture(scope="session")
def _psp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Psp]:
    stub = Psp(tmp_path_factory.mktemp("node") / "psp")
    stub.node.start()
    yield stub
    stub.node.stop()


@pytest.fixture
def psp(_psp: Psp) -> Iterator[Psp]:
    """The stub PSP, shared by all tests: without faults before and after each."""
    _psp.heal()
    yield _psp
    _psp.heal()


@pytest.fixture(scope="session")
def _refpay(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, _psp: Psp
) -> Iterator[Refpay]:
    postgres.create("shared")
    folder = tmp_path_factory.mktemp("node") / "refpay"
    service = Refpay(folder, _psp.url, postgres.url("shared"))
    service.node.start()
    yield service
    service.node.stop()


@pytest.fixture
def refpay(_refpay: Refpay, psp: Psp) -> Refpay:
    """One instance, shared by the tests that leave it as it was."""
    return _refpay


@pytest.fixture
def start_refpay(
    tmp_path: Path, postgres: Postgres, database_name: str, psp: Psp
) -> Iterator[Callable[..., Refpay]]:
    """Start an instance, or several, on the test's own database and account at the PSP."""
    started: list[Refpay] = []

    def start(**settings: str) -> Refpay:
        service = Refpay(tmp_path / f"refpay{len(started)}", psp.url,
                         postgres.url(database_name),
                         **{"PSP_API_KEY": f"sk_test_{database_name}", **settings})  # fmt: skip
        service.node.start()
        started.append(service)
        return service

    yield start
    for service in started:
        service.node.stop()


@pytest.fixture
def wait() -> Callable[..., None]:
    """``until``, for tests."""
    return until


@pytest.fixture
def dead_database() -> str:
    """The URL of a database that is not there."""
    return f"postgresql://payments@127.0.0.1:{free_port()}/none"


@pytest.fixture
def link(postgres: Postgres) -> Iterator[Link]:
    """A TCP proxy in front of the database, that can go silent."""
    proxy = Link("127.0.0.1", postgres.port)
    yield proxy
    proxy.close()
