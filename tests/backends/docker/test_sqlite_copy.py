"""A copy of a SQLite file is what was committed at one moment, whatever was under way."""

from __future__ import annotations

import io
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from payresil.backends.containers.sqlite_copy import sqlite_copy
from payresil.core.protocols import EnvironmentBroke


class Part:
    """A container whose file system is a folder; it is only to be read while it is frozen."""

    name = "a/service.1"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._frozen = False

    @contextmanager
    def frozen(self) -> Iterator[Any]:
        self._frozen = True
        yield self
        self._frozen = False

    def get_archive(self, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        assert self._frozen
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
