"""How long judging takes, how much memory it needs, and whether it finds what was planted.

    python -m benchmarks.judging [--attempts 10000 1000000] [--planted 20]

Writes a run folder as a run of so many attempts would leave it (sealed tables of client, PSP and
service, nine rows an attempt, and 50 MB of logs), with a known number of violations of each kind.
A fresh process then opens the folder, judges it with every checker and writes the verdict as JSON;
its wall time, CPU time and peak resident set are what is printed, and beside them half of the CPU
time: two idle cores need at least that long, whatever else the machine does now. They count only if
every planted violation was found and nothing else.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.judging_history import CHECKS, plant_and_write
from benchmarks.record import table, write
from payresil.core.run import Run
from payresil.core.scenario import CheckStep, Scenario, SystemChoice, Workload
from payresil.core.values import Duration, Rate, Ratio, Share
from payresil.core.verdict_file import to_json
from payresil.engine.judge import judge

PARAMETERS: dict[str, dict[str, Any]] = {
    "reconciliation": {"within": Duration(20)},
    "availability": {"steady": Share(0.99), "recovering": Share(0.99)},
    "latency": {"p99": Duration(0.15)},
    "recovery": {"rto": Duration(1000)},
    "convergence": {"within": Duration(20)},
    "amplification": {"mean": Ratio(1.5), "most": Ratio(4)},
    "approval_rate": {"steady": Share(0.95)},
    "structured_logs": {"traceable": Share(0.001)},  # its logs are of 50 MB however long it was
}


def judge_folder(folder: Path) -> dict[str, Any]:
    """Judge it in this process; what it took and what was found."""
    scenario = Scenario(
        "bench",
        "Judging is fast enough.",
        SystemChoice("refpay"),
        1,
        Workload(Rate(2000), Duration(1), {"checkout": 1}),
        (),
        tuple(CheckStep(name, PARAMETERS.get(name, {})) for name in CHECKS),
    )
    started = time.perf_counter()
    run = Run.open(folder, direct=True)
    opened = time.perf_counter()
    verdict = judge(run, scenario)
    text = to_json(verdict)
    ended = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "open_s": round(opened - started, 3),
        "judge_s": round(ended - opened, 3),
        "total_s": round(ended - started, 3),
        "cpu_s": round(cpu_s := used.ru_utime + used.ru_stime, 3),
        "least_on_two_cores_s": round(cpu_s / 2, 3),
        "peak_rss_mb": _peak_rss_mb(),
        "verdict_bytes": len(text),
        "checks": {
            check.name: {
                "seconds": round(check.seconds, 3),
                "found": check.findings_total,
                "doubts": [doubt.message for doubt in check.doubts],
            }
            for check in verdict.checks
        },
    }


def _peak_rss_mb() -> int:
    """The kernel's high-water mark of this program.

    Not that of `getrusage`, which begins with what the process had in memory that it was forked
    from: here the one that made the history.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) // 1024


def measure(attempts: int, planted: int) -> dict[str, Any]:
    """Write a run folder of so many attempts and judge it in a fresh process."""
    with tempfile.TemporaryDirectory(prefix="payresil-bench-") as name:
        folder = Path(name)
        expected, rows = plant_and_write(folder, attempts, planted)
        command = [sys.executable, "-m", "benchmarks.judging", "--folder", name]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    took: dict[str, Any] = json.loads(answer)
    for check, count in expected.items():
        took["checks"][check]["planted"] = count
    return {"attempts": attempts, "rows": rows, "folder_mb": size // 10**6, **took}


def wrong(report: dict[str, Any]) -> list[str]:
    """What was found and not planted, planted and not found, or left undecided."""
    return [
        f"{report['attempts']:,} attempts: {name} planted {check.get('planted', 0)}, "
        f"found {check['found']}" + "".join(f"; {doubt}" for doubt in check["doubts"])
        for name, check in report["checks"].items()
        if check["found"] != check.get("planted", 0) or check["doubts"]
    ]


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, print, and keep the figures; exit status 1 when a violation was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judging")
    parser.add_argument("--attempts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--planted", type=int, default=20, help="violations of each kind")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.folder:
        json.dump(judge_folder(asked.folder), sys.stdout)
        return
    reports = [measure(attempts, asked.planted) for attempts in asked.attempts]
    print(_runs(reports))
    print(_checks(reports[-1]))
    misses = [line for report in reports for line in wrong(report)]
    print(write("judging", __doc__ or "", {"runs": reports, "wrong": misses}))
    if misses:
        sys.exit("\n".join(misses))


def _runs(reports: Sequence[dict[str, Any]]) -> str:
    names = (
        "attempts",
        "rows",
        "folder_mb",
        "open_s",
        "judge_s",
        "total_s",
        "cpu_s",
        "least_on_two_cores_s",
        "peak_rss_mb",
    )
    rows = [[f"{report[name]:,}" for name in names] for report in reports]
    return table("Judging a run folder", names, rows)


def _checks(report: dict[str, Any]) -> str:
    rows = [
        (name, f"{check['seconds']:.3f}", check.get("planted", 0), check["found"])
        for name, check in report["checks"].items()
    ]
    title = f"By check, {report['attempts']:,} attempts"
    return table(title, ("check", "seconds", "planted", "found"), rows)


if __name__ == "__main__":
    main(sys.argv[1:])
