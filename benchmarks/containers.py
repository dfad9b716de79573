"""How soon the first customer is served in containers: from the command to the first attempt.

    python -m benchmarks.containers [--starts 5]

Method: `payresil run scenarios/gate/psp-lost-answers.yaml --backend docker`, as a user starts it,
with images that are present (the settings of docs/containers.md say which); the same with the
backend `process` beside it. The clock starts before the command does; the first attempt is that of
the run's tables. Both verdicts must be pass.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import table, write
from benchmarks.whole_run import start_and_end
from payresil.core.verdict_file import VERDICT_FILE, from_json

_SCENARIO = Path("scenarios/gate/psp-lost-answers.yaml")
_BACKENDS = ("docker", "process")


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, print, and keep the figures; exit status 1 when a verdict was another than pass."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.containers")
    parser.add_argument("--starts", type=int, default=5)
    asked = parser.parse_args(arguments)
    rows = [
        (n, backend, *_start(backend)) for n in range(1, asked.starts + 1) for backend in _BACKENDS
    ]
    names = ("start", "backend", "first attempt s (docker: bound 25)", "verdict")
    print(table("From `payresil run` to the first attempt", names, rows))
    starts = [dict(zip(names, row, strict=True)) for row in rows]
    print(write("containers", __doc__ or "", {"starts": starts}))
    if any(verdict != "pass" for *_, verdict in rows):
        sys.exit(1)


def _start(backend: str) -> tuple[float, str]:
    with tempfile.TemporaryDirectory(prefix="payresil-bench-") as name:
        took = start_and_end(_SCENARIO, Path(name), "--backend", backend)
        verdict = from_json(next(Path(name).glob(f"*/latest/{VERDICT_FILE}")).read_text())
    return took["first_attempt_s"], verdict.outcome.value


if __name__ == "__main__":
    main(sys.argv[1:])
