"""Restores a database to a point in time, from a base backup and the log after it."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from payresil.backends.embedded.postgres import Postgres
from payresil.backends.embedded.replication.archive import Archive
from payresil.backends.embedded.replication.manifest import Manifest, verify_manifest
from payresil.backends.embedded.replication.questions import answer
from payresil.backends.embedded.replication.reading import Log
from payresil.core.protocols import EnvironmentBroke

_REPLAY_S = 60.0
_POLL_S = 0.02
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a database was restored from."""

    manifest: Manifest  # of the base backup; every file agrees with it
    log: Log  # of which every record was read, to its end


def restore(
    target: Postgres, archive: Archive, until_us: int | None = None, *, action: str = "pause"
) -> Restored:
    """Fill an empty member with all that was committed until a moment; then it can be started.

    `until_us` is wall clock, Unix time in µs; None is the end of the archive. With `action`
    ``pause`` it can only be read then, with ``promote`` it becomes a primary; at the end of the
    archive it becomes one anyway. `await_restored` tells when it is there.

    Raises:
        EnvironmentBroke: when the base backup is not what its manifest says, the log is damaged, or
            the moment lies outside of what the archive holds.
    """
    backup = archive.backup
    if until_us is not None and until_us < backup.stop_us:
        raise EnvironmentBroke(
            f"{_time(until_us)} cannot be restored: the base backup ended only at "
            f"{_time(backup.stop_us)}; restore to a later moment"
        )
    log = archive.read(target.data.with_name("wal"))
    if until_us is not None and (log.last_us is None or log.last_us < until_us):
        raise EnvironmentBroke(_too_short(until_us, log))
    target.copy_in(archive.base)
    manifest = verify_manifest(target.data)
    target.write(target.data / "recovery.signal", "")
    settings = _settings(target.data.with_name("wal"), until_us, action)
    target.write(target.data / "postgresql.auto.conf", settings)
    return Restored(manifest, log)


def await_restored(url: str, within_s: float = _REPLAY_S) -> None:
    """Wait until a database that was started after `restore` is at its point in time.

    Raises:
        Unreachable: when it is not there: its log says why.
        EnvironmentBroke: when it takes too long.
    """

    async def wait() -> None:
        deadline_s = time.monotonic() + within_s
        while not (await answer(url, _IS_THERE))[0]["is_there"]:
            if time.monotonic() > deadline_s:
                raise EnvironmentBroke(f"restoring took longer than {within_s:g} s")
            await asyncio.sleep(_POLL_S)

    asyncio.run(wait())


_IS_THERE = """
select case when pg_is_in_recovery() then pg_get_wal_replay_pause_state() = 'paused'
       else true end as is_there
"""


def _settings(log: Path, until_us: int | None, action: str) -> str:
    folder = shlex.quote(str(log)).replace("%", "%%")
    command = f"cp {folder}/%f %p".replace("'", "''")
    lines = [f"restore_command = '{command}'"]
    if until_us is not None:
        lines.append(f"recovery_target_time = '{_time(until_us)}'")
        lines.append(f"recovery_target_action = '{action}'")
    return "\n".join([*lines, ""])


def _too_short(until_us: int, log: Log) -> str:
    last = "nothing" if log.last_us is None else f"nothing after {_time(log.last_us)}"
    return (
        f"{_time(until_us)} cannot be restored: the archive does not reach that far, it holds "
        f"{last}; restore to an earlier moment"
    )


def _time(at_us: int) -> str:
    return f"{(_EPOCH + timedelta(microseconds=at_us)).isoformat(' ')}"
