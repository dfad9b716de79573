"""The books are read from wherever the service keeps them; nothing is empty by accident."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from payresil.core.protocols import Endpoints, EnvironmentBroke, Secrets
from payresil.core.system import Api, BooksFrom, ServiceStart, System
from payresil.core.tables import read_folder
from payresil.engine.books import query_books, read_psp, read_service
from payresil.engine.books_export import query_export
from payresil.engine.books_sqlite import query_sqlite
from payresil.engine.service_calls import ServiceCalls

SECRETS = Secrets("api", "admin", "sk", "whsec", "control", ("4242",), "123")
PAYMENTS = {"books_payments": "select id as payment, ref as intent from orders order by id"}

Serve = Callable[[Callable[[str, str, dict[str, str]], tuple[int, str]]], str]


def system(books_from: BooksFrom | None, books: dict[str, str]) -> System:
    return System(
        name="mine",
        service=ServiceStart(ready="/", command=("serve",)),
        api=Api(operations={}),
        reference_field="order",
        books_from=books_from,
        books=books,
    )


def endpoints(*data: Path, books: str | None = None) -> Endpoints:
    def files(template: str) -> list[Path]:
        return [Path(template.replace("{data}", str(folder))) for folder in data]

    return Endpoints("https://x", Path("ca.pem"), "http://x", books, {}, files if data else None)


def orders(folder: Path, *rows: tuple[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("create table orders (id text, ref text)")
        database.executemany("insert into orders values (?, ?)", rows)
        database.commit()
    return folder / "shop.db"


NO_CALLS = ServiceCalls("http://127.0.0.1:1", SECRETS)


def test_the_files_of_all_instances_are_the_books(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    orders(one, ("o1", "r-1"))
    orders(two, ("o2", "r-2"), ("o3", "old-3"))
    mine = system(BooksFrom(sqlite="{data}/shop.db"), PAYMENTS)
    counts = read_service(tmp_path, mine, endpoints(one, two), NO_CALLS)
    assert counts == {"books_payments": 3}
    rows = read_folder(tmp_path)["books_payments"].to_pylist()
    assert [row["payment"] for row in rows] == ["o1", "o2", "o3"]


def test_only_what_is_of_this_run_is_kept_where_others_use_the_system_too(tmp_path: Path) -> None:
    file = orders(tmp_path / "1", ("o2", "r-2"), ("o3", "old-3"))
    balances = "select 'cash' as account, 'eur' as currency, 7 as balance_minor"
    mine = system(BooksFrom(sqlite=str(file)), {**PAYMENTS, "books_balances": balances})
    assert read_service(tmp_path, mine, endpoints(), NO_CALLS, only="r-") == {"books_payments": 1}
    assert set(read_folder(tmp_path)) == {"books_payments"}


def test_sqlite_is_read_while_the_service_writes(tmp_path: Path) -> None:
    file = orders(tmp_path, ("o1", "r-1"))
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("begin immediate")
        writer.execute("insert into orders values ('o2', 'r-2')")
        assert len(query_sqlite([file], PAYMENTS)["books_payments"]) == 1
        writer.commit()
    assert len(query_sqlite([file], PAYMENTS)["books_payments"]) == 2


@pytest.mark.parametrize(
    "sql",
    ["delete from orders", "insert into orders values ('x', 'y')", "drop table orders",
     "attach '{other}' as other", "pragma journal_mode = delete", "select nothing from orders",
     "select 1; select 2", "create temp table x (y)"],
)  # fmt: skip
def test_a_query_of_sqlite_can_only_read(tmp_path: Path, sql: str) -> None:
    file, other = orders(tmp_path, ("o1", "r-1")), tmp_path / "other.db"
    with pytest.raises(EnvironmentBroke, match="books: the query of books_payments fails: "):
        query_sqlite([file], {"books_payments": sql.replace("{other}", str(other))})
    assert not other.exists()
    assert len(query_sqlite([file], PAYMENTS)["books_payments"]) == 1


def test_a_file_that_is_missing_or_is_no_database_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBroke, match=r"books: there is no file .*shop\.db; is it where"):
        query_sqlite([tmp_path / "shop.db"], PAYMENTS)
    (tmp_path / "shop.db").write_text("no database, but long enough to look like one" * 9)
    with pytest.raises(EnvironmentBroke, match=r"shop\.db cannot be read|the query of .* fails"):
        query_sqlite([tmp_path / "shop.db"], PAYMENTS)


def test_every_list_of_an_export_is_a_table() -> None:
    answer = {
        "transfers": [{"id": "t1", "amount": "12.34"}, {"id": "t2", "amount": "5", "note": None}],
        "refunds": [],
        "version": 3,
    }
    found = query_export(
        answer,
        {
            "books_payments": "select id as payment, (amount::decimal(18, 2) * 100)::bigint as "
            "amount_minor from transfers order by id",
            "books_refunds": "select id as refund from refunds",
        },
        {},
    )
    assert found == {
        "books_payments": [{"payment": "t1", "amount_minor": 1234},
                           {"payment": "t2", "amount_minor": 500}],
        "books_refunds": [],
    }  # fmt: skip


def test_an_export_that_is_one_list_is_the_table_answer() -> None:
    found = query_export([{"id": 1}, {"id": "b", "x": {"y": 1}}], {"t": "from answer"}, {})
    assert found == {"t": [{"id": "1", "x": None}, {"id": "b", "x": {"y": 1}}]}


JOINED = {
    "left": "select t.id, r.amount from transfers t left join refunds r on r.transfer = t.id",
    "using": "select transfers.id from transfers join refunds using (id)",
    "subquery": "select id, (select sum(amount) from refunds r where r.transfer = t.id) from "
    "transfers t",
}


@pytest.mark.parametrize("sql", JOINED.values(), ids=JOINED)
def test_an_empty_list_beside_others_must_have_its_columns_named(sql: str) -> None:
    answer: dict[str, Any] = {"transfers": [{"id": 1}], "refunds": []}
    with pytest.raises(
        EnvironmentBroke, match=r"asks refunds, which is empty.*books_from\.columns"
    ):
        query_export(answer, {"t": sql}, {})
    columns = {"refunds": ("id", "transfer", "amount")}
    if "sum" not in sql:
        assert len(query_export(answer, {"t": sql}, columns)["t"]) == ("left" in sql)


def test_a_list_that_the_export_leaves_out_is_empty_where_its_columns_are_named() -> None:
    found = query_export({"transfers": [{"id": 1}]}, {"t": "select id from refunds"},
                         {"refunds": ["id"]})  # fmt: skip
    assert found == {"t": []}


@pytest.mark.parametrize(
    "sql",
    ["select * from read_text('/etc/hostname')", "copy (select 1) to '/tmp/payresil-copied'",
     "attach '/tmp/payresil-attached.db'", "select nothing from transfers", "from nowhere",
     "from SECRETS", "select 1; select 2", "set enable_external_access = true"],
)  # fmt: skip
def test_a_query_of_an_export_reaches_nothing_else(sql: str) -> None:
    with pytest.raises(
        EnvironmentBroke, match=r"(?s)the query of t fails: .* has the lists transfers"
    ):
        query_export({"transfers": [{"id": 1}]}, {"t": sql}, {})


@pytest.mark.parametrize("answer", [{}, {"a": 1}, {"a": [1, 2]}, "text", None, 3])
def test_an_export_without_a_list_is_said(answer: Any) -> None:
    with pytest.raises(EnvironmentBroke, match="no list of objects"):
        query_export(answer, {"t": "select 1"}, {})


def test_the_export_is_asked_for_with_the_secrets_of_the_run(serve: Serve) -> None:
    seen: list[str] = []

    def answer(method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        seen.append(f"{method} {path} {headers['Authorization']}")
        return 200, '{"orders": [{"id": "o1", "ref": "r-1"}]}'

    source = BooksFrom(request="GET /export", headers={"Authorization": "Bearer {admin_token}"})
    calls = ServiceCalls(serve(answer), SECRETS)
    found = query_books(system(source, PAYMENTS), endpoints(), calls)
    assert found == {"books_payments": [{"payment": "o1", "intent": "r-1"}]}
    assert seen == ["GET /export Bearer admin"]


def test_an_export_that_fails_is_said(serve: Serve) -> None:
    calls = ServiceCalls(serve(lambda *_: (403, "{}")), SECRETS)
    with pytest.raises(EnvironmentBroke, match="books: GET /export: 403"):
        query_books(system(BooksFrom(request="GET /export"), PAYMENTS), endpoints(), calls)


def test_where_there_is_nothing_to_read_from_the_words_say_what_to_do() -> None:
    assert query_books(system(None, {}), endpoints(), NO_CALLS) == {}
    with pytest.raises(EnvironmentBroke, match=r"no database .* books_from"):
        query_books(system(None, PAYMENTS), endpoints(), NO_CALLS)
    with pytest.raises(EnvironmentBroke, match="let the service export its"):
        query_books(system(BooksFrom(sqlite="{data}/x"), PAYMENTS), endpoints(), NO_CALLS)


def test_a_column_that_the_table_has_not_is_said(tmp_path: Path) -> None:
    file = orders(tmp_path / "1", ("o1", "r-1"))
    mine = system(BooksFrom(sqlite=str(file)), {"books_payments": "select id from orders"})
    with pytest.raises(EnvironmentBroke, match=r"the query of books_payments does not fit: .* id"):
        read_service(tmp_path, mine, endpoints(), NO_CALLS)


class TwoMerchantsPsp:
    """A PSP that others use, too."""

    def truth(self, table: str) -> Any:
        return iter([{"reference": reference, "created_mono_ns": 5}
                     for reference in ("r-1", "other-1", None)])  # fmt: skip

    def pending(self) -> dict[str, int]:
        return {}

    def rule(self, rule: Any) -> Any:
        raise AssertionError


def test_the_psps_payments_of_others_are_left_out(tmp_path: Path) -> None:
    counts = read_psp(tmp_path, TwoMerchantsPsp(), 2, only="r-")
    assert set(counts.values()) == {1}
    (charge,) = read_folder(tmp_path)["psp_charges"].to_pylist()
    assert (charge["reference"], charge["created_ns"]) == ("r-1", 3)
    assert read_psp(tmp_path, TwoMerchantsPsp(), 2)["psp_charges"] == 3
