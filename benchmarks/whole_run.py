"""Time to the first attempt, from drain to verdict, and 200 payments a second on this machine.

Method: `payresil run` as a user starts it, in a process of its own; the clock starts before the
process does. Times of attempts and phases come from the run's tables (CLOCK_MONOTONIC is one clock
for every process of a machine). CPU is sampled from /proc for the whole tree over the steady phase,
and divided by its payments. Latency is from when an attempt was due; lateness is printed beside it,
and so are the machine's own hiccups: how late a thread that only sleeps 5 ms woke up, in a process
of its own. Where a hiccup is as long as the p99, the machine made the p99. The interpreter is
printed too: one built without profile-guided optimisation takes about a fifth more CPU.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.hiccups import HiccupMeter
from benchmarks.processes import CpuWatch
from benchmarks.record import table, write
from payresil.core.run import Run

_STARTUPS = 5
_RATE = 200
_STEADY_S = 20
_REPEATS = 5

_STEADY = f"""
name: bench-steady
claim: The flawless service keeps up.
system: refpay
seed: 1
workload: {{rate: {_RATE}/s, duration: {_STEADY_S}s, journeys: {{checkout: 1}}, warm_up: 5s}}
faults: []
checks:
  - idempotency
  - latency: {{p99: 150ms}}
"""

_SHORT = _STEADY.replace(f"{_RATE}/s", "20/s").replace(f"duration: {_STEADY_S}s", "duration: 3s")


def main() -> None:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = folder / "short.yaml"
        short.write_text(_SHORT)
        starts = [start_and_end(short, folder / f"short-{n}") for n in range(_STARTUPS)]
        rounds = [_sustained(folder, n) for n in range(_REPEATS)]
    print(
        table(
            "from `payresil run` to the first attempt, from the end of the drain to the verdict",
            ("run", "first attempt s (bound 5)", "drain to verdict s (bound 3)"),
            [(n, s["first_attempt_s"], s["drain_to_verdict_s"]) for n, s in enumerate(starts, 1)],
        )
    )
    print(
        table(
            f"{_RATE} payments/s for {_STEADY_S} s, the system and its customers on this machine "
            "(p99 bound 150 ms)",
            ("figure", *(f"round {n}" for n in range(1, _REPEATS + 1))),
            [(name, *(r[name] for r in rounds)) for name in rounds[0] if name != "cpu"],
        )
    )
    print(
        table(
            "CPU per payment by part, ms",
            ("part", *(f"round {n}" for n in range(1, _REPEATS + 1))),
            [(part, *(r["cpu"].get(part, 0.0) for r in rounds)) for part in rounds[0]["cpu"]],
        )
    )
    print(f"interpreter: Python {platform.python_version()}, {_build()}")
    figures = {"interpreter": _build(), "startups": starts, "sustained": rounds}
    print(write("whole_run", __doc__ or "", figures))


def _build() -> str:
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimised = "--enable-optimizations" in arguments
    return f"built {'with' if optimised else 'without'} profile-guided optimisation"


@dataclass(frozen=True)
class _Measured:
    run: Run
    started_ns: int
    cpu_s: dict[str, float]  # by part, from the start of the steady phase to the drain
    hiccup_ms: float  # the machine's worst, over the same time


def _measure(scenario: Path, out: Path, *options: str) -> _Measured:
    started_ns = time.monotonic_ns()
    command = [sys.executable, "-m", "payresil.cli", "run", str(scenario), "--out", str(out)]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    watch = CpuWatch(process.pid)
    used: dict[str, float] = {}
    meter: HiccupMeter | None = None
    hiccup_ms = 0.0
    said: list[str] = []
    for line in process.stderr or ():
        said.append(line)
        phase = line.split()[-1]
        if phase == "steady":
            watch.mark()
            meter = HiccupMeter()
        elif phase == "drain":
            watch.sample()
            used = watch.since()
            hiccup_ms = meter.stop() if meter else 0.0
    status = process.wait(timeout=60)
    watch.close()
    if status not in (0, 1, 3):
        raise SystemExit(f"the run broke with {status}:\n{''.join(said)}")
    return _Measured(Run.open(next(out.glob("*/latest")).resolve()), started_ns, used, hiccup_ms)


def start_and_end(scenario: Path, out: Path, *options: str) -> dict[str, float]:
    """Run it; seconds from the command to the first attempt, and from the drain to the verdict."""
    measured = _measure(scenario, out, *options)
    run, started_ns = measured.run, measured.started_ns
    zero_ns = int(run.meta["zero_mono_ns"])
    first_ns = run.one("select min(sent_ns) from attempts")
    drained_ns = run.one("select end_ns from phases where phase = 'drain'")
    verdict_ns = (run.folder / "verdict.json").stat().st_mtime_ns if run.folder else 0
    drained_wall_ns = int(run.meta["zero_wall_us"]) * 1000 + drained_ns
    return {
        "first_attempt_s": round((zero_ns + first_ns - started_ns) / 1e9, 2),
        "drain_to_verdict_s": round((verdict_ns - drained_wall_ns) / 1e9, 2),
    }


def _sustained(folder: Path, n: int = 0) -> dict[str, Any]:
    scenario = folder / "steady.yaml"
    scenario.write_text(_STEADY)
    measured = _measure(scenario, folder / f"steady-{n}")
    run = measured.run
    payments = run.one("select count(*) from intents where source = 'load' and due_ns >= 0")
    steady = "from intents where source = 'load' and due_ns >= 0 and outcome = 'ok'"
    latency = run.rows(f"select quantile_disc((ok_ns - due_ns) / 1e6, [0.5, 0.95, 0.99]) {steady}")[
        0
    ][0]
    late = run.rows(f"select quantile_disc((sent_ns - due_ns) / 1e6, [0.5, 0.99]) {steady}")[0][0]
    return {
        "payments": payments,
        "attempts": run.one("select count(*) from attempts where source = 'load' and due_ns >= 0"),
        "ok": run.one(
            "select count(*) from intents where source='load' and due_ns >= 0 and outcome='ok'"
        ),
        "payments_per_s": round(run.one(f"select count(*) {steady}") / _STEADY_S, 1),
        "latency_ms_p50": round(latency[0], 1),
        "latency_ms_p95": round(latency[1], 1),
        "latency_ms_p99": round(latency[2], 1),
        "lateness_ms_p50": round(late[0], 2),
        "lateness_ms_p99": round(late[1], 2),
        "machine_hiccup_ms_max": round(measured.hiccup_ms, 1),
        "cpu": {
            part: round(seconds * 1000 / payments, 2) for part, seconds in measured.cpu_s.items()
        },
    }


if __name__ == "__main__":
    main()
