"""What makes a database one of several that replicate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from payresil.backends.embedded.postgres_roles import Roles

#: A silent link is noticed after this long, at both of its ends.
SILENT_AFTER_S = 2.5


@dataclass(frozen=True, slots=True)
class Membership:
    """`name` is the node's; `roles` are shared by all members, made with ``replicated=True``.

    `empty`: it begins without a cluster, to be filled by `copy_from` or `restore`. Otherwise it
    begins with the cluster that every other member begins with, so that a standby only has to be
    told where its primary is (`stand_by`) and catches up from there: nothing has to be copied.
    """

    name: str
    roles: Roles
    empty: bool = False


def standby_name(node: str) -> str:
    """How the node's database calls itself to its source: ``a_db_2`` for ``a/db.2``."""
    return "".join(letter if letter.isalnum() else "_" for letter in node)


def settings(name: str) -> Mapping[str, object]:
    """Settings for the command line of the member `name`.

    What changes while it runs is not among them: it stands in ``postgresql.auto.conf``.
    """
    silent_ms = round(1000 * SILENT_AFTER_S)
    return {
        "cluster_name": standby_name(name),  # a standby's application_name
        "wal_level": "replica",
        "wal_log_hints": "on",  # pg_rewind wants it
        "hot_standby": "on",
        "max_wal_senders": 10,
        "wal_keep_size": "256MB",  # what a standby or the archive may miss and still catch up
        "wal_receiver_status_interval": "1s",
        "wal_receiver_timeout": f"{silent_ms}ms",
        "wal_sender_timeout": f"{silent_ms}ms",
        "wal_retrieve_retry_interval": "200ms",
        "recovery_target_timeline": "latest",  # to follow a new primary
    }
