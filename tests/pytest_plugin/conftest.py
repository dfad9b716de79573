"""A project of somebody's with scenarios in it, and pytest run there as they would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

_SCENARIO = """\
name: {name}
claim: A customer is charged once.
system: refpay
seed: 5
workload: {{rate: 50/s, duration: 30s, journeys: {{checkout: 1, impatient: 1}}}}
faults:
  - {{at: 10s, duration: 8s, psp_lost_answers: {{share: 30%}}}}
checks: {checks}
"""


@dataclass(frozen=True)
class Project:
    """A folder with a configuration of pytest of its own, in which runs are pretended."""

    folder: Path

    def scenario(self, name: str, checks: str = "[idempotency, durability]") -> Path:
        """Write a scenario; its name says how its runs end."""
        path = self.folder / "scenarios" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(_SCENARIO.format(name=name, checks=checks))
        return path

    def write(self, name: str, text: str) -> Path:
        """Write any file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def command(self, *arguments: str) -> list[str]:
        """The command line of pytest here."""
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]

    def pytest(self, *arguments: str) -> Done:
        """Run pytest to its end."""
        report = self.folder / "junit-of-pytest.xml"
        report.unlink(missing_ok=True)
        done = subprocess.run(
            self.command(f"--junitxml={report}", *arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "COLUMNS": "200"},
            check=False,
        )
        return Done(done.returncode, done.stdout + done.stderr, report)

    @property
    def runs(self) -> list[str]:
        """A line per run so far: name, seed, flaw."""
        path = self.folder / "runs.txt"
        return path.read_text().splitlines() if path.exists() else []


@dataclass(frozen=True)
class Done:
    """What pytest said."""

    status: int
    out: str
    report: Path

    @property
    def tests(self) -> dict[str, tuple[str, str]]:
        """By file and name of the test: how it ended, and what it said."""
        found = {}
        for case in ET.parse(self.report).getroot().iter("testcase"):
            inner = next(
                (case.find(tag) for tag in ("failure", "error", "skipped")
                 if case.find(tag) is not None), None
            )  # fmt: skip
            word = "passed" if inner is None else inner.tag
            file = (case.get("classname") or "").split(".")[1]
            said = "" if inner is None else inner.text or ""
            found[f"{file} {(case.get('name') or '').split(':')[0]}"] = (word, said)
        return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    return _project(tmp_path)


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One for tests that only read what it says."""
    return _project(tmp_path_factory.mktemp("project"))


def _project(folder: Path) -> Project:
    shutil.copy(Path(__file__).with_name("pretended_runs.py"), folder / "own.py")
    (folder / "pytest.ini").write_text("[pytest]\npayresil_import = own.py\n")
    return Project(folder)
