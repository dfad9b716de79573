"""The archive for real: it keeps up, survives a failover, and gives a database back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from payresil.backends.embedded.cache import Cache, cache_folder
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.postgres_files import PostgresFiles
from payresil.backends.embedded.replication.archive import Archive
from payresil.backends.embedded.replication.operating import mark, promote, standing
from payresil.backends.embedded.replication.restoring import await_restored, restore
from payresil.backends.launcher import Supervisor
from payresil.core.protocols import BackupDamaged, EnvironmentBroke

from .replicated import Member, caught_up, members, passable_folder


@dataclass
class Archived:
    """A primary, its standby, and the archive with a base backup of it."""

    a: Member
    b: Member
    archive: Archive
    node: NodeProcess
    scratch: Path

    def kept(self) -> None:
        """Wait until the archive has all that was committed."""
        self.archive.await_received(mark(self.a.operator))

    def empty(self, name: str) -> Member:
        return Member(name, self.a.roles, self.a.launcher, self.scratch, empty=True)


@contextmanager
def archived(scratch: Path, launcher: Supervisor) -> Iterator[Archived]:
    with members(scratch, launcher, "a/db", "b/db") as made:
        a, b = made.values()
        log = scratch / "w.archive.log"
        archive = Archive(
            scratch / "w.archive",
            PostgresFiles(Cache(cache_folder(), scratch / "cache")),
            launcher,
            log,
            name="w/archive",
            roles=a.roles,
            source=a.address,
        )
        node = NodeProcess(
            "w/archive",
            archive.program,
            launcher=launcher,
            log=log,
            report=lambda *_, **__: None,
            port=9,
        )
        node.launch()
        node.await_ready()
        a.ask("create table t (n int)")
        archive.await_received(archive.take_base_backup().stop)
        caught_up(b, a)
        yield Archived(a, b, archive, node, scratch)


@pytest.fixture
def system(launcher: Supervisor, scratch: Path) -> Iterator[Archived]:
    with archived(scratch, launcher) as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Archived]:
    """For tests that leave it as it is."""
    scratch = passable_folder()
    with Supervisor.started() as launcher:
        launcher.sweep(scratch)
        with archived(scratch, launcher) as made:
            yield made


def now_us() -> int:
    return time.time_ns() // 1000


def held(member: Member) -> list[int]:
    return list(member.ask("select coalesce(array_agg(n order by n), '{}') from t"))


def test_a_database_is_given_back_as_it_was_at_a_moment(system: Archived) -> None:
    system.a.ask("insert into t values (1)")
    moment_us = now_us()
    system.a.ask("insert into t select generate_series(2, 50000)")
    system.kept()
    target = system.empty("w/db")
    restored = restore(target.postgres, system.archive, moment_us)
    assert restored.manifest.files > 300
    assert restored.log.last_us is not None
    assert restored.log.last_us > moment_us
    target.start()
    await_restored(target.operator)
    assert held(target) == [1]
    assert not standing(target.operator).is_primary  # it is as it was, and stays so
    target.port.release()


def test_a_restored_database_can_become_a_primary(system: Archived) -> None:
    moment_us = now_us()
    system.a.ask("insert into t values (1)")
    system.kept()
    target = system.empty("w/db")
    restore(target.postgres, system.archive, moment_us, action="promote")
    target.start()
    await_restored(target.operator)
    target.ask("insert into t values (2)")
    assert held(target) == [2]
    target.port.release()


def test_after_a_failover_it_goes_on_with_the_new_primary(system: Archived) -> None:
    system.a.ask("insert into t values (1)")
    caught_up(system.b, system.a)
    system.kept()
    system.a.node.kill()
    promote(system.b.operator)
    system.node.stop()
    assert system.archive.pull_from(system.b.address) == []
    system.node.launch()
    system.node.await_ready()
    system.b.ask("insert into t values (2)")
    assert system.archive.await_received(mark(system.b.operator)).timeline == 2
    target = system.empty("w/db")
    restore(target.postgres, system.archive)
    target.start()
    await_restored(target.operator)
    assert held(target) == [1, 2]
    target.port.release()


def test_what_only_the_lost_primary_had_is_set_aside(system: Archived) -> None:
    system.a.ask("insert into t values (1)")
    caught_up(system.b, system.a)
    system.b.node.stop()
    system.a.ask("insert into t select generate_series(2, 400000)")  # more than a segment
    system.kept()
    system.a.node.kill()
    system.b.start()
    promote(system.b.operator)
    system.node.stop()
    aside = system.archive.pull_from(system.b.address)
    assert aside
    assert {name[:8] for name in aside} == {"00000001"}
    system.node.launch()
    system.node.await_ready()
    system.archive.await_received(mark(system.b.operator))
    target = system.empty("w/db")
    restore(target.postgres, system.archive)
    target.start()
    await_restored(target.operator)
    assert held(target) == [1]
    target.port.release()


def test_it_comes_again_when_its_source_was_away(system: Archived) -> None:
    system.a.node.stop()
    system.a.start()
    system.a.ask("insert into t values (1)")
    system.kept()
    assert system.node.running


def test_a_byte_of_the_base_backup_that_was_changed_is_noticed(system: Archived) -> None:
    file = next(file for file in (system.archive.base / "base").rglob("*_vm"))
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    with pytest.raises(BackupDamaged, match=f"{file.name} was changed"):
        restore(system.empty("w/db").postgres, system.archive)


def test_a_byte_of_the_log_that_was_changed_is_noticed(system: Archived) -> None:
    system.a.ask("insert into t select generate_series(1, 1000)")
    system.kept()
    system.node.stop()
    (file,) = system.archive.wal.glob("*.partial")
    data = bytearray(file.read_bytes())
    start = system.archive.backup.stop % len(data)
    data[start + 10_000] ^= 1
    file.write_bytes(data)
    with pytest.raises(BackupDamaged, match=r"w/archive|archive of the log is damaged"):
        system.archive.standing()


def test_a_moment_beyond_the_archive_is_refused(shared: Archived) -> None:
    shared.kept()
    with pytest.raises(EnvironmentBroke, match="does not reach that far, it holds nothing after"):
        restore(shared.empty("w/later").postgres, shared.archive, now_us() + 3_600_000_000)


def test_a_moment_before_the_base_backup_is_refused(shared: Archived) -> None:
    before_us = shared.archive.backup.start_us
    with pytest.raises(EnvironmentBroke, match="the base backup ended only at"):
        restore(shared.empty("w/earlier").postgres, shared.archive, before_us)


def test_a_log_that_does_not_come_is_told(shared: Archived) -> None:
    with pytest.raises(EnvironmentBroke, match="w/archive has not received the log up to F/0 with"):
        shared.archive.await_received(15 << 32, within_s=0.1)


def test_it_is_told_apart_from_standbys_by_its_name(shared: Archived) -> None:
    names = shared.a.ask(
        "select array_agg(application_name order by application_name) from pg_stat_replication",
        role="operator",
    )
    assert names == ["b_db", "w_archive"]


def test_without_a_base_backup_there_is_nothing_to_restore(shared: Archived, scratch: Path) -> None:
    archive = Archive(
        scratch / "none",
        PostgresFiles(Cache(cache_folder(), scratch / "cache")),
        shared.a.launcher,
        scratch / "log",
        name="w/archive",
        roles=shared.a.roles,
        source=shared.a.address,
    )
    with pytest.raises(EnvironmentBroke, match="w/archive has no base backup: take one first"):
        archive.standing()
