"""Time to the first attempt, from drain to verdict, and 200 payments a second on this machine.

Method: `payresil run` as a user starts it, in a process of its own; the clock starts before the
process does. Times of attempts and phases come from the run's tables (CLOCK_MONOTONIC is one clock
for every process of a machine). CPU is sampled from /proc for the whole tree, and divided by the
payments of the steady phase. Latency is from when an attempt was due; lateness is printed beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import CpuWatch
from benchmarks.record import table, write
from payresil.core.run import Run

_STARTUPS = 5
_RATE = 200
_STEADY_S = 20

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
        starts = [_start_and_end(folder, n) for n in range(_STARTUPS)]
        figures: dict[str, Any] = {"startups": starts, "sustained": _sustained(folder)}
    print(
        table(
            "from `payresil run` to the first attempt, from the end of the drain to the verdict",
            ("run", "first attempt s (bound 5)", "drain to verdict s (bound 3)"),
            [(n, s["first_attempt_s"], s["drain_to_verdict_s"]) for n, s in enumerate(starts, 1)],
        )
    )
    sustained = figures["sustained"]
    print(
        table(
            f"{_RATE} payments/s for {_STEADY_S} s, the whole system and its customers on this machine",
            ("figure", "value"),
            [(key, value) for key, value in sustained.items() if key != "cpu_ms_per_payment"],
        )
    )
    print(
        table(
            "CPU per payment by part",
            ("part", "ms"),
            sorted(sustained["cpu_ms_per_payment"].items(), key=lambda item: -item[1]),
        )
    )
    print(write("whole_run", __doc__ or "", figures))


def _run(scenario: Path, out: Path) -> tuple[Run, int, int, dict[str, float]]:
    """One run: its record, when it was started and ended (monotonic ns), CPU by part."""
    started_ns = time.monotonic_ns()
    process = subprocess.Popen(
        [sys.executable, "-m", "payresil.cli", "run", str(scenario), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watch = CpuWatch(process.pid)
    stdout, stderr = process.communicate(timeout=300)
    watch.close()
    if process.returncode not in (0, 1, 3):
        raise SystemExit(f"the run broke with {process.returncode}:\n{stdout}\n{stderr}")
    run = Run.open(next(out.glob("*/latest")).resolve())
    return run, started_ns, time.monotonic_ns(), watch.since()


def _start_and_end(folder: Path, n: int) -> dict[str, float]:
    scenario = folder / "short.yaml"
    scenario.write_text(_SHORT)
    run, started_ns, _, _ = _run(scenario, folder / f"short-{n}")
    zero_ns = int(run.meta["zero_mono_ns"])
    first_ns = run.one("select min(sent_ns) from attempts")
    drained_ns = run.one("select end_ns from phases where phase = 'drain'")
    verdict_ns = (run.folder / "verdict.json").stat().st_mtime_ns if run.folder else 0
    drained_wall_ns = int(run.meta["zero_wall_us"]) * 1000 + drained_ns
    return {
        "first_attempt_s": round((zero_ns + first_ns - started_ns) / 1e9, 2),
        "drain_to_verdict_s": round((verdict_ns - drained_wall_ns) / 1e9, 2),
    }


def _sustained(folder: Path) -> dict[str, Any]:
    scenario = folder / "steady.yaml"
    scenario.write_text(_STEADY)
    run, _, _, cpu = _run(scenario, folder / "steady")
    payments = run.one("select count(*) from intents where source = 'load'")
    steady = "from intents where source = 'load' and due_ns >= 0 and outcome = 'ok'"
    latency = run.rows(f"select quantile_disc((ok_ns - due_ns) / 1e6, [0.5, 0.95, 0.99]) {steady}")[
        0
    ][0]
    late = run.rows(f"select quantile_disc((sent_ns - due_ns) / 1e6, [0.5, 0.99]) {steady}")[0][0]
    return {
        "payments": payments,
        "ok": run.one("select count(*) from intents where source='load' and outcome='ok'"),
        "payments_per_s": round(run.one(f"select count(*) {steady}") / _STEADY_S, 1),
        "latency_ms_p50": round(latency[0], 1),
        "latency_ms_p95": round(latency[1], 1),
        "latency_ms_p99": round(latency[2], 1),
        "lateness_ms_p50": round(late[0], 2),
        "lateness_ms_p99": round(late[1], 2),
        "cpu_ms_per_payment": {
            part: round(seconds * 1000 / payments, 2) for part, seconds in cpu.items()
        },
    }


if __name__ == "__main__":
    main()
