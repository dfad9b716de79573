"""Copies a SQLite file out of a container, as it is at one moment."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import IO, Protocol

import docker.errors
from docker.models.containers import Container

from payresil.backends.containers.engine import asked
from payresil.backends.containers.mounts import can_reach, mounted_file
from payresil.backends.containers.networks import alias
from payresil.core.protocols import EnvironmentBroke

#: What belongs to a database beside its file: what it has written ahead, or would roll back. Its
#: index in shared memory is made anew.
_BESIDE = ("-wal", "-journal")


class Freezable(Protocol):
    """A container that can be held still."""

    name: str

    @property
    def container(self) -> Container:
        """It, moving or not."""
        ...

    def frozen(self) -> AbstractContextManager[Container]:
        """It, with nothing moving in it while the context lasts."""
        ...


def sqlite_copies(
    instances: Iterable[Freezable], everybody: Sequence[Freezable], path: str, work: Path
) -> list[Path]:
    """Copies of the databases at `path` in some containers; one where they share it by a mount.

    `everybody` is who may write them as well.

    Raises:
        EnvironmentBroke: as `sqlite_copy`.
    """
    seen = set()
    copies = []
    for part in instances:
        file = mounted_file(part.container, path)
        if file is not None and file in seen:
            continue
        seen.add(file)
        writers = (
            []
            if file is None
            else [
                other
                for other in everybody
                if other is not part and can_reach(other.container, file)
            ]
        )
        copies.append(sqlite_copy(part, path, work, writers))
    return copies


def sqlite_copy(part: Freezable, path: str, work: Path, writers: Iterable[Freezable] = ()) -> Path:
    """A copy below `work` of the database at `path` in a container; replaces an earlier one.

    Nothing in the container or in those of other `writers` moves meanwhile, so the copy is what a
    crash at this moment would leave, of which SQLite makes a whole: what was committed is in it,
    and nothing else.

    Raises:
        EnvironmentBroke: when there is no such file, or it is no database.
    """
    folder = work / "books" / alias(part.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy = folder / Path(path).name
    with ExitStack() as still:
        for writer in writers:
            still.enter_context(writer.frozen())
        container = still.enter_context(part.frozen())
        if not _fetched(container, path, copy):
            raise EnvironmentBroke(
                f"books: there is no file {path} in {part.name}; is it where the service writes?"
            )
        for ending in _BESIDE:
            _fetched(container, path + ending, copy.with_name(copy.name + ending))
    try:
        _made_whole(copy)
    except sqlite3.Error as error:
        raise EnvironmentBroke(f"books: {path} in {part.name} cannot be read: {error}") from error
    return copy


def _fetched(container: Container, path: str, to: Path) -> bool:
    """Whether there is such a file; it is at `to` then."""
    with asked(f"{path} cannot be copied"), tempfile.TemporaryFile(dir=to.parent) as packed:
        try:
            pieces, _ = container.get_archive(path)
        except docker.errors.NotFound:
            return False
        for piece in pieces:
            packed.write(piece)
        packed.seek(0)
        return _unpacked(packed, to)


def _unpacked(packed: IO[bytes], to: Path) -> bool:
    with tarfile.open(fileobj=packed) as tar:
        member = tar.next()
        content = None if member is None or not member.isfile() else tar.extractfile(member)
        if content is None:  # a folder, a link
            return False
        with to.open("wb") as file:
            shutil.copyfileobj(content, file)
    return True


def _made_whole(copy: Path) -> None:
    """Take in what lies beside it, so that it can be read by itself."""
    with closing(sqlite3.connect(copy)) as books:
        books.execute("select count(*) from sqlite_master").fetchone()  # rolls back what is hot
        books.execute("pragma journal_mode = delete")  # takes in what was written ahead
