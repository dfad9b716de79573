"""A real run as tests, with Locust's plug-in for pytest loaded beside ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from end_to_end_runs import scenario_file


def test_a_flawed_service_fails_the_test_of_that_claim(tmp_path: Path) -> None:
    scenario_file(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-H", "http://localhost",
         "--payresil-flaw", "key-per-attempt", "--junitxml", "junit.xml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert "locust" in done.stdout.split("plugins:")[1].splitlines()[0]
    assert done.returncode == 1, done.stdout
    cases = {
        (case.get("name") or "").split(":")[0]: case
        for case in ET.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    }
    assert list(cases) == [
        "run", "fault psp_lost_answers bit", "idempotency", "durability", "reconciliation",
        "double_entry", "no_leaks",
    ]  # fmt: skip
    for name in ("run", "fault psp_lost_answers bit", "no_leaks"):
        assert cases[name].find("failure") is None, done.stdout
        assert cases[name].find("error") is None, done.stdout
    said = cases["idempotency"].findtext("failure") or ""
    assert said.startswith("FAIL: captured 2 times at the PSP")
    assert "answer not sent, fault rule" in said
    assert "again: payresil run short.yaml --flaw key-per-attempt --seed 3" in said
    (report,) = tmp_path.glob("reports/pytest-*/short/*Z/report.html")
    assert report.is_file()
