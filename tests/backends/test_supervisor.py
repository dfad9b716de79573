"""The supervisor process and its launcher, with real processes."""

from __future__ import annotations

import os
import pwd
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from payresil.backends import supervisor
from payresil.backends.launcher import UNPRIVILEGED_USER, Supervisor
from payresil.core.protocols import EnvironmentBroke, Process

AllEnd = Callable[[Iterable[int]], bool]
Until = Callable[[Callable[[], object]], None]
Env = dict[str, str]

#: Leaves others behind in every way there is: in the group, in its own session, orphaned.
FAMILY = """
sleep 300 & echo $!
setsid sleep 301 & echo $!
(setsid sh -c 'echo $$; exec sleep 302' &)
echo $$ complete
exec sleep 303
"""

HARNESS = """
import sys, time
from pathlib import Path
from payresil.backends.launcher import Supervisor

with Supervisor.started() as launcher:
    folder = Path(sys.argv[1])
    launcher.sweep(folder / "scratch")
    for n in range(3):
        launcher.spawn(f"n{n}", ["sh", "-c", sys.argv[2]], env={"PATH": sys.argv[3]},
                       log=folder / f"{n}.log")
    print(launcher.pid, flush=True)
    time.sleep(300)
"""


def _family(log: Path) -> list[int]:
    words = log.read_text().split() if log.exists() else []
    return [int(word) for word in words if word.isdecimal()] if "complete" in words else []


def _whole_family(log: Path) -> list[int] | None:
    found = _family(log)
    return found if len(found) == 4 else None


def test_the_exit_status_is_reported_at_once(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    ended: queue.Queue[Process] = queue.Queue()
    process = launcher.spawn(
        "short", ["sh", "-c", "exit 7"], env=plain_env, log=tmp_path / "log", on_exit=ended.put
    )
    assert ended.get(timeout=20) is process
    assert process.status == process.wait(0) == 7


def test_a_signal_is_a_negative_status(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    process = launcher.spawn("long", ["sleep", "300"], env=plain_env, log=tmp_path / "log")
    assert process.wait(0) is None
    process.signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    process.signal(signal.SIGTERM)  # gone already: nothing happens


def test_output_goes_to_the_log_however_much_it_is(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    size = 20_000_000
    log = tmp_path / "log"
    script = f"head -c {size} /dev/zero; echo oops >&2"
    process = launcher.spawn("loud", ["sh", "-c", script], env=plain_env, log=log)
    assert process.wait(20) == 0
    assert log.stat().st_size == size + len("oops\n")


def test_a_program_that_is_missing_is_named(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    with pytest.raises(
        EnvironmentBroke, match=r"^db cannot be started: No such file.*/no/postgres"
    ):
        launcher.spawn("db", ["/no/postgres"], env=plain_env, log=tmp_path / "log")
    with pytest.raises(EnvironmentBroke, match="no-such-program-here"):
        launcher.spawn("x", ["no-such-program-here"], env=plain_env, log=tmp_path / "log")


def test_a_log_that_cannot_be_written_is_named(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    with pytest.raises(EnvironmentBroke, match="missing/log"):
        launcher.spawn("x", ["true"], env=plain_env, log=tmp_path / "missing" / "log")


def test_an_argument_with_a_nul_is_refused(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    with pytest.raises(EnvironmentBroke, match="Invalid argument"):
        launcher.spawn("x", ["true", "a\0b"], env=plain_env, log=tmp_path / "log")


def test_the_environment_is_exactly_what_was_given(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    log = tmp_path / "log"
    process = launcher.spawn("env", ["env"], env={**plain_env, "WORD": "a=b c"}, log=log)
    assert process.wait(20) == 0
    assert set(log.read_text().splitlines()) == {f"PATH={plain_env['PATH']}", "WORD=a=b c"}


def test_signals_that_the_harness_ignores_have_their_defaults_in_a_node(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    log = tmp_path / "log"
    process = launcher.spawn("s", ["cat", "/proc/self/status"], env=plain_env, log=log)
    assert process.wait(20) == 0
    states = dict(line.split(":\t", 1) for line in log.read_text().splitlines() if ":\t" in line)
    # The C library keeps two signals (32, 33) for itself: no program can put them back.
    settable = sum(1 << (number - 1) for number in signal.valid_signals())
    assert int(states["SigIgn"], 16) & settable == 0
    assert int(states["SigBlk"], 16) & settable == 0


def test_unprivileged_means_another_user_only_where_the_caller_is_root(
    launcher: Supervisor, scratch: Path, plain_env: Env
) -> None:
    log = scratch / "log"
    script = "id -u; id -G; pwd"
    process = launcher.spawn("u", ["sh", "-c", script], env=plain_env, log=log, unprivileged=True)
    assert process.wait(20) == 0
    user, groups, _folder = log.read_text().splitlines()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam(UNPRIVILEGED_USER)
        assert (user, groups) == (str(nobody.pw_uid), str(nobody.pw_gid))  # none of root's is left
    else:
        assert user == str(os.geteuid())


def test_many_nodes_start_and_end(launcher: Supervisor, tmp_path: Path, plain_env: Env) -> None:
    many = [
        launcher.spawn(f"n{n}", ["sleep", "300"], env=plain_env, log=tmp_path / f"{n}.log")
        for n in range(50)
    ]
    assert len({process.pid for process in many}) == 50
    for process in many:
        process.signal(signal.SIGTERM)
    assert [process.wait(20) for process in many] == [-signal.SIGTERM] * 50


def test_kill_reaches_what_left_the_process_group(
    launcher: Supervisor, tmp_path: Path, plain_env: Env, until: Until
) -> None:
    log = tmp_path / "log"
    script = "sleep 300 & echo $!; setsid sleep 301 & echo $!; echo complete; exec sleep 303"
    process = launcher.spawn("family", ["sh", "-c", script], env=plain_env, log=log)
    until(lambda: _family(log))
    process.signal(signal.SIGKILL)
    assert process.status == -signal.SIGKILL
    # When the call returns, all of it is gone: a database must find its files let go.
    assert not any(Path(f"/proc/{pid}").exists() for pid in _family(log))


def test_pause_and_resume_reach_what_left_the_process_group(
    launcher: Supervisor, tmp_path: Path, plain_env: Env, until: Until
) -> None:
    log = tmp_path / "log"
    process = launcher.spawn("family", ["sh", "-c", FAMILY], env=plain_env, log=log)
    until(lambda: _whole_family(log))
    # The orphan has left the tree for good; nobody can tell whose it was.
    sleepers = [process.pid, *_family(log)[:2]]
    process.signal(signal.SIGSTOP)
    until(lambda: all(_state(pid) == "T" for pid in sleepers))
    process.signal(signal.SIGCONT)
    until(lambda: all(_state(pid) == "S" for pid in sleepers))


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_the_end_of_the_launcher_ends_everything(
    tmp_path: Path, plain_env: Env, until: Until, all_end: AllEnd
) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "deep").mkdir(parents=True)
    log = tmp_path / "log"
    with Supervisor.started() as launcher:
        launcher.sweep(scratch)
        process = launcher.spawn("family", ["sh", "-c", FAMILY], env=plain_env, log=log)
        until(lambda: _whole_family(log))
    assert all_end([process.pid, *_family(log)])
    assert process.status == -signal.SIGKILL
    assert not scratch.exists()


def test_an_end_signal_gives_a_node_the_time_to_end_by_itself(
    tmp_path: Path, plain_env: Env, until: Until
) -> None:
    log = tmp_path / "log"
    script = "trap 'echo bye; exit 3' QUIT; echo complete; while :; do sleep 0.01; done"
    with Supervisor.started() as launcher:
        process = launcher.spawn(
            "db", ["sh", "-c", script], env=plain_env, log=log, end_signal=signal.SIGQUIT
        )
        until(lambda: "complete" in log.read_text())
        process.signal(signal.SIGSTOP)  # it is woken for it
    assert process.status == 3
    assert log.read_text().endswith("bye\n")


def test_a_killed_harness_leaves_nothing(
    tmp_path: Path, plain_env: Env, until: Until, all_end: AllEnd
) -> None:
    (tmp_path / "scratch").mkdir()
    arguments = [str(tmp_path), FAMILY, plain_env["PATH"]]
    with subprocess.Popen(
        [sys.executable, "-c", HARNESS, *arguments], stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdout is not None
        supervisor_pid = int(harness.stdout.readline())
        logs = [tmp_path / f"{n}.log" for n in range(3)]
        until(lambda: all(map(_whole_family, logs)))
        harness.kill()
    assert all_end([supervisor_pid, *(pid for log in logs for pid in _family(log))])
    assert not (tmp_path / "scratch").exists()


def test_ctrl_c_and_hang_up_do_not_end_the_supervisor(
    launcher: Supervisor, tmp_path: Path, plain_env: Env
) -> None:
    assert os.getsid(launcher.pid) == launcher.pid != os.getsid(0)
    process = launcher.spawn("n", ["sleep", "300"], env=plain_env, log=tmp_path / "log")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(launcher.pid, number)
    process.signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM


def test_when_the_supervisor_is_killed_the_kernel_ends_the_nodes(
    tmp_path: Path, plain_env: Env, all_end: AllEnd
) -> None:
    with Supervisor.started() as launcher:
        process = launcher.spawn("n", ["sleep", "300"], env=plain_env, log=tmp_path / "log")
        as_other = launcher.spawn(
            "u", ["sleep", "300"], env=plain_env, log=tmp_path / "log", unprivileged=True
        )
        os.kill(launcher.pid, signal.SIGKILL)
        assert all_end([process.pid, as_other.pid])
        assert process.wait(20) == -signal.SIGKILL
        with pytest.raises(EnvironmentBroke, match="supervisor process is gone"):
            launcher.spawn("late", ["true"], env=plain_env, log=tmp_path / "log")


def test_the_tree_of_a_process_is_itself_and_what_it_started() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 300 & echo; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        tree = supervisor.tree(shell.pid)
        assert shell.pid in tree
        assert len(tree) == 2
        assert tree <= supervisor.tree(os.getpid())
        for pid in tree:
            os.kill(pid, signal.SIGKILL)
