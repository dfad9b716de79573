"""Real runs through the command line, as a user starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Money checks only: objectives depend on how busy the machine is that runs the tests.
SCENARIO = """
name: short
claim: A customer is charged once.
system: refpay
seed: 3
workload: {rate: 25/s, duration: 6s, journeys: {checkout: 1, impatient: 1}, warm_up: 1s}
faults:
  - {at: 1s, duration: 3s, psp_lost_answers: {share: 40%, endpoint: ENDPOINT}}
checks: [idempotency, durability, reconciliation, double_entry, no_leaks]
"""


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    status: int
    out: str
    err: str
    reports: Path

    @property
    def folder(self) -> Path:
        """The folder of the last run."""
        return next(self.reports.glob("*/latest")).resolve()

    def verdict(self) -> dict[str, Any]:
        """What verdict.json says."""
        content: dict[str, Any] = json.loads((self.folder / "verdict.json").read_text())
        return content

    def check(self, name: str) -> dict[str, Any]:
        """The result of one check."""
        found: dict[str, Any] = next(c for c in self.verdict()["checks"] if c["name"] == name)
        return found


def command(*arguments: str) -> list[str]:
    """The command line of payresil in this interpreter."""
    return [sys.executable, "-m", "payresil.cli", *arguments]


def scenario_file(folder: Path, endpoint: str = "payment_intents.create") -> Path:
    """The short scenario, its fault on `endpoint`."""
    path = folder / "short.yaml"
    path.write_text(SCENARIO.replace("ENDPOINT", endpoint))
    return path


def call(folder: Path, *arguments: str, **environment: str) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, **environment},
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, folder)
