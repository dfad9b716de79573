"""``requirements.py [--with-build] PYPROJECT``: what the project needs, one requirement a line.

So that its dependencies are a layer of their own, which stays when only the project changes.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, *, with_build: bool) -> list[str]:
    """The dependencies, and on demand what the project is built with."""
    content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    needed: list[str] = [*content["project"]["dependencies"]]
    if with_build:
        needed += content["build-system"]["requires"]
    return needed


if __name__ == "__main__":
    *options, path = sys.argv[1:]
    print("\n".join(requirements(Path(path), with_build="--with-build" in options)))
