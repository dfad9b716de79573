from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from payresil.core.run import Run, RunError
from payresil.core.schemas import SCHEMA_VERSION, SCHEMAS
from payresil.core.tables import from_rows, write_sealed

META = {
    "run": "r1",
    "scenario": "psp-lost-answers",
    "schema_version": SCHEMA_VERSION,
    "zero_wall_us": 1_700_000_000_000_000,
    "seed": 7,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run.json").write_text(json.dumps(META))
    rows = [
        {"intent": "r1-1", "n": 1, "operation": "pay", "attempt": 1, "source": "load",
         "kind": "create", "key": "k", "amount_minor": 100, "currency": "eur", "due_ns": 0,
         "sent_ns": 5, "done_ns": 9, "outcome": "ok", "status": 201, "answer": "succeeded"},
    ]  # fmt: skip
    write_sealed(tmp_path, "attempts", from_rows("attempts", rows))
    return tmp_path


def test_a_run_folder_is_opened(folder: Path) -> None:
    run = Run.open(folder)
    assert run.meta == META
    assert run.folder == folder
    assert run.has("attempts")
    assert not run.has("psp_charges")
    assert run.one("select outcome from intents") == "ok"
    assert run.rows("select * from psp_charges") == []
    assert run.one("select 1 where false") is None


def test_what_is_no_run_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such directory"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"has no run\.json"):
        Run.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="no run folder"):
        Run.open(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b'{"run": "r1", "scen', "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"[]", "holds no JSON object"),
        (b"{}", "lacks run, scenario, schema_version, zero_wall_us, seed"),
        (b"null", "holds no JSON object"),
    ],
)
def test_a_run_file_that_is_half_written_or_damaged(
    folder: Path, content: bytes, message: str
) -> None:
    (folder / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=message):
        Run.open(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"zero_wall_us": "soon"},
        {"zero_wall_us": 2**70},
        {"zero_wall_us": True},
        {"zero_wall_us": None},
        {"seed": 1.5},
        {"run": 3},
        {"schema_version": "1"},
    ],
)
def test_a_run_file_with_values_that_cannot_be(folder: Path, change: dict[str, Any]) -> None:
    (folder / "run.json").write_text(json.dumps({**META, **change}))
    (name,) = change
    with pytest.raises(RunError, match=f"{name} cannot be right"):
        Run.open(folder)


def test_a_run_of_another_schema_version_is_refused(folder: Path) -> None:
    (folder / "run.json").write_text(json.dumps({**META, "schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(RunError, match="judge it with the version that recorded it"):
        Run.open(folder)


@pytest.mark.parametrize("name", ["attempts.parquet", "events.arrows", "sums.parquet"])
def test_a_damaged_table_is_an_error_and_no_pass(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"rubbish")
    with pytest.raises(RunError, match=name):
        Run.open(folder)


def test_a_table_that_is_a_folder_is_an_error(folder: Path) -> None:
    (folder / "events.parquet").mkdir()
    with pytest.raises(RunError, match=r"events\.parquet"):
        Run.open(folder)


def test_reading_evidence_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run = Run.open(folder)
    run.sql.execute("create table mine as select * from attempts")
    run.sql.execute("delete from mine")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "query",
    [
        "select * from '{file}'",
        "select * from read_csv('{file}')",
        "select * from read_text('{file}')",
        "select * from read_blob('{file}')",
        "select * from read_json('{file}')",
        "select * from read_parquet('{folder}/attempts.parquet')",
        "select * from glob('{folder}/*')",
        "copy (select 1) to '{folder}/stolen.csv'",
        "copy (select 1) to '{folder}/stolen.parquet' (format parquet)",
        "attach '{folder}/stolen.db'",
        "export database '{folder}/stolen'",
        "import database '{folder}'",
        "install httpfs",
        "load httpfs",
        "select * from 'https://127.0.0.1:1/x.csv'",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set allowed_directories = ['/']",
        "set home_directory = '/'",
        "select * from secret_of_the_process",
    ],
)
def test_sql_reaches_nothing_outside_the_run(folder: Path, query: str) -> None:
    secret_of_the_process = from_rows("reserved", [{"first": 1}])
    file = folder / "notes.csv"
    file.write_text("a,b\n1,2\n")
    run = Run.open(folder)
    with pytest.raises(duckdb.Error):
        run.rows(query.format(file=file, folder=folder))
    assert secret_of_the_process.num_rows == 1
    assert {path.name for path in folder.iterdir()} == {"run.json", "attempts.parquet", "notes.csv"}


def test_sql_writes_nothing_into_the_working_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".tmp").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(duckdb.PermissionException):
        Run.open(folder).rows("copy (select 1) to '.tmp/stolen.csv'")


@pytest.mark.parametrize("name", ["plain", "seed=7", "it's", "a[b]c", "what?", "all*", "{a,b}"])
def test_a_run_that_is_read_directly_says_the_same(folder: Path, name: str) -> None:
    moved = folder / name
    moved.mkdir()
    for path in ("run.json", "attempts.parquet"):
        (folder / path).rename(moved / path)
    ways = [Run.open(moved), Run.open(moved, direct=True)]
    for query in ("from attempts", "from intents", "from three_books", "describe attempts"):
        one, other = (run.rows(query) for run in ways)
        assert one == other
        assert one


def test_what_is_read_directly_is_only_the_tables(folder: Path) -> None:
    (folder / "notes.csv").write_text("a\n1\n")
    run = Run.open(folder, direct=True)
    for query in ("from '{}/notes.csv'", "from glob('{}/*')", "copy (select 1) to '{}/new.csv'"):
        with pytest.raises(duckdb.Error):
            run.rows(query.format(folder))


def test_temporary_files_go_with_the_run(folder: Path) -> None:
    run = Run.open(folder, direct=True)
    scratch = Path(run.one("select current_setting('temp_directory')"))
    assert scratch.is_dir()
    del run
    assert not scratch.exists()


def test_every_table_can_be_asked_whether_recorded_or_not() -> None:
    run = Run.from_rows()
    for table in SCHEMAS:
        assert run.rows(f'select * from "{table}"') == []
    for view in ("intents", "client_books", "fault_windows", "phases", "reserved_without_row"):
        assert run.rows(f"select * from {view}") == []
    assert run.timeline("r1-1") == ()


def test_a_number_that_was_reserved_and_has_no_row_is_found() -> None:
    run = Run.from_rows(
        reserved=[{"first": 0, "count": 3, "source": "load"}],
        attempts=[{"intent": "r1-1", "n": 1, "operation": "pay"}],
    )
    assert sorted(n for (n,) in run.rows("select n from reserved_without_row")) == [0, 2]


def test_the_timeline_of_an_intent_is_in_the_order_of_time(folder: Path) -> None:
    rows = [
        {"charge": "ch_1", "reference": "r1-1", "status": "succeeded", "created_ns": 7,
         "amount_minor": 100, "captured_minor": 100, "currency": "eur", "key": "k"},
    ]  # fmt: skip
    write_sealed(folder, "psp_charges", from_rows("psp_charges", rows))
    run = Run.open(folder)
    assert [line.who for line in run.timeline("r1-1")] == ["client", "psp", "client"]
    assert [line.at_ns for line in run.timeline("r1-1")] == [5, 7, 9]
    assert run.timeline("r1-2") == ()
