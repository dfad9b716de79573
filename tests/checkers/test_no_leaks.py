from __future__ import annotations

import base64
import json
import shutil

import pytest

from payresil.checkers.no_leaks import no_leaks
from payresil.core.canaries import fingerprint
from payresil.core.protocols import Secrets
from payresil.core.run import Run
from payresil.core.schemas import SCHEMA_VERSION, SCHEMAS
from payresil.core.tables import Recorder, from_rows, write_sealed

SOWN = Secrets(
    api_token="Zk3-_aQ9xW2pLm7RtY5bNc8VhJ4s",
    admin_token="f00dfeedc0ffee11223344556677",
    psp_api_key="sk_test_0123456789abcdef0123456789abcdef",
    webhook_secret="whsec_fedcba98765432100123456789abcdef",
    control_token="CtrlCtrlCtrl0123456789AbCd",
    card_numbers=("4000020123456789", "4000029876543210"),
    card_cvc="123",
)
CARD = SOWN.card_numbers[0]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, flawless_run):
    """The folder of a flawless run, with canaries, logs and reports, none of them leaking."""
    folder = tmp_path_factory.mktemp("run")
    history = flawless_run()
    meta = {
        **history.meta,
        "scenario": "s",
        "seed": 1,
        "schema_version": SCHEMA_VERSION,
        "canaries": fingerprint(SOWN),
    }
    (folder / "run.json").write_text(json.dumps(meta, indent=2))
    (folder / "scenario.yaml").write_text("name: s\n")
    (folder / "verdict.json").write_text("{}\n")
    (folder / "report.html").write_text("<p>fine</p>\n")
    (folder / "logs").mkdir()
    (folder / "logs" / "a-service.1.log").write_text('{"event":"paid"}\n' * 10)
    for table, rows in history.tables.items():
        write_sealed(folder, table, from_rows(table, rows))
    return folder


@pytest.fixture
def folder(tmp_path, recorded):
    """A copy of it, to be spoilt."""
    return shutil.copytree(recorded, tmp_path / "run")


def messages(ask, folder):
    said = ask(no_leaks, Run.open(folder))
    assert not said.doubts
    return [finding.message for finding in said.findings]


def test_a_run_without_leaks_passes(ask, folder):
    said = ask(no_leaks, Run.open(folder))
    assert said.passes
    assert said.value("artefacts_judged") == 15 + 5  # tables and files
    assert said.value("canaries_sown") == 7


@pytest.mark.parametrize(
    "file",
    [
        "run.json",
        "scenario.yaml",
        "verdict.json",
        "report.html",
        "report.md",
        "junit.xml",
        "logs/a-service.1.log",
        "logs/deep/er.txt",
        "no-suffix",
    ],
)
def test_a_card_number_in_any_file(ask, folder, file):
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.exists() else "{}\n"
    leak = f"card {CARD}"
    if file == "run.json":
        path.write_text(json.dumps({**json.loads(before), "leak": leak}, indent=2))
    else:
        path.write_text(f"{before}{leak}\n")
    (message,) = messages(ask, folder)
    lines = path.read_text().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if CARD in text)
    assert message == f"card_number 400002…6789 is in file {file}, first in line {line}, once"


@pytest.mark.parametrize(("name", "value"), list(SOWN.values()))
def test_every_secret_in_a_log(ask, folder, name, value):
    log = folder / "logs" / "b.log"
    log.write_text(f"one\ntwo {value}\nthree {value}\n")
    (message,) = messages(ask, folder)
    assert message.startswith(name)
    assert message.endswith("is in file logs/b.log, first in line 2, 2 times")
    assert value not in message


@pytest.mark.parametrize("table", sorted(SCHEMAS))
def test_a_token_in_any_column_of_any_table(ask, folder, table):
    columns = [field.name for field in SCHEMAS[table] if str(field.type) == "string"]
    rows = [{}, *({column: f"a {SOWN.psp_api_key}"} for column in columns), {}]
    write_sealed(folder, table, from_rows(table, rows))
    assert messages(ask, folder) == [
        f"psp_api_key is in table {table}.{column}, once" for column in columns
    ]


def test_a_card_number_in_a_column_of_numbers(ask, folder):
    rows = [{"amount_minor": 1}, {"amount_minor": int(CARD)}, {"amount_minor": None}]
    write_sealed(folder, "books_payments", from_rows("books_payments", rows))
    assert messages(ask, folder) == [
        "card_number 400002…6789 is in table books_payments.amount_minor, once"
    ]


def test_in_a_table_that_was_not_sealed(ask, folder):
    (folder / "attempts.parquet").unlink()
    with Recorder(folder, "attempts", "load") as recorder:
        schema = SCHEMAS["attempts"]
        for error in ("reset", f"refused {CARD}"):
            recorder.append(tuple(error if name == "error" else None for name in schema.names))
    assert messages(ask, folder) == ["card_number 400002…6789 is in table attempts.error, once"]


def test_in_every_line(ask, folder):
    (folder / "logs" / "b.log").write_text(f"paid with {CARD}\n" * 30_000)
    assert messages(ask, folder) == [
        "card_number 400002…6789 is in file logs/b.log, first in line 1, 10,000 times or more"
    ]


def test_encoded(ask, folder):
    token = base64.b64encode(f"user:{SOWN.api_token}".encode()).decode()
    (folder / "logs" / "b.log").write_text(f"Authorization: Basic {token}\n")
    assert messages(ask, folder) == [
        "api_token in base64 is in file logs/b.log, first in line 1, once"
    ]


def test_in_the_name_of_a_file(ask, folder):
    (folder / "logs" / f"{SOWN.api_token}.log").write_text("x")
    found = messages(ask, folder)
    assert found == ["api_token is in the name of a file, once"]


def test_two_canaries_in_one_file_are_two_findings(ask, folder):
    (folder / "logs" / "b.log").write_text(f"{SOWN.card_numbers[1]}\n{CARD}\n")
    assert messages(ask, folder) == [
        "card_number 400002…3210 is in file logs/b.log, first in line 1, once",
        "card_number 400002…6789 is in file logs/b.log, first in line 2, once",
    ]


def test_another_card_number_is_no_leak(ask, folder):
    (folder / "logs" / "b.log").write_text("4242424242424242 4000020000000000\n")
    assert messages(ask, folder) == []


def test_a_packed_file_is_a_doubt(ask, folder):
    (folder / "logs" / "old.log.gz").write_bytes(b"\x1f\x8b")
    said = ask(no_leaks, Run.open(folder))
    assert [d.message for d in said.doubts] == ["logs/old.log.gz is packed: not looked into"]


def test_no_logs_is_a_doubt(ask, folder):
    (folder / "logs" / "a-service.1.log").unlink()
    said = ask(no_leaks, Run.open(folder))
    assert [d.message for d in said.doubts] == [
        "the run folder holds no logs, where leaks are most likely"
    ]


@pytest.mark.parametrize(
    ("content", "doubt"),
    [
        (None, "run.json holds no canaries, so a leak could not be recognised"),
        ([], "run.json holds no canaries, so a leak could not be recognised"),
        ([{"name": "x"}], "run.json holds no usable canaries"),
    ],
)
def test_without_canaries_there_is_only_doubt(ask, folder, content, doubt):
    meta = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**meta, "canaries": content}))
    said = ask(no_leaks, Run.open(folder))
    assert not said.findings
    assert [d.message.startswith(doubt) for d in said.doubts] == [True]


def test_without_a_folder_there_is_doubt(ask, history):
    history.meta["canaries"] = fingerprint(SOWN)
    history.of("attempts", 3)["error"] = CARD
    said = ask(no_leaks, history.run())
    assert len(said.doubts) == 1
    assert len(said.findings) == 1


def test_a_name_that_is_no_text(ask, folder):
    (folder / "logs" / "b\udcff.log").write_text(CARD)
    (message,) = messages(ask, folder)
    message.encode()
