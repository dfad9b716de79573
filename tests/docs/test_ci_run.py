"""What CI runs, in which order, and what it does where no Docker engine answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Programs of the machine that the script may use; everything else is a stand-in.
REAL = ("bash", "dirname", "seq", "mktemp", "tail", "touch", "cat", "rm")
TARGETS = ["lint", "zoo", "programs-test", "guide", "docker-test", "test"]
#: A stand-in for an engine: it answers while its file is there.
DOCKERD = """
trap 'rm "$STAGE/engine"; exit 0' TERM
touch "$STAGE/engine"
while :; do sleep 0.1; done
"""


@dataclass(frozen=True)
class Stage:
    """A machine with nothing on it but what is put there."""

    folder: Path

    def put(self, program: str, does: str = "exit 0") -> None:
        path = self.folder / "bin" / program
        path.write_text(f'#!/usr/bin/env bash\necho "{program} $*" >>"$STAGE/called"\n{does}\n')
        path.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        path = str(self.folder / "bin")
        return subprocess.run(
            [str(ROOT / ".ci" / "run")],
            env={"PATH": path, "STAGE": str(self.folder), "TMPDIR": str(self.folder)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def called(self, program: str) -> list[str]:
        lines = (self.folder / "called").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == program]

    @property
    def engine_runs(self) -> bool:
        return (self.folder / "engine").exists()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Everything is there, and an engine answers."""
    made = Stage(tmp_path)
    (tmp_path / "bin").mkdir()
    for program in (*REAL, "env", "sleep"):
        real = shutil.which(program)
        assert real is not None
        os.symlink(real, tmp_path / "bin" / program)
    for program in ("make", "prometheus", "docker-compose", "debootstrap", "apt-get", "dockerd"):
        made.put(program)
    made.put("id", "echo 0")
    made.put("node", "echo 20")
    made.put("docker", '[ -e "$STAGE/engine" ]')
    (tmp_path / "engine").touch()
    return made


def test_everything_runs_and_the_tests_are_last(stage: Stage) -> None:
    done = stage.run()
    assert done.returncode == 0, done.stderr
    assert stage.called("make") == TARGETS
    assert "apt-get" not in (stage.folder / "called").read_text()
    assert "dockerd" not in (stage.folder / "called").read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_what_fails_ends_it(stage: Stage, target: str) -> None:
    stage.put("make", f'[ "$1" != {target} ] || exit 7')
    assert stage.run().returncode == 7
    assert stage.called("make")[-1] == target


def test_an_engine_is_started_where_none_answers_and_ended_in_the_end(stage: Stage) -> None:
    (stage.folder / "engine").unlink()
    stage.put("dockerd", DOCKERD)
    done = stage.run()
    assert done.returncode == 0, done.stderr
    assert stage.called("make") == TARGETS
    assert not stage.engine_runs


def test_a_suite_that_fails_on_an_engine_of_its_own_fails_and_ends_it(stage: Stage) -> None:
    (stage.folder / "engine").unlink()
    stage.put("dockerd", DOCKERD)
    stage.put("make", '[ "$1" != docker-test ] || exit 7')
    assert stage.run().returncode == 7
    assert not stage.engine_runs


def test_where_no_engine_can_be_started_that_is_said_and_the_rest_runs(stage: Stage) -> None:
    (stage.folder / "engine").unlink()
    stage.put("dockerd", "echo cgroups are not mounted; exit 1")
    done = stage.run()
    assert done.returncode == 0
    assert "cgroups are not mounted" in done.stderr
    assert "NOT RUN: make docker-test" in done.stderr
    assert stage.called("make") == [target for target in TARGETS if target != "docker-test"]


def test_what_is_missing_comes_from_debian(stage: Stage) -> None:
    for program in ("prometheus", "docker-compose", "debootstrap"):
        (stage.folder / "bin" / program).unlink()
    assert stage.run().returncode == 0
    first, *installs = stage.called("apt-get")
    assert first.startswith("update")
    assert [line.split()[-1] for line in installs] == [
        "prometheus",
        "docker-compose",
        "debootstrap",
    ]


@pytest.mark.parametrize("node", ["echo 18", "exit 127"])
def test_an_old_node_is_said_before_anything_runs(stage: Stage, node: str) -> None:
    stage.put("node", node)
    done = stage.run()
    assert done.returncode == 1
    assert "Node 20 or newer is needed" in done.stderr
    assert not stage.called("make")


def test_an_engine_that_cannot_be_installed_is_no_reason_to_leave_its_tests_out(
    stage: Stage,
) -> None:
    (stage.folder / "engine").unlink()
    (stage.folder / "bin" / "dockerd").unlink()
    stage.put("apt-get", '[ "$1" = update ]')
    done = stage.run()
    assert done.returncode == 1
    assert "cannot install docker.io" in done.stderr


def test_who_may_not_install_is_told_what_is_missing(stage: Stage) -> None:
    (stage.folder / "bin" / "prometheus").unlink()
    stage.put("id", "echo 1000")
    done = stage.run()
    assert done.returncode == 1
    assert "only root can install it: prometheus" in done.stderr
