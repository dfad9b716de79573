"""Which harness made something, and whether that one is gone: what it left may be removed then."""

from __future__ import annotations

import os
import platform
from dataclasses import astuple, dataclass
from pathlib import Path

#: In the scratch folder of a run; says which harness it belongs to.
NOTE = "harness"


@dataclass(frozen=True, slots=True)
class Harness:
    """A process that runs a scenario, recognisable also after its number was given to another."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    start: int  # clock ticks since boot

    @classmethod
    def this(cls) -> Harness:
        """The present process."""
        return cls(*_machine(), os.getpid(), _start_of(os.getpid()) or 0)

    @classmethod
    def parse(cls, text: str) -> Harness:
        """Read what `str` wrote.

        Raises:
            ValueError: when it is something else.
        """
        host, boot, pid_namespace, pid, start = text.split(" ")
        return cls(host, boot, pid_namespace, int(pid), int(start))

    @property
    def is_gone(self) -> bool:
        """Whether it certainly runs no more. Of another machine or container nobody can tell."""
        host, boot, pid_namespace = _machine()
        if self.host != host:
            return False
        if self.boot != boot:
            return True
        return self.pid_namespace == pid_namespace and _start_of(self.pid) != self.start

    def __str__(self) -> str:
        return " ".join(map(str, astuple(self)))


def _machine() -> tuple[str, str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return platform.node() or "localhost", boot, os.readlink("/proc/self/ns/pid")


def _start_of(pid: int) -> int | None:
    """When a process was started; None when there is none of this number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(") ")[2].split()[19])
