"""A scenario run in a process of its own, for a caller that cannot be the harness.

pytest's process belongs to its plug-ins, of which some patch what the harness stands on; and a run
that Ctrl-C ends must heal first, whatever its caller does then.
"""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from payresil.core.results import Exit, Verdict

#: So much of the end of what a process said is kept.
_SAID = 4000


class NoVerdict(Exception):
    """A run that left nothing to go by; says what it said."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line of `payresil run` may say beside the scenario."""

    flaw: str | None = None
    seed: int | None = None
    backend: str | None = None
    at: str | None = None
    prometheus: str | None = None
    imports: tuple[str, ...] = ()

    def before(self) -> list[str]:
        """The words in front of the command."""
        return [word for file in self.imports for word in ("--import", file)]

    def behind(self) -> list[str]:
        """The words behind it."""
        named = {"--flaw": self.flaw, "--seed": self.seed, "--backend": self.backend,
                 "--at": self.at, "--prometheus": self.prometheus}  # fmt: skip
        return [word for name, value in named.items() if value is not None
                for word in (name, str(value))]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Left:
    """What the process left: its exit status, its run folder, the end of what it said."""

    status: int
    folder: str | None
    said: str

    def verdict(self) -> Verdict:
        """The verdict in the run folder.

        Raises:
            NoVerdict: when there is none, or one that the exit status contradicts.
        """
        from payresil.core.verdict_file import VERDICT_FILE, VerdictError, from_json

        if self.folder is None:
            raise NoVerdict(self.said.strip() or f"payresil ended with exit status {self.status}")
        try:
            verdict = from_json((Path(self.folder) / VERDICT_FILE).read_text(encoding="utf-8"))
        except (OSError, UnicodeError, VerdictError) as error:
            raise NoVerdict(
                f"payresil ended with exit status {self.status} and left no verdict: {error}\n"
                f"{self.said.strip()}"
            ) from error
        if verdict.exit_status != self.status:
            raise NoVerdict(
                f"payresil ended with exit status {self.status}, and its verdict says "
                f"{verdict.exit_status}: {self.folder}"
            )
        return verdict

    def meta(self) -> dict[str, Any]:
        """What `run.json` says; nothing where it cannot be read."""
        try:
            meta = json.loads((Path(self.folder or "") / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return meta if isinstance(meta, dict) else {}


class RunsFolder:
    """Where the runs of one caller go; several processes may share it.

    One scenario runs at a time, whoever asks: two would compete for the machine, and objectives
    would be missed for it.
    """

    def __init__(self, folder: Path, cwd: Path) -> None:
        """`folder` is made on first use; commands are started in `cwd`."""
        self.folder = folder
        self._cwd = cwd

    def run_once(self, scenario: Path, choices: Choices) -> Left:
        """Run a scenario, or tell what it left when another process, or this, ran it already."""
        with self._alone():
            note = self.folder / ".ended" / f"{_key(scenario, choices)}.json"
            if note.exists():
                return Left(**json.loads(note.read_text(encoding="utf-8")))
            note.parent.mkdir(exist_ok=True)
            left = Left(Exit.INTERRUPTED, None, "the run was interrupted")  # unless it ends
            try:
                left = self._run(scenario, choices)
            finally:
                note.write_text(json.dumps(asdict(left)), encoding="utf-8")
            return left

    def run(self, scenario: Path, choices: Choices) -> Left:
        """Run a scenario."""
        with self._alone():
            return self._run(scenario, choices)

    def judge(self, folder: Path, choices: Choices) -> Left:
        """Judge a recorded run again."""
        with self._alone():
            status, said = self._command([*choices.before(), "check", str(folder)])
        return Left(status, None if status == Exit.USAGE else str(folder), said)

    def _run(self, scenario: Path, choices: Choices) -> Left:
        before = self._run_folders()
        status, said = self._command(
            [*choices.before(), "run", self._called(scenario), *choices.behind(),
             "--out", self._called(self.folder)]
        )  # fmt: skip
        new = self._run_folders() - before
        return Left(status, str(new.pop()) if new else None, said)

    def _run_folders(self) -> set[Path]:
        return {path for path in self.folder.glob("*/*/") if not path.is_symlink()}

    def _called(self, path: Path) -> str:
        """As it is called from where commands start: the reports name it so."""
        return str(path.relative_to(self._cwd) if path.is_relative_to(self._cwd) else path)

    def _command(self, words: Sequence[str]) -> tuple[int, str]:
        """Exit status of `payresil …`, and what it said besides its report."""
        output = self.folder / "stderr.txt"
        with output.open("wb") as stderr:
            # A session of its own: Ctrl-C reaches it through us, once.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "payresil.cli", *words],
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            status = _status_of(process)
        return status, output.read_text(encoding="utf-8", errors="replace")[-_SAID:]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, however we end
            yield


def _status_of(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end. What interrupts us interrupts the process, and is raised after its end."""
    interruption: BaseException | None = None
    with _sigterm_interrupts():
        while True:
            try:
                status = process.wait()
                break
            except BaseException as error:
                interruption = error
                process.send_signal(signal.SIGINT)
    if interruption is not None:
        raise interruption
    return status


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """As CI cancels a job: heal first here, too."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the caller's
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _key(scenario: Path, choices: Choices) -> str:
    return sha256(repr((str(scenario.resolve()), choices)).encode()).hexdigest()[:16]
