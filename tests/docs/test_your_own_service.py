"""The guide, followed literally, ends in what it shows (with ``-m guide``: its runs are real)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from payresil.core.system import Api, BooksFrom, Job, Operation, ServiceStart, Settle, System
from payresil.engine.attach_file import load_attachment
from payresil.engine.system_file import load_system
from payresil.engine.system_rules import REQUEST_PLACEHOLDERS, START_PLACEHOLDERS

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "your-own-service.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Shown:
    """A command of the guide, the beginnings of lines it shows of the output, and the status."""

    command: str
    lines: tuple[str, ...]
    status: int


def shown() -> list[Shown]:
    found = []
    for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines, status = part.strip().splitlines()
            found.append(Shown(command, tuple(lines), int(status.removeprefix("exit "))))
    return found


@pytest.mark.guide
@pytest.mark.parametrize("step", shown(), ids=lambda step: step.command.removeprefix("payresil "))
def test_each_command_does_what_the_guide_shows(step: Shown, tmp_path: Path) -> None:
    program, *words = shlex.split(step.command)
    assert program == "payresil"
    out = ["--out", str(tmp_path)] if words[0] == "run" else []
    done = subprocess.run(
        [sys.executable, "-m", "payresil.cli", *words, *out],
        capture_output=True, text=True, timeout=200, check=False, cwd=ROOT,
        env={**os.environ, "FIXED": "whatever the caller has set"},
    )  # fmt: skip
    assert done.returncode == step.status, done.stdout + done.stderr
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    for line in step.lines:
        assert any(each.startswith(line) for each in said), f"{line!r} is not in:\n{done.stdout}"


def test_the_guide_catches_both_flaws_and_passes_both_mended() -> None:
    runs = [step for step in shown() if step.command.startswith("payresil run")]
    assert sorted(step.status for step in runs) == [0, 0, 0, 0, 1, 1]
    assert all(("--flaw" in step.command) == (step.status == 1) for step in runs)


def test_the_attach_file_shown_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = re.findall(r"```yaml\n(# staging.yaml.*?)```", GUIDE, re.DOTALL)
    for name in ("STAGING_TOKEN", "STAGING_ADMIN", "PSP_TOKEN"):
        monkeypatch.setenv(name, "a-secret")
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "staging.yaml").write_text(text, encoding="utf-8")
    wallet = load_system(ROOT / "examples" / "node-wallet" / "system.yaml")
    attached = load_attachment(tmp_path / "staging.yaml", wallet)
    assert attached.file.capabilities == {"links", "psp_rules"}


def test_every_placeholder_and_every_key_is_named() -> None:
    for name in {*START_PLACEHOLDERS, *REQUEST_PLACEHOLDERS}:
        assert f"`{{{name}}}`" in GUIDE, name
    for shape in (System, ServiceStart, Api, Settle, Job, BooksFrom, Operation):
        for name in shape.__dataclass_fields__:
            if name not in UNSHOWN:
                assert re.search(rf"\b{name}\b", GUIDE), f"{shape.__name__}.{name}"


#: Keys that the comments of `payresil init` show, and those of the reference service alone.
UNSHOWN = {"replay_header", "region_header", "instance_header", "flaw_variable", "list_flaws",
           "zero", "body", "state"}  # fmt: skip


@pytest.mark.parametrize("file", re.findall(r"\]\((?!https?:)([^)#]+)\)", GUIDE))
def test_every_link_leads_somewhere(file: str) -> None:
    assert (ROOT / "docs" / file).exists()
