"""What is lost with a region, at random moments under load, and whether what is reported is true.

    python -m benchmarks.region_loss [--repeats 20] [--streams 1] [--keep FILE]

Each repeat runs `payresil run` on a scenario of its own, made from its seed: customers pay, at a
random moment region a is lost, operators fail over to region b. First with synchronous replication,
where region a dies, and nothing that was acknowledged may be lost. Then with asynchronous
replication to a standby that is behind by a random time, where region a is cut off with what was on
its way; what the check `data_loss` reports is held against a comparison of the two databases, made
here from plain rows: what the database of region a holds as paid in the end, when nobody has
brought it level, what the database of region b held when it was promoted, and what customers had
been told by then. Both must come to the same number, in every repeat.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.record import write
from payresil.core.run import Run
from payresil.core.verdict_file import VERDICT_FILE, VerdictError, from_json

_LONGEST_S = 300

_SCENARIO = """\
name: region-loss-{mode}-{seed}
claim: What is lost with a region is what is reported.
system: {{refpay-two-regions: {{replication: {mode}}}}}
seed: {seed}
workload: {{rate: 30/s, duration: {end}ms, journeys: {{checkout: 8, impatient: 2}}}}
faults:
{lag}  - {{at: {at}ms, duration: 6s, region_loss: {{region: a, how: {how}}}}}
remedies:
  - {{at: 0s, failover: {{to: b}}}}
checks:
  - idempotency
  - no_split_brain
  - data_loss: {{{objective}}}
"""
_LAG = (
    "  - {{at: 2s, duration: {duration}ms, replication_lag: {{standby: b/db, delay: {delay}ms}}}}\n"
)

#: When the promotion began, and so what counts as acknowledged before it.
_PROMOTED = """
select min(at_ns) from events
where kind = 'remedy_step' and what = 'begin' and detail like '%"promote"%'
"""
_TOLD = """
select distinct intent from attempts
where source <> 'audit' and operation = 'pay' and outcome = 'ok' and answer = 'succeeded'
  and done_ns < ?
"""
_HELD = (
    "select distinct intent from snapshots where moment = ? and node = ? and state = 'succeeded'"
)


@dataclass(frozen=True, slots=True)
class Loss:
    """One region that was lost."""

    seed: int
    mode: str
    at_s: float
    lag_s: float
    verdict: str
    acknowledged: int
    reported: int | None  # by the check; None where it did not say
    compared: int  # acknowledged, in the database of region a, not in the promoted one
    recovery_s: float | None  # from the fault to the end of the step switch
    versions: str

    @property
    def is_right(self) -> bool:
        """Whether what was reported is what was lost, and nothing was where nothing may be."""
        nothing = self.mode == "asynchronous" or self.compared == 0
        return self.reported == self.compared and nothing


def lose(mode: str, seed: int) -> Loss:
    """Run one scenario, and read what its folder holds."""
    draws = random.Random(f"{mode} {seed}")
    at_s, lag_s = draws.uniform(4.0, 8.0), draws.uniform(0.2, 2.0)
    with tempfile.TemporaryDirectory(prefix="payresil-loss-") as out:
        file = Path(out) / "scenario.yaml"
        file.write_text(_scenario(mode, seed, at_s, lag_s))
        command = [sys.executable, "-m", "payresil.cli", "run", str(file), "--out", out]
        subprocess.run(command, capture_output=True, timeout=_LONGEST_S, check=False)
        folder = next(Path(out).glob("*/latest"))
        return _read(folder, mode, seed, at_s, lag_s)


def _scenario(mode: str, seed: int, at_s: float, lag_s: float) -> str:
    at_ms = round(at_s * 1000)
    lag = _LAG.format(duration=at_ms + 4000, delay=round(lag_s * 1000))
    return _SCENARIO.format(
        mode=mode,
        seed=seed,
        at=at_ms,
        end=at_ms + 9000,
        how="dies" if mode == "synchronous" else "cut_off",
        lag=lag if mode == "asynchronous" else "",
        objective="rpo: 10s" if mode == "asynchronous" else "payments: 0",
    )


def _read(folder: Path, mode: str, seed: int, at_s: float, lag_s: float) -> Loss:
    run = Run.open(folder)
    promoted_ns = run.one(_PROMOTED)
    told = {intent for (intent,) in run.rows(_TOLD, [promoted_ns or 0])}
    there = {intent for (intent,) in run.rows(_HELD, ["end", "a/db"])}
    survived = {intent for (intent,) in run.rows(_HELD, ["promoted", "b/db"])}
    try:
        verdict = from_json((folder / VERDICT_FILE).read_text(encoding="utf-8"))
    except VerdictError as error:
        raise SystemExit(f"seed {seed}: {error}") from error
    measures = {m.name: m.value for check in verdict.checks for m in check.measures}
    reported = measures.get("data_loss")
    return Loss(
        seed,
        mode,
        round(at_s, 3),
        round(lag_s, 3) if mode == "asynchronous" else 0.0,
        "broken" if verdict.broken else verdict.outcome.value,
        len(told),
        None if reported is None else int(reported),
        len((told & there) - survived),
        _recovery_s(run),
        ", ".join(f"{name} {version}" for name, version in run.meta["versions"].items()),
    )


def _recovery_s(run: Run) -> float | None:
    took_ns = run.one(
        "select max(at_ns) filter (kind = 'remedy_step' and what = 'end' "
        "and detail like '%\"switch\"%') - min(at_ns) filter (kind = 'fault' and what = 'inject' "
        "and name = 'region_loss') from events"
    )
    return None if took_ns is None else round(took_ns / 1e9, 3)


def main(arguments: Sequence[str] = ()) -> None:
    """Repeat, print, and keep the figures; exit status 1 when anything was not as it was told."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.region_loss")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--streams", type=int, default=1, help="runs at the same time")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="write the table as Markdown")
    asked = parser.parse_args(arguments)
    seeds = range(asked.first_seed, asked.first_seed + asked.repeats)
    losses: list[Loss] = []
    with ThreadPoolExecutor(asked.streams) as pool:
        for mode in ("synchronous", "asynchronous"):
            for loss in pool.map(partial(lose, mode), seeds):
                losses.append(loss)
                print(_line(loss), flush=True)
    text = _markdown(losses)
    print(text)
    if asked.keep:
        asked.keep.write_text(text, encoding="utf-8")
    print(write("region_loss", __doc__ or "", {"losses": [_figures(loss) for loss in losses]}))
    if not all(loss.is_right for loss in losses):
        sys.exit(1)


def _figures(loss: Loss) -> dict[str, object]:
    return {name: getattr(loss, name) for name in Loss.__slots__}


def _line(loss: Loss) -> str:
    return (
        f"{loss.mode} {loss.seed}: {loss.verdict}, {loss.acknowledged} acknowledged, reported "
        f"{loss.reported}, compared {loss.compared}, {'right' if loss.is_right else 'WRONG'}"
    )


def _markdown(losses: Sequence[Loss]) -> str:
    right = sum(loss.is_right for loss in losses)
    lines = [
        "# Regions lost, again and again",
        "",
        f"{len(losses)} region losses at random moments under load, {time.strftime('%Y-%m-%d')} "
        f"(UTC): **{right} as reported, {len(losses) - right} not.** Made by `make rehearsal-soak` "
        f"(`benchmarks/region_loss.py` says how). {losses[0].versions}.",
        "",
        "| replication | seed | lost at, s | standby behind by, s | acknowledged before | lost, "
        "reported | lost, comparing the databases | switched after, s | verdict |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
        *(
            f"| {x.mode} | {x.seed} | {x.at_s} | {x.lag_s or ''} | {x.acknowledged} | "
            f"{x.reported} | {x.compared} | {x.recovery_s} | {x.verdict} |"
            for x in losses
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
