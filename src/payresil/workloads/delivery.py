"""How a traffic process gets its specification: through a pipe that it opens when it is ready.

Opening a FIFO blocks until the other side opens it too. So the harness learns that the process
has loaded everything, and the process learns when to begin, from the same event; and secrets
touch no file.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from payresil.core.registry import import_file
from payresil.core.traffic import TrafficError, TrafficSpec

USAGE = 2  # exit status for a specification that cannot be used


def arguments(program: str, description: str) -> Path:
    """The path given as ``--spec``."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument(
        "--spec", type=Path, required=True, metavar="FIFO", help="pipe to read the task from"
    )
    path: Path = parser.parse_args().spec
    return path


def receive(path: Path) -> TrafficSpec:
    """Wait for the specification.

    Until the caller sets a handler of its own, SIGTERM ends the process with 0: nothing was begun.

    Raises:
        TrafficError: when the pipe cannot be read or holds something else.
    """
    signal.signal(signal.SIGTERM, _leave)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrafficError(f"--spec {path}: {error.strerror}") from error
    spec = TrafficSpec.decode(data)
    for file in spec.imports:
        try:
            import_file(Path(file))
        except (FileNotFoundError, ImportError) as error:
            raise TrafficError(str(error)) from error
    return spec


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
