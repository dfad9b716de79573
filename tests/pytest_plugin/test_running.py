"""When scenarios run, with what, and beside whom."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest


def test_only_what_is_asked_for_runs(project: Any) -> None:
    project.scenario("fine")
    project.scenario("flawed")
    done = project.pytest("scenarios", "-k", "durability and fine")
    assert done.status == 0, done.out
    assert list(done.tests) == ["fine durability"]
    assert project.runs == ["fine 5 None"]
    assert project.pytest("scenarios", "-k", "fraud").status == 5
    assert len(project.runs) == 1
    done = project.pytest("scenarios/flawed.yaml::idempotency: One payment intent moves money at "
                          "most once, and whoever asks again gets the same answer.")  # fmt: skip
    assert project.runs[1:] == ["flawed 5 None"], done.out


def test_options_reach_the_run(project: Any) -> None:
    project.scenario("fine")
    done = project.pytest(
        "--payresil-seed=11", "--payresil-flaw=key-per-attempt", "--payresil-out=kept"
    )
    assert done.status == 0, done.out
    assert project.runs == ["fine 11 key-per-attempt"]
    (verdict,) = project.folder.glob("kept/pytest-*/fine/*Z/verdict.json")
    assert verdict.is_file()
    done = project.pytest("--payresil-backend", "balloon")
    assert {word for word, _ in done.tests.values()} == {"error"}
    assert "no backend is called 'balloon'" in done.tests["fine run"][1]


@pytest.fixture
def attach(project: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project with an attach file, and what its secrets are named after."""
    monkeypatch.setenv("STUB_TOKEN", "control-secret")
    monkeypatch.setenv("BOOKS", "postgresql://auditor:pw@127.0.0.1:5432/payments")
    project.write("conf/staging.yaml", ATTACH)
    return project


ATTACH = """\
customers: https://127.0.0.1:8443
budget: {requests: 9000}
psp: {control: "http://127.0.0.1:9000"}
secrets: {control_token: STUB_TOKEN, database_url: BOOKS}
"""


INI = """\
[pytest]
payresil_import = own.py
payresil_backend = attach
payresil_at = conf/staging.yaml
payresil_prometheus = http://127.0.0.1:9091
"""


def recorded(project: Any, name: str) -> dict[str, Any]:
    """What the one run of a scenario says of itself."""
    (file,) = project.folder.glob(f"reports/pytest-*/{name}/*Z/run.json")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_a_system_that_runs_already_and_its_prometheus_reach_the_run(attach: Any) -> None:
    attach.scenario("fine")
    attach.scenario("flawed")
    done = attach.pytest(
        "scenarios/fine.yaml", "--payresil-backend=attach", "--payresil-at=conf/staging.yaml",
        "--payresil-prometheus=http://127.0.0.1:9090",
    )  # fmt: skip
    assert done.status == 0, done.out
    meta = recorded(attach, "fine")
    assert (meta["backend"], meta["at"]) == ("attach", "conf/staging.yaml")
    assert meta["prometheus"] == "http://127.0.0.1:9090"
    attach.write("pytest.ini", INI)
    done = attach.pytest("scenarios/flawed.yaml")
    assert done.status == 1, done.out
    meta = recorded(attach, "flawed")
    assert (meta["at"], meta["prometheus"]) == ("conf/staging.yaml", "http://127.0.0.1:9091")
    assert "--backend attach --at conf/staging.yaml --prometheus http://127.0.0.1:9091" in done.out


def test_the_fixture_joins_the_system_that_runs_already_too(attach: Any) -> None:
    attach.scenario("fine")
    attach.write("test_own.py", "def test_it(payresil):\n"
                 "    assert payresil.run('scenarios/fine.yaml').exit_status == 0\n")  # fmt: skip
    done = attach.pytest("test_own.py", "--payresil-backend=attach",
                         "--payresil-at=conf/staging.yaml")  # fmt: skip
    assert done.status == 0, done.out
    assert recorded(attach, "fine")["at"] == "conf/staging.yaml"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--payresil-at=conf/staging.yaml"], "belong together"),
        (["--payresil-backend=attach"], "belong together"),
        (["--payresil-backend=attach", "--payresil-at=nowhere.yaml"], "nowhere.yaml"),
        (
            ["--payresil-backend=attach", "--payresil-at=conf/staging.yaml",
             "--payresil-flaw=key-per-attempt"],
            "cannot be started with a flaw",
        ),
        (["--payresil-backend=attach", "--payresil-at=conf/no-psp.yaml"], "scenarios/fine.yaml:7"),
        (["--payresil-prometheus=127.0.0.1:9090"], "is no address such as"),
    ],
)  # fmt: skip
def test_what_the_run_would_refuse_is_refused_when_it_is_collected(
    attach: Any, options: list[str], words: str
) -> None:
    attach.scenario("fine")
    lines = [line for line in ATTACH.splitlines() if not line.startswith("psp:")]
    attach.write("conf/no-psp.yaml", "\n".join(lines))
    done = attach.pytest("scenarios", *options)
    assert done.status == 2, done.out
    assert words in done.out
    assert "Traceback" not in done.out
    assert attach.runs == []


def test_workers_share_one_run(project: Any) -> None:
    for name in ("fine", "flawed", "undecided"):
        project.scenario(name)
    done = project.pytest("-n", "3", "--dist", "load", "scenarios")
    assert len(done.tests) == 12
    assert sorted(project.runs) == ["fine 5 None", "flawed 5 None", "undecided 5 None"]
    assert "payresil: run folders are in " in done.out


def started(pipe: Path) -> None:
    """Wait until the run has said so."""
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        assert select.select([reader], [], [], 60)[0], "the run never began"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_the_run_heals_before_pytest_ends(project: Any, number: signal.Signals) -> None:
    project.scenario("waits")
    project.scenario("fine")
    os.mkfifo(project.folder / "started")
    process = subprocess.Popen(
        project.command("scenarios/waits.yaml", "scenarios/fine.yaml"),
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        started(project.folder / "started")
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()  # one that hangs must not outlive the test; its run ends with its pipe
    assert process.returncode == 2, out
    assert "KeyboardInterrupt" in out
    assert (project.folder / "healed").exists()
    assert project.runs == ["waits 5 None"]


def test_a_test_that_takes_too_long_ends_its_run_in_order(project: Any) -> None:
    """The others of its file do not start it again."""
    project.scenario("waits")
    os.mkfifo(project.folder / "started")
    listening = os.open(project.folder / "started", os.O_RDONLY | os.O_NONBLOCK)
    done = project.pytest("--timeout=6", "scenarios")
    os.close(listening)
    assert {word for word, _ in done.tests.values()} == {"error"}
    assert "Timeout" in done.out
    assert project.runs == ["waits 5 None"]
    assert (project.folder / "healed").exists()


def test_locusts_plug_in_may_stand_beside(project: Any) -> None:
    project.scenario("fine")
    project.write("test_host.py", "def test_host(pytestconfig, payresil):\n"
                  "    assert pytestconfig.getoption('--host') == 'http://shop'\n")  # fmt: skip
    done = project.pytest("-H", "http://shop", "-p", "locust")
    assert done.status == 0, done.out
    assert project.runs == ["fine 5 None"]
    listed = project.pytest("--fixtures").out
    for fixture in ("session ", "fastsession ", "payresil "):
        assert f"\n{fixture}" in listed, fixture


def test_a_patched_process_makes_no_difference(project: Any) -> None:
    project.scenario("flawed")
    project.write("conftest.py", "from gevent import monkey\nmonkey.patch_all()\n")
    done = project.pytest("scenarios")
    assert [word for word, _ in done.tests.values()] == ["passed", "passed", "failure", "passed"]
