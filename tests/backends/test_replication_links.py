"""Replication through links that fall silent, and come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from payresil.backends.embedded.cache import Cache, cache_folder
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.postgres_files import PostgresFiles
from payresil.backends.embedded.postgres_roles import OPERATOR
from payresil.backends.embedded.replication.archive import Archive
from payresil.backends.embedded.replication.operating import (
    await_streaming,
    follow,
    mark,
    promote,
    standing,
)
from payresil.backends.embedded.replication.standby import conninfo
from payresil.backends.launcher import Supervisor
from payresil.backends.proxies import PackageProxies
from payresil.core.protocols import Toxic, Unreachable

from .replicated import Member, caught_up, members

Until = Callable[[Callable[[], object]], None]

_STREAMS = {"both": ("upstream", "downstream"), "up": ("upstream",), "down": ("downstream",)}


class Links:
    """Proxies in front of one database."""

    def __init__(self, proxies: PackageProxies, a: Member, test: str) -> None:
        self._proxies = proxies
        self.names = [f"{test}-{who}" for who in ("standby", "archive", "operator")]
        self.standby, self.archive, self.operator = (
            proxies.create(name, a.address) for name in self.names
        )

    def silence(self, *streams: str) -> None:
        for name in self.names:
            for stream in streams:
                self._proxies.add(name, stream, Toxic("timeout", stream, {"timeout": 0}))

    def heal(self, *streams: str) -> None:
        for name in self.names:
            for stream in streams:
                self._proxies.remove(name, stream)


@pytest.fixture
def pair(launcher: Supervisor, scratch: Path) -> Iterator[tuple[Member, Member]]:
    with members(scratch, launcher, "a/db", "b/db") as made:
        a, b = made.values()
        a.ask("create table t (n int)")
        caught_up(b, a)
        yield a, b


@pytest.mark.parametrize("direction", list(_STREAMS))
def test_a_link_that_fell_silent_is_noticed_and_used_again(
    pair: tuple[Member, Member],
    direction: str,
    toxiproxy: PackageProxies,
    scratch: Path,
    until: Until,
) -> None:
    a, b = pair
    links = Links(toxiproxy, a, f"silent-{direction}")
    follow(b.operator, conninfo(links.standby), links.standby)
    archive = Archive(
        scratch / "w.archive",
        PostgresFiles(Cache(cache_folder(), scratch / "cache")),
        a.launcher,
        scratch / "w.archive.log",
        name="w/archive",
        roles=a.roles,
        source=links.archive,
    )
    node = NodeProcess(
        "w/archive",
        archive.program,
        launcher=a.launcher,
        log=scratch / "w.archive.log",
        report=lambda *_, **__: None,
        port=9,
    )
    node.launch()
    archive.await_received(archive.take_base_backup().stop)
    links.silence(*_STREAMS[direction])
    with pytest.raises(Unreachable, match="no answer in time"):
        standing(a.postgres.url(OPERATOR, links.operator), timeout_s=0.2)
    until(lambda: standing(b.operator).source is None)
    a.ask("insert into t values (1)")
    links.heal(*_STREAMS[direction])
    await_streaming(b.operator, links.standby, within_s=5)
    caught_up(b, a)
    archive.await_received(mark(a.operator), within_s=5)
    node.stop()


@pytest.mark.parametrize("direction", list(_STREAMS))
def test_a_standby_that_is_cut_off_is_promoted_at_once(
    pair: tuple[Member, Member], direction: str, toxiproxy: PackageProxies, until: Until
) -> None:
    a, b = pair
    links = Links(toxiproxy, a, f"promoted-{direction}")
    follow(b.operator, conninfo(links.standby), links.standby)
    links.silence(*_STREAMS[direction])
    until(lambda: standing(b.operator).source is None)
    began_s = time.monotonic()
    promote(b.operator)
    b.ask("insert into t values (1)")
    assert time.monotonic() - began_s < 3
    assert standing(b.operator).timeline == 2


def test_a_standby_leaves_a_source_that_is_silent(
    pair: tuple[Member, Member], toxiproxy: PackageProxies, until: Until
) -> None:
    a, b = pair
    links = Links(toxiproxy, a, "left")
    follow(b.operator, conninfo(links.standby), links.standby)
    links.silence("upstream", "downstream")
    until(lambda: standing(b.operator).source is None)
    follow(b.operator, conninfo(a.address), a.address)
    assert standing(b.operator).source == a.address
