"""Many scenarios with one command: one table, one exit status, and each has its turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from payresil.core.protocols import EnvironmentBroke
from payresil.core.results import CheckResult, Exit, Finding, Outcome, Verdict
from payresil.engine import commands, series
from payresil.engine.refusal import Refusal
from payresil.engine.run_plan import RunPlan

SCENARIO = """\
name: {name}
claim: A customer is charged once.
system: refpay
seed: 5
workload: {{rate: 50/s, duration: 30s, journeys: {{checkout: 1, impatient: 1}}}}
checks: [idempotency]
"""

#: What a scenario of this name ends with, or raises.
ENDS: dict[str, int | BaseException] = {
    "passes": Exit.PASS,
    "fails": Exit.FAIL,
    "undecided": Exit.INCONCLUSIVE,
    "breaks": Exit.BROKEN,
    "stopped": Exit.INTERRUPTED,
    "stopped-after-a-finding": Exit.FAIL,
    "no-supervisor": EnvironmentBroke("no supervisor"),
    "defect": ZeroDivisionError("division by zero"),
    "exits": SystemExit(0),
    "impatient": KeyboardInterrupt(),
    "no-folder": Refusal("cannot write the run folder"),
}

Run = Callable[..., tuple[int, list[str]]]


def verdict_of(plan: RunPlan, status: int) -> Verdict:
    outcome = {Exit.PASS: Outcome.PASS, Exit.FAIL: Outcome.FAIL}.get(status, Outcome.INCONCLUSIVE)
    found = (Finding("captured 2 times", "r-1"),) if outcome is Outcome.FAIL else ()
    check = CheckResult("idempotency", "money", "Once.", outcome, findings=found)
    return Verdict(
        run="r",
        scenario=plan.scenario.name,
        claim=plan.scenario.claim,
        outcome=outcome,
        exit_status=status,
        checks=(check,),
        faults=(),
        broken="a/db died" if status == Exit.BROKEN else None,
        interrupted=plan.scenario.name.startswith("stopped"),
    )


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[RunPlan]:
    """The plans that were run; each ends as its name says."""
    plans: list[RunPlan] = []

    def run_plan(plan: RunPlan) -> Verdict:
        plans.append(plan)
        end = ENDS[plan.scenario.name]
        if isinstance(end, BaseException):
            raise end
        return verdict_of(plan, end)

    monkeypatch.setattr(series, "run_plan", run_plan)
    monkeypatch.setattr(commands, "_text", lambda _folder, verdict: verdict.scenario)
    return plans


@pytest.fixture
def scenarios(tmp_path: Path, ran: list[RunPlan]) -> Callable[..., list[Path]]:
    """Writes scenarios of these names."""

    def write(*names: str) -> list[Path]:
        paths = [tmp_path / f"{name}.yaml" for name in names]
        for path in paths:
            path.write_text(SCENARIO.format(name=path.stem))
        return paths

    return write


def run(paths: Sequence[Path], **more: Any) -> int:
    given = {"flaw": None, "seed": None, "backend": "process", "out": paths[0].parent / "r"}
    return commands.run_scenarios(paths, **{**given, **more})


def names(ran: list[RunPlan]) -> list[str]:
    return [plan.scenario.name for plan in ran]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (["passes"], 0),
        (["passes", "undecided"], 3),
        (["undecided", "breaks", "passes"], 4),
        (["breaks", "fails", "undecided"], 1),
        (["no-supervisor", "passes"], 4),
        (["no-supervisor", "fails"], 1),
        (["defect"], 4),
        (["exits", "passes"], 4),
        (["impatient"], 130),
    ],
)
def test_the_worst_exit_status_counts_and_all_have_their_turn(
    scenarios: Any, ran: list[RunPlan], given: list[str], status: int
) -> None:
    assert run(scenarios(*given)) == status
    assert names(ran) == given


@pytest.mark.parametrize("end", ["stopped", "stopped-after-a-finding", "impatient"])
def test_an_interruption_ends_the_series_and_the_table_says_who_had_no_turn(
    scenarios: Any, ran: list[RunPlan], capsys: pytest.CaptureFixture[str], end: str
) -> None:
    status = run(scenarios("passes", end, "fails", "undecided"))
    assert status == (1 if end == "stopped-after-a-finding" else 130)
    assert names(ran) == ["passes", end]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("NOT RUN")] == [
        ["NOT", "RUN", "fails"],
        ["NOT", "RUN", "undecided"],
    ]
    assert lines[-1].startswith("4 scenarios: ")
    assert "2 not run" in lines[-1]


def test_a_folder_means_its_own_scenarios(
    scenarios: Any, ran: list[RunPlan], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenarios("undecided", "passes")
    (tmp_path / "system.yaml").write_text("name: shop\n")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "fails.yaml").write_text(SCENARIO.format(name="fails"))
    assert run([tmp_path], out=tmp_path / "r") == 3
    assert names(ran) == ["passes", "undecided"]
    said = capsys.readouterr()
    assert "system.yaml: left out, it is no scenario" in said.err
    assert said.out.splitlines()[-1] == "2 scenarios: 1 inconclusive, 1 pass"


def test_a_folder_without_scenarios_is_refused_and_names_those_below(
    scenarios: Any, tmp_path: Path
) -> None:
    deeper = tmp_path / "deeper"
    deeper.mkdir()
    scenarios("passes")[0].rename(deeper / "passes.yaml")
    with pytest.raises(Refusal, match=f"name its subfolders: {deeper}$"):
        run([tmp_path])


def test_a_file_named_twice_runs_once(
    scenarios: Any, ran: list[RunPlan], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = scenarios("passes")
    assert run([path, tmp_path, tmp_path / "." / "passes.yaml"], out=tmp_path / "r") == 0
    assert names(ran) == ["passes"]
    assert "passes.yaml: named more than once, runs once" in capsys.readouterr().err


def test_two_scenarios_of_one_name_are_refused(
    scenarios: Any, ran: list[RunPlan], tmp_path: Path
) -> None:
    (path,) = scenarios("passes")
    other = tmp_path / "other.yaml"
    other.write_text(path.read_text())
    with pytest.raises(Refusal, match="are both called 'passes'"):
        run([path, other])
    assert ran == []


def test_every_file_is_read_before_the_first_runs(scenarios: Any, ran: list[RunPlan]) -> None:
    paths = scenarios("passes", "fails", "undecided")
    for path in paths[1:]:
        path.write_text(path.read_text().replace("rate: 50/s", "rate: 50"))
    with pytest.raises(Refusal) as refused:
        run(paths)
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        str(path) for path in paths[1:]
    ]
    assert ran == []


def test_a_run_folder_that_cannot_be_made_is_refused_first_and_broken_later(
    scenarios: Any, ran: list[RunPlan], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refusal):
        run(scenarios("no-folder", "passes"))
    assert run(scenarios("passes", "no-folder", "undecided")) == 4
    assert names(ran) == ["no-folder", "passes", "no-folder", "undecided"]
    assert "Error: cannot write the run folder" in capsys.readouterr().err


def test_each_folder_is_named_after_its_own_start(scenarios: Any, ran: list[RunPlan]) -> None:
    paths = scenarios("passes", "fails")
    run(paths)
    run(paths)
    assert [plan.folder.parent.name for plan in ran] == ["passes", "fails"] * 2


def test_one_junit_file_and_one_comment_of_all(
    scenarios: Any, ran: list[RunPlan], tmp_path: Path
) -> None:
    junit, summary = tmp_path / "ci" / "junit.xml", tmp_path / "ci" / "summary.md"
    paths = scenarios("passes", "fails", "no-supervisor", "stopped", "undecided")
    assert run(paths, junit_file=junit, summary_file=summary) == 1
    root = ET.parse(junit).getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["passes", "fails", "no-supervisor", "stopped", "undecided"]
    red = {name for name, suite in suites.items()
           if suite.get("failures") != "0" or suite.get("errors") != "0"}  # fmt: skip
    assert red == set(suites) - {"passes"}
    for name in ("tests", "failures", "errors"):
        assert root.get(name) == str(sum(int(suite.get(name) or 0) for suite in suites.values()))
    assert f"run {tmp_path}/no-supervisor.yaml --seed 5" in ET.tostring(
        suites["no-supervisor"], "unicode"
    )
    said = summary.read_text()
    assert said.startswith("## 5 scenarios: 1 fail, 1 broken, 1 interrupted, 1 not run, 1 pass\n")
    assert "| NOT RUN | undecided |" in said
    assert "## ❌ FAIL: fails" in said
    assert "✅" not in said


@pytest.mark.parametrize("target", ["passes.yaml/junit.xml", "taken"])
def test_where_reports_cannot_go_is_said_before_anything_runs(
    scenarios: Any, ran: list[RunPlan], tmp_path: Path, target: str
) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(Refusal, match="cannot be written"):
        run(scenarios("passes"), junit_file=tmp_path / target)
    assert ran == []


def test_where_reports_can_go_nothing_is_left_before_the_end(
    scenarios: Any, ran: list[RunPlan], tmp_path: Path
) -> None:
    there, new = tmp_path / "there.xml", tmp_path / "new" / "gate.md"
    there.write_text("of the run before")
    with pytest.raises(Refusal):
        run(scenarios("passes"), junit_file=there, summary_file=tmp_path)
    with pytest.raises(Refusal):
        run(scenarios("passes"), summary_file=new, junit_file=tmp_path)
    assert there.read_text() == "of the run before"
    assert not new.exists()


def test_a_verdict_stands_whether_its_reports_can_be_written(
    scenarios: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(commands, "_make_room", lambda _file: None)  # there was room, before
    assert run(scenarios("passes"), junit_file=tmp_path / "gone" / "junit.xml") == 0
    assert "could not be written" in capsys.readouterr().err
