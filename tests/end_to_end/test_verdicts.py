"""The flawless service passes, the flawed one is caught, a fault without effect proves nothing."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from end_to_end_runs import Ended, call, command, scenario_file


def measure(result: dict[str, Any], name: str) -> Any:
    return next(m["value"] for m in result["measures"] if m["name"] == name)


def test_the_flawless_service_passes_and_every_check_says_what_it_judged(flawless: Ended) -> None:
    assert flawless.status == 0, flawless.out + flawless.err
    idempotency = flawless.check("idempotency")
    assert measure(idempotency, "answers_lost") > 0
    assert measure(idempotency, "intents_tried_twice") > 0
    for result in flawless.verdict()["checks"]:
        judged = [m["value"] for m in result["measures"] if m["name"].endswith("_judged")]
        assert result["outcome"] == "pass"
        assert max(judged) > 0, result["name"]


def test_every_report_is_there_and_says_the_same(flawless: Ended) -> None:
    suite = ET.parse(flawless.folder / "junit.xml").getroot()
    cases = list(suite.iter("testcase"))
    assert {case.get("classname") is not None for case in cases} == {True}
    assert not list(suite.iter("failure"))
    assert not list(suite.iter("error"))
    for name in ("report.html", "report.md", "scenario.yaml", "run.json"):
        assert (flawless.folder / name).stat().st_size > 100, name
    assert "PASS" in flawless.out


def test_a_recorded_run_is_judged_again_from_its_folder_alone(flawless: Ended) -> None:
    again = call(flawless.reports, "check", str(flawless.folder))
    assert again.status == 0, again.out + again.err
    text = call(flawless.reports, "report", str(flawless.folder), "--format", "junit")
    assert text.status == 0
    assert ET.fromstring(text.out).tag in ("testsuites", "testsuite")


def test_the_tables_answer_sql_and_nothing_outside_them_does(flawless: Ended) -> None:
    folder = str(flawless.folder)
    rows = call(
        flawless.reports, "sql", folder, "select count(*) as n from intents", "--format", "csv"
    )
    assert rows.status == 0
    assert int(rows.out.split()[1]) > 100
    for query in ("from '/etc/passwd'", "selekt", "copy attempts to 'x.csv'", "select 1;;("):
        refused = call(flawless.reports, "sql", folder, query)
        assert refused.status == 2
        assert "Traceback" not in refused.err
        assert refused.err.startswith("Error: the query fails")


def test_a_flawed_service_is_caught_with_the_fault_and_both_charges(tmp_path: Path) -> None:
    run = call(
        tmp_path / "r",
        "run",
        str(scenario_file(tmp_path)),
        "--flaw",
        "key-per-attempt",
        "--out",
        str(tmp_path / "r"),
    )
    assert run.status == 1, run.out + run.err
    finding = run.check("idempotency")["findings"][0]
    lines = [line["what"] for line in finding["witness"]]
    assert sum("charge ch_" in line for line in lines) >= 2
    assert any("answer not sent, fault rule" in line for line in lines)
    assert any(line.startswith("attempt 1 (load): create") for line in lines)
    suite = ET.parse(run.folder / "junit.xml").getroot()
    assert any(
        "captured 2 times" in (f.text or "") + (f.get("message") or "")
        for f in suite.iter("failure")
    )


def test_a_fault_that_touches_nothing_is_inconclusive(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, endpoint="payment_intents.capture")
    run = call(tmp_path / "r", "run", str(path), "--out", str(tmp_path / "r"))
    assert run.status == 3, run.out + run.err
    assert run.verdict()["outcome"] == "inconclusive"
    assert "matched no request" in run.out.replace("\n", " ")


def test_a_verdict_stands_whoever_reads_it(flawless: Ended, tmp_path: Path) -> None:
    """A closed pipe or a full disk behind stdout changes no exit status."""
    folder = tmp_path / "damaged"
    shutil.copytree(flawless.folder, folder)
    (folder / "logs").rename(tmp_path / "logs")  # no_leaks cannot judge any more
    check = " ".join(command("check", str(folder)))
    for sink in ("| true; exit ${PIPESTATUS[0]}", "> /dev/full"):
        done = subprocess.run(
            ["bash", "-c", f"{check} {sink}"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 3, (sink, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_table_that_is_gone_is_missed(flawless: Ended, tmp_path: Path) -> None:
    for table in ("psp_refunds", "books_breaks", "reserved", "samples"):
        folder = tmp_path / table
        shutil.copytree(flawless.folder, folder)
        (folder / f"{table}.parquet").unlink()
        done = call(tmp_path, "check", str(folder))
        assert done.status == 2, table
        assert f"the table {table} was recorded" in done.err


def test_imported_code_that_exits_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("import sys; sys.exit(0)\n")
    done = call(tmp_path, "--import", str(tmp_path / "x.py"), "list", "faults")
    assert done.status == 2
    assert "SystemExit" in done.err
