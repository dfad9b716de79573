"""Real databases that replicate, for tests."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from payresil.backends.embedded.cache import Cache, cache_folder
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.postgres import Postgres
from payresil.backends.embedded.postgres_files import PostgresFiles
from payresil.backends.embedded.postgres_roles import OPERATOR, SERVICE, Roles
from payresil.backends.embedded.replication.membership import Membership
from payresil.backends.embedded.replication.operating import STANDING, standing
from payresil.backends.embedded.replication.questions import answer
from payresil.backends.embedded.replication.standby import stand_by
from payresil.backends.launcher import Supervisor
from payresil.backends.ports import HeldPort
from payresil.core.protocols import EnvironmentBroke, Standing

INSTANCES = 2


class Member:
    """One database, its process and its port."""

    def __init__(
        self, name: str, roles: Roles, launcher: Supervisor, scratch: Path, *, empty: bool = False
    ) -> None:
        self.roles, self.launcher = roles, launcher
        file_name = name.replace("/", ".")
        self.port = HeldPort()
        self.postgres = Postgres(
            scratch / file_name,
            PostgresFiles(Cache(cache_folder(), scratch / "cache")),
            launcher,
            scratch / f"{file_name}.log",
            instances=INSTANCES,
            membership=Membership(name, roles, empty=empty),
        )
        self.node = NodeProcess(
            name,
            self.postgres.program,
            launcher=launcher,
            log=scratch / f"{file_name}.log",
            report=lambda *_, **__: None,
            port=self.port.number,
        )

    @property
    def address(self) -> str:
        return self.port.address

    @property
    def operator(self) -> str:
        return self.postgres.url(OPERATOR, self.address)

    def start(self) -> None:
        self.node.launch()
        self.node.await_ready()

    def ask(self, sql: str, *parameters: object, role: str = SERVICE, within_s: float = 20) -> Any:
        """The first value of the answer."""

        async def connected() -> Any:
            client = await asyncpg.connect(self.postgres.url(role, self.address), timeout=20)
            try:
                return await client.fetchval(sql, *parameters, timeout=within_s)
            finally:
                client.terminate()

        return asyncio.run(connected())

    @property
    def log(self) -> str:
        return self.node.log.read_text()


@contextmanager
def members(scratch: Path, launcher: Supervisor, *names: str) -> Iterator[Mapping[str, Member]]:
    """The first is the primary, the others are its standbys; all run, none need have caught up."""
    roles = Roles(replicated=True)
    made = {name: Member(name, roles, launcher, scratch) for name in names}
    first, *standbys = made.values()
    try:
        for each in standbys:
            stand_by(each.postgres, first.address)
        for each in made.values():
            each.node.launch()
        for each in made.values():
            each.node.await_ready()
        first.postgres.make_roles()
        yield made
    finally:
        for each in made.values():
            each.node.ask_to_leave()
        for each in made.values():
            each.port.release()


def caught_up(standby: Member, source: Member) -> None:
    """Wait until it has replayed all that its source holds now, roles included."""
    position = standing(source.operator).received

    async def wait() -> None:
        while True:
            try:
                if Standing(**(await answer(standby.operator, STANDING))[0]).replayed >= position:
                    return
            except EnvironmentBroke:  # its roles are still on their way
                pass
            await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(wait(), 20))


def passable_folder() -> Path:
    """A folder that another user may pass through; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="payresil-test-"))
    folder.chmod(0o711)
    return folder
