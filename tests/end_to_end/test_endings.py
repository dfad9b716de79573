"""However a run ends, nothing is left running, and what was recorded is kept and judged."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from end_to_end_runs import Ended, call, command, scenario_file

import payresil


def start(folder: Path) -> subprocess.Popen[str]:
    """A run that is under way: customers are being served."""
    path = scenario_file(folder)
    path.write_text(path.read_text().replace("duration: 6s", "duration: 60s"))
    process = subprocess.Popen(
        command("run", str(path), "--out", str(folder / "r")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith("faulted"):
            return process
    raise AssertionError(f"the run ended before its fault: {process.communicate()}")


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(processes: list[psutil.Process], within_s: float) -> None:
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    assert not alive, [p.cmdline() for p in alive]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_heals_stops_everything_and_judges_what_it_has(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path)
    nodes = family(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    all_gone(nodes, 5)
    ended = Ended(130, out, err, tmp_path / "r")
    assert ended.verdict()["interrupted"] is True
    assert ended.check("idempotency")["outcome"] != "fail"
    healed = call(
        tmp_path / "r",
        "sql",
        str(ended.folder),
        "select healed_ns from fault_windows",
        "--format",
        "csv",
    )
    assert len(healed.out.split()) == 2


def test_killed_nothing_is_left_running_and_the_folder_is_no_pass(tmp_path: Path) -> None:
    process = start(tmp_path)
    nodes = family(process)
    assert len(nodes) > 8
    process.kill()
    process.communicate(timeout=60)
    all_gone(nodes, 10)
    folder = next((tmp_path / "r").glob("*/latest")).resolve()
    again = call(tmp_path / "r", "check", str(folder))
    assert again.status in (3, 4), again.out + again.err
    assert "Traceback" not in again.err


def broken_system(folder: Path, old: str, new: str) -> Path:
    """A scenario on the reference service with one thing in its system file changed."""
    system = folder / "broken.yaml"
    source = Path(payresil.__file__).parent / "systems" / "refpay.yaml"
    assert old in source.read_text()
    system.write_text(source.read_text().replace(old, new))
    shutil.copy(source.with_name("refpay.alerts.yml"), folder)
    path = scenario_file(folder)
    path.write_text(path.read_text().replace("system: refpay", f"system: {system}"))
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('["{python}", -m, payresil.refpay,', "[no-such-program,", "no-such-program"),
        ('WEBHOOK_SECRET: "{webhook_secret}"', 'OTHER: "x"', "WEBHOOK_SECRET"),
        ("from payments order", "from no_such_table order", "no_such_table"),
    ],
    ids=["no such program", "a node that dies at start", "books that cannot be read"],
)
def test_what_breaks_is_exit_4_and_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = broken_system(tmp_path, old, new)
    run = call(tmp_path / "r", "run", str(path), "--out", str(tmp_path / "r"))
    assert run.status == 4, run.out + run.err
    assert said in run.out + run.err
    assert "Traceback" not in run.err


def test_two_runs_at_the_same_time_do_not_meet(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    processes = [
        subprocess.Popen(
            command("run", str(path), "--out", str(tmp_path / name)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in ("one", "two")
    ]
    for process in processes:
        out, _ = process.communicate(timeout=180)
        assert process.returncode == 0, out
