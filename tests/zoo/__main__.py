"""Flawed services must be caught, by the check that is named; the flawless one must pass.

    python -m tests.zoo [--only NAME …] [--out FOLDER] [--jobs N]

Every run is a real one, through the command line: a scenario of this project, shortened, with its
money checks. Exit status 1 when a flaw was missed, another check than the named one fired alone,
the flawless service set off an alarm, or a run could not be decided.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from payresil.core.verdict_file import VERDICT_FILE, VerdictError, from_json
from payresil.engine.scenario_file import dump_scenario, load_scenario
from tests.zoo.matrix import Row, matrix
from tests.zoo.shortened import shortened
from tests.zoo.specimens import FLAWED, FLAWLESS, Specimen

#: A shortened run takes 20 s; one that takes this long hangs.
_LONGEST_S = 180


def run(specimen: Specimen, out: Path) -> Row:
    """Run one specimen to its verdict."""
    folder = out / specimen.name.strip("()") / specimen.scenario.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    scenario = shortened(load_scenario(specimen.path), specimen.check)
    path = folder / f"{scenario.name}.yaml"
    path.write_text(dump_scenario(scenario), encoding="utf-8")
    command = [sys.executable, "-m", "payresil.cli", "run", str(path), "--out", str(folder)]
    if specimen.flaw is not None:
        command += ["--flaw", specimen.flaw]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Row(specimen, None, f"still ran after {_LONGEST_S} s")
    (folder / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    took_s = time.monotonic() - began
    try:
        text = (folder / scenario.name / "latest" / VERDICT_FILE).read_text(encoding="utf-8")
        return Row(specimen, from_json(text), seconds=took_s)
    except (OSError, VerdictError) as error:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:] or [str(error)]
        return Row(specimen, None, f"exit {done.returncode}: {words[0]}", took_s)


def run_all(specimens: Sequence[Specimen], out: Path, jobs: int) -> Iterator[Row]:
    """Every specimen, `jobs` at a time; those with remedies last, and one by one.

    Beside another one, a slow machine may not serve for as long as operators wait for a region.
    """
    alone = [each for each in specimens if each.has_remedies]
    with ThreadPoolExecutor(jobs) as pool:
        others = [each for each in specimens if not each.has_remedies]
        for row in pool.map(lambda specimen: run(specimen, out), others):
            yield _told(row)
    for each in alone:
        yield _told(run(each, out))


def _told(row: Row) -> Row:
    about = f"{row.specimen.name} in {row.specimen.scenario}"
    print(f"{row.seconds:5.0f} s  {row.result:<11}  {about}", flush=True)
    return row


def main() -> int:
    """The zoo as a program; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="flaws or scenarios")
    parser.add_argument("--out", type=Path, default=Path("reports/zoo"))
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    asked = parser.parse_args()
    specimens = [
        each
        for each in (*FLAWED, *FLAWLESS)
        if not asked.only or {each.flaw, each.scenario, each.path.stem} & set(asked.only)
    ]
    if not specimens:
        known = ", ".join(each.flaw or each.scenario for each in (*FLAWED, *FLAWLESS))
        parser.error(f"--only names none of them: there are {known}")
    rows = list(run_all(specimens, asked.out, asked.jobs))
    print(f"\n{matrix(rows)}")
    return 0 if all(row.is_right for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
