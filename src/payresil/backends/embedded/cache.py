"""A cache of folders that take long to make, for every later run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

#: Root's cache must be readable to the user that the database runs as; root's home is not.
ROOTS_CACHE = Path("/var/cache/payresil")

_STALE_S = 3600.0


def cache_folder() -> Path:
    """Where this user's cache is. It need not exist yet."""
    if os.geteuid() == 0:
        return ROOTS_CACHE
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "payresil"


class Cache:
    """Folders by name, readable to every user. One is there as a whole or not at all.

    A folder gets its name when it is complete, so one that was cut short is never found, and when
    two runs make the same one at the same time, one of them wins.
    """

    def __init__(self, folder: Path, otherwise: Path) -> None:
        """Things are kept in `folder`, or below `otherwise` when `folder` cannot be written."""
        self._places = (folder, otherwise)

    def find(self, name: str) -> Path | None:
        """The folder of this name, None when it has to be made."""
        for place in self._places:
            if (place / name).is_dir():
                return place / name
        return None

    def keep(self, name: str, fill: Callable[[Path], None]) -> Path:
        """Have `fill` make the folder at a path that it is given, and keep it as `name`.

        Raises:
            OSError: when it can be kept nowhere, or whatever `fill` raises.
        """
        place, draft = self._draft(name)
        try:
            fill(draft / "content")
            _open_to_all(draft / "content")
            _publish(draft / "content", place / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _drop_stale(place)
        return place / name

    def _draft(self, name: str) -> tuple[Path, Path]:
        refusal = OSError("there is no place to keep anything")
        for place in self._places:
            try:
                place.mkdir(parents=True, exist_ok=True, mode=0o755)
                return place, Path(tempfile.mkdtemp(prefix=f".{name}-", dir=place))
            except OSError as error:
                refusal = error
        raise refusal


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))


def _publish(content: Path, target: Path) -> None:
    try:
        content.rename(target)
    except OSError:
        if not target.is_dir():  # or else another run was quicker
            raise


def _drop_stale(place: Path) -> None:
    """Remove what runs that were killed left half made."""
    for path in place.glob(".*-*"):
        if time.time() - path.stat().st_mtime > _STALE_S:
            shutil.rmtree(path, ignore_errors=True)
