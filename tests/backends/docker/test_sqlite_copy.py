"""A copy of a SQLite file is what was committed at one moment, whatever was under way."""

from __future__ import annotations

import io
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from payresil.backends.containers.sqlite_copy import sqlite_copies, sqlite_copy
from payresil.core.protocols import EnvironmentBroke


@dataclass(frozen=True)
class Mount:
    """Something that is mounted, as the engine tells it of a container."""

    source: str
    target: str
    kind: str = "volume"
    subpath: str = ""

    def told(self) -> dict[str, str]:
        source = {"Source": self.source} if self.source else {}
        return {"Type": self.kind, "Destination": self.target, **source}

    def asked(self) -> dict[str, Any]:
        options = {"VolumeOptions": {"Subpath": self.subpath}} if self.subpath else {}
        return {"Type": self.kind, "Target": self.target, **options}


class Part:
    """A container whose file system is a folder; it is only to be read while it is frozen."""

    def __init__(self, root: Path, name: str = "a/service.1", *mounts: Mount) -> None:
        self.name = name
        self.attrs = {
            "Mounts": [each.told() for each in mounts],
            "HostConfig": {"Mounts": [each.asked() for each in mounts]},
        }
        self._root = root
        self._frozen = False
        self.others: list[Part] = []  # must be frozen, too

    @property
    def container(self) -> Any:
        return self

    @contextmanager
    def frozen(self) -> Iterator[Any]:
        self._frozen = True
        yield self
        self._frozen = False

    def get_archive(self, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        assert self._frozen
        assert all(other._frozen for other in self.others)
        file = self._root / path.lstrip("/")
        if not file.exists():
            raise docker.errors.NotFound("no such file")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(file, file.name)
        whole = packed.getvalue()
        return iter([whole[:700], whole[700:]]), {}


@pytest.fixture
def part(tmp_path: Path) -> Part:
    (tmp_path / "root").mkdir()
    return Part(tmp_path / "root")


def orders(file: Path) -> list[str]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as books:
        return [row[0] for row in books.execute("select id from orders order by id")]


Ended = Callable[[sqlite3.Connection], None]


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_what_is_committed_is_copied_and_what_is_under_way_is_not(
    tmp_path: Path, part: Part, mode: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "root" / "shop.db", isolation_level=None)) as shop:
        shop.execute(f"pragma journal_mode = {mode}")
        shop.execute("pragma cache_spill = 1")  # what is not committed goes to the files, too
        shop.execute("pragma cache_size = 1")
        shop.execute("create table orders (id text, filling text)")
        shop.execute("insert into orders values ('o1', '')")
        shop.execute("begin")
        shop.executemany(
            "insert into orders values (?, ?)", [(f"x{n}", "." * 900) for n in range(99)]
        )
        beside = tmp_path / "root" / f"shop.db-{'wal' if mode == 'wal' else 'journal'}"
        assert beside.stat().st_size > 900
        copy = sqlite_copy(part, "/shop.db", tmp_path / "work")
        assert orders(copy) == ["o1"]
        shop.execute("rollback")
        shop.execute("insert into orders values ('o2', '')")
        assert orders(sqlite_copy(part, "/shop.db", tmp_path / "work")) == ["o1", "o2"]
        assert [each.name for each in copy.parent.iterdir()] == ["shop.db"]


def test_a_copy_leaves_nothing_of_an_earlier_one(tmp_path: Path, part: Part) -> None:
    root = tmp_path / "root"
    with closing(sqlite3.connect(root / "shop.db")) as shop:
        shop.execute("create table orders (id text)")
    sqlite_copy(part, "/shop.db", tmp_path / "work")
    shutil.copy(root / "shop.db", root / "other.db")
    copy = sqlite_copy(part, "/other.db", tmp_path / "work")
    assert [each.name for each in copy.parent.iterdir()] == ["other.db"]


def test_what_is_missing_or_no_database_is_said(tmp_path: Path, part: Part) -> None:
    (tmp_path / "root" / "folder.db").mkdir()
    (tmp_path / "root" / "text.db").write_text("no database, but long enough to look like one" * 9)
    for path in ("/shop.db", "/folder.db"):
        with pytest.raises(EnvironmentBroke, match=rf"books: there is no file {path} in a/serv"):
            sqlite_copy(part, path, tmp_path / "work")
    with pytest.raises(EnvironmentBroke, match=r"books: /text.db in a/service.1 cannot be read"):
        sqlite_copy(part, "/text.db", tmp_path / "work")


VOLUME = "/var/lib/docker/volumes/shop/_data"
SHARED = Mount(VOLUME, "/data")


def parts(root: Path, first: tuple[Mount, ...], second: tuple[Mount, ...]) -> list[Part]:
    (root / "data").mkdir(parents=True)
    with closing(sqlite3.connect(root / "data" / "shop.db")) as shop:
        shop.execute("create table orders (id text)")
    return [Part(root, "a/service.1", *first), Part(root, "a/service.2", *second)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((SHARED,), (SHARED,)),
        ((Mount("/srv/shop", "/data", "bind"),), (Mount("/srv/shop", "/data", "bind"),)),
        ((Mount("/srv", "/", "bind"), SHARED), (SHARED,)),  # what is mounted deeper hides it
        ((Mount("/srv/shop", "/data", "bind"),), (Mount("/srv/shop/shop.db", "/data/shop.db"),)),
    ],
)
def test_a_file_that_instances_share_is_read_once_with_all_of_them_still(
    tmp_path: Path, first: tuple[Mount, ...], second: tuple[Mount, ...]
) -> None:
    both = parts(tmp_path / "root", first, second)
    both[0].others = [both[1]]
    copies = sqlite_copies(both, both, "/data/shop.db", tmp_path / "work")
    assert len(copies) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((), ()),
        ((SHARED,), (Mount(f"{VOLUME}-2", "/data"),)),
        ((SHARED,), (SHARED, Mount("/srv", "/data/shop.db", "bind"))),
        ((Mount(VOLUME, "/elsewhere"),), (Mount(VOLUME, "/elsewhere"),)),
        ((Mount("", "/data", "tmpfs"),), (Mount("", "/data", "tmpfs"),)),
        ((Mount(VOLUME, "/data", subpath="1"),), (Mount(VOLUME, "/data", subpath="2"),)),
    ],
)
def test_files_of_their_own_are_all_read(
    tmp_path: Path, first: tuple[Mount, ...], second: tuple[Mount, ...]
) -> None:
    both = parts(tmp_path / "root", first, second)
    copies = sqlite_copies(both, both, "/data/shop.db", tmp_path / "work")
    assert len(set(copies)) == 2


def test_another_node_that_writes_the_file_is_still_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "root" / "data").mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "root" / "data" / "shop.db")) as shop:
        shop.execute("create table orders (id text)")
    service = Part(tmp_path / "root", "a/service.1", SHARED)
    worker = Part(tmp_path / "root", "worker", Mount(VOLUME, "/shop"))
    service.others = [worker]
    sqlite_copies([service], [service, worker], "/data/shop.db", tmp_path / "work")
