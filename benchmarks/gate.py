"""How often the gate set passes on the flawless service, and how long a set takes.

    python -m benchmarks.gate [--repeats 20] [--streams 2] [--backend docker] [--keep FILE]

Runs `payresil run scenarios/gate` again and again, as a user would, in so many streams at the same
time, and reads the verdict of every run from its folder. A run counts as passed only if its verdict
is pass: no finding, no doubt, every fault shown to have bitten. Anything else is listed with what
it said. The seed is another one in each repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.record import write
from payresil.core.results import Verdict
from payresil.core.verdict_file import VERDICT_FILE, VerdictError, from_json

GATE = Path("scenarios/gate")
#: A set takes five minutes; one that takes this long hangs.
_LONGEST_S = 1800


@dataclass(frozen=True, slots=True)
class Repeat:
    """One run of the whole set."""

    seed: int
    seconds: float
    exit_status: int
    verdicts: dict[str, Verdict | None]  # by scenario; None: it left none
    versions: dict[str, Any]


def repeat(seed: int, backend: str) -> Repeat:
    """Run the set once."""
    with tempfile.TemporaryDirectory(prefix="payresil-gate-") as out:
        command = [sys.executable, "-m", "payresil.cli", "run", str(GATE)]
        began = time.monotonic()
        done = subprocess.run(
            [*command, "--seed", str(seed), "--backend", backend, "--out", out],
            capture_output=True, text=True, timeout=_LONGEST_S, check=False,
        )  # fmt: skip
        took_s = time.monotonic() - began
        names = [path.stem for path in sorted(GATE.glob("*.yaml"))]
        verdicts = {name: _verdict(Path(out) / name / "latest") for name in names}
        versions = next(_versions(Path(out)), {})
    return Repeat(seed, took_s, done.returncode, verdicts, versions)


def _verdict(folder: Path) -> Verdict | None:
    try:
        return from_json((folder / VERDICT_FILE).read_text(encoding="utf-8"))
    except (OSError, VerdictError):
        return None


def _versions(out: Path) -> Iterator[dict[str, Any]]:
    for path in out.glob("*/latest/run.json"):
        content = json.loads(path.read_text())
        yield content["versions"] | {"kernel": content["machine"]["kernel"], "commit": _commit()}


def _commit() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main(arguments: Sequence[str] = ()) -> None:
    """Repeat, print, and keep the figures; exit status 1 when a run did not pass."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--streams", type=int, default=2, help="sets at the same time")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--backend", default="process", choices=("process", "docker"))
    parser.add_argument("--keep", type=Path, help="write the matrix as Markdown")
    asked = parser.parse_args(arguments)
    seeds = range(asked.first_seed, asked.first_seed + asked.repeats)
    repeats: list[Repeat] = []
    with ThreadPoolExecutor(asked.streams) as pool:
        for done in pool.map(repeat, seeds, [asked.backend] * asked.repeats):
            repeats.append(done)
            print(f"seed {done.seed}: exit {done.exit_status}, {done.seconds:.0f} s, "
                  f"{_counted(done)}", flush=True)  # fmt: skip
    text = _markdown(repeats, asked.streams, asked.backend)
    print(text)
    if asked.keep:
        asked.keep.write_text(text, encoding="utf-8")
    figures = {
        "repeats": [_figures(each) for each in repeats],
        "streams": asked.streams,
        "backend": asked.backend,
    }
    print(write("gate", __doc__ or "", figures))
    if any(_word(verdict) != "pass" for each in repeats for verdict in each.verdicts.values()):
        sys.exit(1)


def _word(verdict: Verdict | None) -> str:
    if verdict is None:
        return "no verdict"
    if verdict.broken:
        return "broken"
    return "interrupted" if verdict.interrupted else verdict.outcome.value


def _counted(done: Repeat) -> str:
    counts = Counter(_word(verdict) for verdict in done.verdicts.values())
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))


def _figures(done: Repeat) -> dict[str, Any]:
    words = {name: _word(verdict) for name, verdict in done.verdicts.items()}
    return {"seed": done.seed, "seconds": round(done.seconds, 1), "verdicts": words}


def _markdown(repeats: Sequence[Repeat], streams: int, backend: str) -> str:
    names = sorted(repeats[0].verdicts)
    passed = sum(_word(v) == "pass" for each in repeats for v in each.verdicts.values())
    total = sum(len(each.verdicts) for each in repeats)
    seconds = sorted(each.seconds for each in repeats)
    versions = ", ".join(f"{k} {v}" for k, v in repeats[0].versions.items())
    lines = [
        "# The gate set, again and again",
        "",
        f"{total} runs of the service without a known flaw, {time.strftime('%Y-%m-%d')} (UTC): "
        f"**{passed} passed, {total - passed} did not.**",
        "",
        f"Made by `python -m benchmarks.gate --repeats {len(repeats)} --streams {streams} "
        f"--backend {backend}` on {os.cpu_count()} cores: {len(repeats)} sets with a "
        f"seed of their own each, {streams} at the same time. A set took {seconds[0]:.0f} s to "
        f"{seconds[-1]:.0f} s, "
        f"{seconds[len(seconds) // 2]:.0f} s in the middle. {versions}.",
        "",
        f"| seed | {' | '.join(names)} | s |",
        f"|--:|{'---|' * len(names)}--:|",
        *(
            f"| {each.seed} | {' | '.join(_word(each.verdicts[name]) for name in names)} "
            f"| {each.seconds:.0f} |"
            for each in repeats
        ),
    ]
    told = [line for each in repeats for line in _not_passed(each)]
    return "\n".join([*lines, *(["", "What did not pass:", "", *told] if told else [])]) + "\n"


def _not_passed(done: Repeat) -> Iterator[str]:
    for name, verdict in done.verdicts.items():
        if _word(verdict) == "pass":
            continue
        results = (*verdict.checks, *verdict.faults) if verdict else ()
        said = [f.message for each in results for f in each.findings[:2]]
        said += [d.message for each in results for d in each.doubts[:2]]
        if verdict is not None and verdict.broken:
            said.insert(0, verdict.broken)
        yield f"- seed {done.seed}, {name}: {_word(verdict)}: {'; '.join(said) or 'nothing said'}"


if __name__ == "__main__":
    main(sys.argv[1:])
