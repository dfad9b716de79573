"""CPU time by process of a run that is under way."""

from __future__ import annotations

import threading
from collections import defaultdict

import psutil

#: What stands in a command line → the part it belongs to.
PARTS = {
    "payresil.toxiproxy": "toxiproxy",
    "payresil.refpay": "service",
    "stub_psp": "psp",
    "workloads.generator": "locust",
    "workloads.prober": "prober",
    "caddy": "caddy",
    "postgres": "postgresql",
    "supervisor": "supervisor",
    "payresil": "harness",
}


def part_of(command: str) -> str:
    """The part a process belongs to, by its command line."""
    return next((part for mark, part in PARTS.items() if mark in command), "other")


class CpuWatch:
    """Samples the CPU seconds of a process tree twice a second, by part.

    `mark` remembers a moment; `since` is the CPU used from it to the last sample. Processes that
    ended count with what they had used when last seen.
    """

    def __init__(self, root: int, period_s: float = 0.5) -> None:
        self._root = psutil.Process(root)
        self._seen: dict[int, tuple[str, float]] = {}
        self._marked: dict[int, float] = {}
        self._stop = threading.Event()
        self._period_s = period_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            self.sample()

    def sample(self) -> None:
        """Look at every process of the tree now."""
        try:
            tree = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in tree:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    part = part_of(" ".join(process.cmdline()) or process.name())
            except psutil.Error:
                continue  # it ended while we looked
            self._seen[process.pid] = (part, times.user + times.system)

    def mark(self) -> None:
        """CPU is counted from here on."""
        self.sample()
        self._marked = {pid: seconds for pid, (_, seconds) in self._seen.items()}

    def since(self) -> dict[str, float]:
        """CPU seconds by part since the mark."""
        used: dict[str, float] = defaultdict(float)
        for pid, (part, seconds) in self._seen.items():
            used[part] += seconds - self._marked.get(pid, 0.0)
        return dict(used)

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join()
