"""Which files become tests, and what is said of a scenario that cannot."""

from __future__ import annotations

from typing import Any

OTHER = "services:\n  db: {image: postgres}\nchecks: [a]\nsystem: x\n"


def test_other_yaml_and_records_of_runs_are_left_alone(project: Any) -> None:
    project.scenario("fine")
    project.write("scenarios/compose.yaml", OTHER)
    project.write("scenarios/list.yaml", "- claim\n- system\n- workload\n- checks\n")
    project.write("scenarios/empty.yaml", "")
    project.write("scenarios/not-text.yaml", "x")
    (project.folder / "scenarios" / "not-text.yaml").write_bytes(b"\xff\x00\xfe")
    record = project.scenario("recorded")
    folder = project.folder / "reports" / "recorded" / "20260101T000000Z"
    folder.mkdir(parents=True)
    record.rename(folder / "scenario.yaml")
    (folder / "run.json").write_text("{}")
    done = project.pytest()
    assert done.status == 0, done.out
    assert project.runs == ["fine 5 None"]
    assert not (project.folder / "scenarios" / "__pycache__").exists()


def test_a_project_without_scenarios_notices_nothing(project: Any) -> None:
    project.write(
        "test_a.py",
        "import sys\n"
        "def test_light():\n"
        "    heavy = {'duckdb', 'pyarrow', 'locust', 'gevent', 'yaml', 'rich', 'msgspec'}\n"
        "    assert not heavy & set(sys.modules)\n",
    )
    project.write("a.yaml", OTHER)
    done = project.pytest()
    assert done.status == 0, done.out
    assert "payresil" not in done.out.split("plugins:")[1].split("\n", 1)[1]
    assert not (project.folder / "reports").exists()


def test_a_broken_scenario_is_refused_with_its_place(project: Any) -> None:
    path = project.scenario("broken-file")
    path.write_text(path.read_text().replace("checks:", "chekcs:").replace("30s", "30"))
    project.scenario("fine")
    for arguments in (("scenarios",), ("scenarios/broken-file.yaml",)):
        done = project.pytest(*arguments)
        assert done.status == 2, done.out
        assert "broken-file.yaml:5:" in done.out
        assert "did you mean checks?" in done.out
        assert "Traceback" not in done.out
        assert "pytest_plugin" not in done.out
    assert project.runs == []


def test_what_the_system_lacks_is_refused_too(project: Any) -> None:
    path = project.scenario("no-such-link")
    path.write_text(
        path.read_text().replace(
            "psp_lost_answers: {share: 30%}", "latency: {link: a->b, latency: 1s}"
        )
    )
    done = project.pytest("scenarios")
    assert done.status == 2
    assert "no-such-link.yaml:7:" in done.out


def test_an_unknown_flaw_and_a_file_that_cannot_be_imported_are_named(project: Any) -> None:
    project.scenario("fine")
    done = project.pytest("--payresil-flaw", "generous")
    assert done.status == 2
    assert "--flaw" in done.out
    assert "key-per-attempt" in done.out
    done = project.pytest("--payresil-import", "nowhere.py")
    assert done.status == 2
    assert "nowhere.py: no such file" in done.out
    done = project.pytest("--payresil-seed", "-4")
    assert done.status == 4
    assert "a seed is a whole number" in done.out
