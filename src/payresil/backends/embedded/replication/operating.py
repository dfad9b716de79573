"""What an operator asks of a running database, and tells it. URLs are of the role operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from payresil.backends.embedded.replication.membership import standby_name
from payresil.backends.embedded.replication.questions import REACH_S, answer, ask
from payresil.core.protocols import EnvironmentBroke, Standing, Unreachable

#: Seconds that a standby may take until it streams from a source that it is told to follow.
FOLLOW_S = 15.0

_PROMOTE_S = 15.0
_RELOAD_S = 5.0
_CHECKPOINT_S = 15.0
_POLL_S = 0.02

#: A position is a number of bytes here. A standby that has just started has received nothing yet,
#: and its receiver begins with a whole segment: it has what it has replayed.
STANDING = """
select not is_standby as is_primary,
       case when is_standby
            then greatest(coalesce(received_tli, 0), min_recovery_end_timeline, timeline_id)
            else ('x' || left(pg_walfile_name(flushed), 8))::bit(32)::int end as timeline,
       (case when is_standby then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
             else flushed end - '0/0')::bigint as received,
       (case when is_standby then pg_last_wal_replay_lsn() else flushed end - '0/0')::bigint
           as replayed,
       case when is_standby and status = 'streaming'
            then sender_host || ':' || sender_port end as source
from (select pg_is_in_recovery() as is_standby,
             case when not pg_is_in_recovery() then pg_current_wal_flush_lsn() end as flushed) it
cross join pg_control_checkpoint()
cross join pg_control_recovery()
left join pg_stat_wal_receiver on true
"""


def standing(url: str, timeout_s: float = REACH_S) -> Standing:
    """What the database is now; its `source` is the ``host:port`` that it streams from.

    Raises:
        Unreachable: when the operator cannot get through.
    """
    return Standing(**ask(url, STANDING, timeout_s=timeout_s)[0])


def promote(url: str) -> None:
    """Make a standby the primary; returns when it takes writes. A primary stays what it is.

    Raises:
        Unreachable: when the operator cannot get through, or it does not become one in time.
    """
    if standing(url).is_primary:
        return
    sql = "select pg_promote(true, $1) as done"
    (row,) = ask(url, sql, round(_PROMOTE_S), timeout_s=_PROMOTE_S + REACH_S)
    if not row["done"]:
        raise Unreachable(f"the standby was not promoted within {_PROMOTE_S:g} s")


def follow(url: str, conninfo: str, source_address: str) -> None:
    """Have a running standby stream from `source_address` (host:port); returns when it does.

    `conninfo` is how it gets there: `standby.conninfo`.

    Raises:
        Unreachable: when the operator cannot get through, or it does not stream in time.
    """
    _set(url, "primary_conninfo", conninfo)
    await_streaming(url, source_address)


def await_streaming(url: str, source_address: str, within_s: float | None = None) -> None:
    """Wait until a standby streams from ``host:port``.

    Raises:
        Unreachable: when the operator cannot get through, or it does not in time: the way from
            there to its source may be cut.
    """

    async def streams() -> bool:
        return Standing(**(await answer(url, STANDING))[0]).source == source_address

    asyncio.run(
        _until(streams, within_s or FOLLOW_S, f"the standby does not stream from {source_address}")
    )


def replicate(url: str, mode: str, standbys: Sequence[str]) -> None:
    """Set what the primary's commits wait for: to be on the disk of the first of `standbys` that
    is there (synchronous), of any one (quorum), or of none (asynchronous).

    `standbys` are names of nodes; asynchronous takes none of them.

    Raises:
        Unreachable: when the operator cannot get through, or it does not do so in time.
    """
    names = _names(mode, standbys)
    _set(url, "synchronous_standby_names", names)
    if names:
        # Commits begin to wait when the checkpointer has read the setting, and it reads it before
        # it does what it is asked for.
        ask(url, "checkpoint", timeout_s=_CHECKPOINT_S)


def mark(url: str) -> int:
    """Commit nothing, which the log tells with the time, and return the position after it.

    A restore to a point in time needs a later commit to know that the log goes on beyond it. It is
    on disk within a second, and waits for no standby.

    Raises:
        Unreachable: when the operator cannot get through.
    """
    ask(url, "select pg_current_xact_id()")
    (row,) = ask(url, "select (pg_current_wal_insert_lsn() - '0/0')::bigint as position")
    return int(row["position"])


def await_replayed(url: str, standbys: Sequence[str], within_s: float = 15.0) -> None:
    """Wait until standbys of the primary, by their nodes' names, have replayed what it has now.

    Raises:
        Unreachable: when the operator cannot get through.
        EnvironmentBroke: when one has not in time.
    """
    names = [standby_name(node) for node in standbys]
    (now,) = ask(url, "select (pg_current_wal_flush_lsn() - '0/0')::bigint as position")

    async def replayed() -> bool:
        rows = await answer(url, _REPLAYED, names, now["position"])
        return len(rows) == len(names)

    try:
        asyncio.run(_until(replayed, within_s, f"{', '.join(standbys)} did not catch up"))
    except _Late as error:
        raise EnvironmentBroke(str(error)) from error


_REPLAYED = """
select distinct application_name from pg_stat_replication
where application_name = any($1::text[]) and (replay_lsn - '0/0')::bigint >= $2
"""


def _names(mode: str, standbys: Sequence[str]) -> str:
    names = ", ".join(map(standby_name, standbys))
    match mode:
        case "asynchronous":
            return ""
        case "synchronous":
            return f"FIRST 1 ({names})"
        case "quorum":
            return f"ANY 1 ({names})"
    raise ValueError(f"{mode}: expected asynchronous, synchronous or quorum")


def _set(url: str, setting: str, value: str) -> None:
    """Change a setting of a running database, for good; returns when it is in force."""
    quoted = value.replace("'", "''")
    ask(url, f"alter system set {setting} = '{quoted}'")
    ask(url, "select pg_reload_conf()")

    async def in_force() -> bool:
        rows: list[dict[str, Any]] = await answer(
            url, "select current_setting($1) as value", setting
        )
        return bool(rows[0]["value"] == value)

    asyncio.run(_until(in_force, _RELOAD_S, f"the database does not take the new {setting}"))


class _Late(Unreachable):
    """It answers, and has not done in time what it was told to."""


async def _until(holds: Callable[[], Awaitable[bool]], within_s: float, otherwise: str) -> None:
    deadline_s = time.monotonic() + within_s
    while not await holds():
        if time.monotonic() > deadline_s:
            raise _Late(f"{otherwise}, {within_s:g} s after it was told to")
        await asyncio.sleep(_POLL_S)
