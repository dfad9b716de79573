"""How soon two regions are up, and how soon an idle one takes over.

    python -m benchmarks.failover [--repeats 5]

Method: a scenario with one payment a second and the prober, so that the system is idle; at 5 s
region a dies, operators fail over to region b. `payresil run` runs it as a user would. The topology
is up when the warm-up begins. The failover is measured from the end of the step detect to the end
of the step switch, when region b serves: it contains the step fence, which waits for the lease of
region a, 2 s at most, to run out. The first payment that region b answers, seen from the fault, is
what a customer would notice.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import table, write
from payresil.core.run import Run

_SCENARIO = """\
name: idle-failover
claim: An idle region is taken over soon.
system: refpay-two-regions
seed: 7
workload: {rate: 1/s, duration: 16s, journeys: {checkout: 1}}
faults:
  - {at: 5s, duration: 8s, region_loss: {region: a}}
remedies:
  - {at: 0s, failover: {to: b}}
checks:
  - recovery: {rto: 15s}
"""
_UP_S, _FAILOVER_S, _LEASE_S = 8.0, 5.0, 2.0
_LONGEST_S = 180

_UP = "select (end_ns - start_ns) / 1e9 from phases where phase = 'up'"
_STEP = "select start_ns, end_ns from remedy_steps where step = ? and not failed"
_LOST = "select start_ns from fault_windows where fault = 'region_loss'"
_FIRST = """
select min(done_ns) from attempts where region = 'b' and outcome = 'ok' and done_ns > ?
"""


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, print, and keep the figures; exit status 1 when a bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args(arguments)
    names = (
        f"up s (bound {_UP_S:g})",
        "detected s after the loss",
        "of it: waiting for the lease s",
        f"served s after detection (bound {_FAILOVER_S:g} and the lease)",
        "first payment s after the loss",
    )
    rows = [_measured() for _ in range(asked.repeats)]
    print(table("Two regions, idle", names, rows))
    print(
        write(
            "failover",
            __doc__ or "",
            {"runs": [dict(zip(names, row, strict=True)) for row in rows]},
        )
    )
    if any(row[0] > _UP_S or row[3] > _FAILOVER_S + _LEASE_S for row in rows):
        sys.exit(1)


def _measured() -> tuple[float, ...]:
    with tempfile.TemporaryDirectory(prefix="payresil-failover-") as out:
        file = Path(out) / "idle-failover.yaml"
        file.write_text(_SCENARIO)
        command = [sys.executable, "-m", "payresil.cli", "run", str(file), "--out", out]
        subprocess.run(command, capture_output=True, timeout=_LONGEST_S, check=False)
        run = Run.open(next(Path(out).glob("*/latest")))
        lost_ns = run.one(_LOST)
        ((_, detected_ns),) = run.rows(_STEP, ["detect"])
        ((fence_ns, fenced_ns),) = run.rows(_STEP, ["fence"])
        ((_, switched_ns),) = run.rows(_STEP, ["switch"])
        first_ns = run.one(_FIRST, [lost_ns])
        found = (
            run.one(_UP),
            (detected_ns - lost_ns) / 1e9,
            (fenced_ns - fence_ns) / 1e9,
            (switched_ns - detected_ns) / 1e9,
            (first_ns - lost_ns) / 1e9,
        )
        return tuple(round(value, 3) for value in found)


if __name__ == "__main__":
    main(sys.argv[1:])
