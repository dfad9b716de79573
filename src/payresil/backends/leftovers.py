"""What runs that were killed have left on this machine, found by what they wrote on it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from payresil.backends.harness import NOTE, Harness

#: How the scratch folder of a run begins.
SCRATCH = "payresil-"


@dataclass(frozen=True, slots=True)
class Leftover:
    """A thing that a run made. `remove` raises `OSError` or `EnvironmentBroke` when it cannot be.

    `harness` is None where what it says of its run cannot be read.
    """

    name: str  # such as ``container payresil-65421aea-a-db``
    harness: Harness | None
    remove: Callable[[], None]


def harness_of(text: str) -> Harness | None:
    """The harness that a label or note names; None when it names none."""
    try:
        return Harness.parse(text)
    except ValueError:
        return None


def scratch_folders() -> Iterator[Leftover]:
    """The scratch folders of this user's runs. One without a note is somebody else's."""
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{SCRATCH}*")):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            note = (folder / NOTE).read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            continue
        yield Leftover(f"folder {folder}", harness_of(note), partial(shutil.rmtree, folder))
