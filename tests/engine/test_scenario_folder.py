"""Telling scenarios from other YAML, also when they are broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from payresil.engine.scenario_folder import is_record, is_scenario, scenarios_in

SCENARIO = "name: a\nclaim: b\nsystem: c\nworkload: {rate: 1/s}\nchecks: [d]\n"


@pytest.mark.parametrize(
    "text",
    [
        SCENARIO,
        "# why\n\n---\n" + SCENARIO,
        "\ufeff" + SCENARIO,
        SCENARIO.replace("\n", "\r\n"),
        SCENARIO.replace("claim", "'claim'").replace("checks", '"checks"'),
        SCENARIO.replace("checks", "chekcs"),
        SCENARIO.replace("claim: b", "claim: [b"),
        "  " + SCENARIO.replace("\n", "\n  "),
        "{name: a, claim: b, system: c, workload: {}, checks: []}",
        '{"claim": "b",\n "system": "c",\n "checks": []}',
        SCENARIO + "\x00",
        SCENARIO + "[" * 50_000,
    ],
)
def test_a_scenario_is_one_however_it_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    assert is_scenario(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- claim\n- system\n- workload\n- checks\n",
        "a:\n  claim: b\n  system: c\n  workload: d\n  checks: e\n",
        "system: c\nchecks: d\n",
        "text: |\n  claim: b\n  system: c\n  checks: d\n",
        "claims: b\nsystems: c\nworkloads: d\n",
    ],
)
def test_other_yaml_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert not is_scenario(path)


def test_bytes_that_are_no_text_and_what_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(SCENARIO.encode() + b"\xff\xfe")
    assert is_scenario(path)
    path.write_bytes(b"\xff\x00\x80")
    assert not is_scenario(path)
    (tmp_path / "b.yaml").mkdir()
    assert not is_scenario(tmp_path / "b.yaml")
    assert not is_scenario(tmp_path / "c.yaml")


def test_a_folder_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(SCENARIO)
    (tmp_path / "a.yaml").write_text(SCENARIO)
    (tmp_path / "c.yaml").write_text("name: shop\n")
    (tmp_path / "d.txt").write_text(SCENARIO)
    scenarios, others = scenarios_in(tmp_path)
    assert [path.name for path in scenarios] == ["a.yaml", "b.yaml"]
    assert [path.name for path in others] == ["c.yaml"]


def test_the_copy_of_a_run_is_a_record(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    assert not is_record(path)
    (tmp_path / "events.arrows").touch()
    assert is_record(path)
    assert not is_record(tmp_path / "other.yaml")
