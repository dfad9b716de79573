"""The command that repeats a run, from what its `run.json` says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

#: The backend that is taken where the command names none.
DEFAULT_BACKEND = "process"


def again(meta: Mapping[str, Any], scenario_file: str) -> str:
    """The command that runs the same plan again, quoted for a shell.

    `scenario_file` is named where the run did not record which file it ran.
    """
    imports = [word for file in meta.get("imports") or () for word in ("--import", str(file))]
    words = ["payresil", *imports, "run", str(meta.get("scenario_file") or scenario_file)]
    if meta.get("flaw"):
        words += ["--flaw", str(meta["flaw"])]
    if meta.get("seed") is not None:
        words += ["--seed", str(meta["seed"])]
    if meta.get("backend") not in (None, "", DEFAULT_BACKEND):
        words += ["--backend", str(meta["backend"])]
    if meta.get("at"):
        words += ["--at", str(meta["at"])]
    if meta.get("prometheus"):
        words += ["--prometheus", str(meta["prometheus"])]
    return shlex.join(words)
