"""What stands in the samples' system files and scenarios is true of the services."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import requests
import yaml

from payresil.core.mapping import Answer, build, classify
from payresil.core.schemas import SCHEMAS
from payresil.core.system import Api, Operation
from payresil.core.tables import from_rows
from payresil.engine.scenario_file import load_scenario

from .processes import ADMIN_TOKEN, API_TOKEN, EXAMPLES, Service, session, until
from .shop import Shop
from .wallet import Wallet

NAMES = ("flask-shop", "node-wallet")
SCENARIOS = sorted(EXAMPLES.glob("*/scenarios/*.yaml"))


def system(name: str) -> dict[str, Any]:
    """A system file as plain data."""
    return dict(yaml.safe_load((EXAMPLES / name / "system.yaml").read_text(encoding="utf-8")))


class Customer:
    """Pays a service by nothing but what its system file says."""

    def __init__(self, service: Service, described: dict[str, Any], intent: str) -> None:
        api = dict(described["api"])
        operations = {name: Operation(**each) for name, each in api.pop("operations").items()}
        self._api = Api(operations=operations, **api)
        self._service = service
        self._values: dict[str, Any] = {
            "intent": intent, "amount_minor": 1234, "amount_decimal": "12.34", "currency": "eur",
            "currency_upper": "EUR", "api_token": API_TOKEN, "admin_token": ADMIN_TOKEN,
        }  # fmt: skip
        self._session = session()

    def ask(self, operation: str, key: str | None = None) -> Answer:
        request = build(self._api, operation, self._values, key=key)
        reply: requests.Response = self._session.request(
            request.method, self._service.url + request.path, headers=request.headers,
            data=request.body, timeout=15,
        )  # fmt: skip
        headers = {name.lower(): value for name, value in reply.headers.items()}
        answer = classify(self._api, operation, reply.status_code, headers, reply.content)
        self._values.setdefault("payment", answer.payment)
        return answer

    def final(self, operation: str) -> Answer:
        """The answer of a read, once it is one."""
        answers: list[Answer] = []

        def answered() -> bool:
            answers.append(self.ask(operation))
            return answers[-1].final

        until(answered, lambda: answers[-1])
        return answers[-1]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_a_scenario_can_be_read(path: Path) -> None:
    scenario = load_scenario(path, recorded=True)
    assert scenario.name == path.stem
    assert (path.parent / scenario.system.name).resolve() == path.parents[1] / "system.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_each_sample_has_a_scenario_that_finds_its_flaw_and_one_that_passes(name: str) -> None:
    named = [path.stem for path in SCENARIOS if path.parts[-3] == name]
    assert len(named) == 2
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    for scenario in named:
        assert f"scenarios/{scenario}.yaml" in text


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_share_no_code_with_the_project(name: str) -> None:
    sources = [path for kind in ("py", "js") for path in (EXAMPLES / name).glob(f"*.{kind}")]
    assert sources
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert "payresil" not in text
        assert "stub_psp" not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_service_is_told_all_that_it_needs(name: str) -> None:
    told = set(system(name)["service"]["environment"])
    source = next(path for path in (EXAMPLES / name).iterdir() if path.stem in ("app", "server"))
    required = source.read_text(encoding="utf-8").split("REQUIRED = ")[1].split("\n")[0]
    assert {word.strip("()[]; ,'\"") for word in required.split()} <= told | {"HOST", "PORT"}


def test_the_shop_is_as_its_system_file_says(start_shop, shop_psp) -> None:
    shop: Shop = start_shop()
    described = system("flask-shop")
    customer = Customer(shop, described, "described-1")
    assert customer.ask("create", key="k").state == "succeeded"
    assert customer.ask("create", key="k").final
    assert customer.ask("refund", key="r").state == "succeeded"
    assert customer.ask("read").state == customer.ask("find").state == "succeeded"
    until(lambda: shop_psp.delivered("described-1"))
    for job, counters in (("settle", ["orders", "refunds"]), ("reconcile", ["finished"])):
        assert [shop.staff(*described[job]["request"].split())[each] for each in counters] == (
            [0] * len(counters)
        )
    assert described["settle"]["zero"] == ["orders", "refunds"]
    assert described["reconcile"]["remedied"] == "finished"


def test_the_shops_books_are_read_as_its_system_file_says(start_shop, shop_psp) -> None:
    shop: Shop = start_shop()
    paid = shop.order("booked-1").json()["id"]
    shop.refund(paid, 250, "booked-1-refund")
    shop.order("booked-2", payment_token="pm_card_visa_chargeDeclined")
    until(lambda: shop_psp.delivered("booked-1") and shop_psp.delivered("booked-2"))
    books = _books("flask-shop", lambda sql: _sqlite(shop.database, sql))
    payments = books["books_payments"].to_pylist()
    assert [(row["intent"], row["state"], row["captured_minor"], row["refunded_minor"])
            for row in payments] == [("booked-1", "succeeded", 1250, 250),
                                     ("booked-2", "declined", 0, 0)]  # fmt: skip
    assert payments[0]["psp_payment"] == shop_psp.charges("booked-1")[0]["payment_intent"]
    (refund,) = books["books_refunds"].to_pylist()
    assert (refund["intent"], refund["payment"], refund["state"]) == ("booked-1", paid, "succeeded")
    inbox = books["books_inbox"].to_pylist()
    assert {row["intent"] for row in inbox} == {"booked-1", "booked-2"}


@pytest.mark.node
def test_the_wallet_is_as_its_system_file_says(start_wallet) -> None:
    customer = Customer(start_wallet(), system("node-wallet"), "described-2")
    accepted = customer.ask("create", key="k")
    assert (accepted.outcome, accepted.pending, accepted.status) == ("unknown", True, 202)
    assert customer.final("read").state == "succeeded"
    assert customer.ask("create", key="k").state == "succeeded"
    assert customer.ask("find").payment == accepted.payment


@pytest.mark.node
def test_the_wallets_books_are_read_as_its_system_file_says(start_wallet, wallet_psp) -> None:
    wallet: Wallet = start_wallet()
    wallet.polled(wallet.transfer("booked-3"))
    wallet.polled(wallet.transfer("booked-4", amount="500", currency="JPY"))
    wallet.polled(wallet.transfer("booked-5", source="pm_card_visa_chargeDeclined"))
    books = _books("node-wallet", lambda sql: _exported(wallet.export(), sql))
    payments = books["books_payments"].to_pylist()
    assert [(row["intent"], row["state"], row["amount_minor"], row["captured_minor"],
             row["currency"]) for row in payments] == [
        ("booked-3", "succeeded", 1234, 1234, "eur"), ("booked-4", "succeeded", 500, 500, "jpy"),
        ("booked-5", "declined", 1234, 0, "eur"),
    ]  # fmt: skip
    assert payments[0]["psp_payment"] == wallet_psp.charges("booked-3")[0]["payment_intent"]
    assert all(row["created_us"] <= row["updated_us"] for row in payments)


def _books(name: str, ask: Any) -> dict[str, pa.Table]:
    """Every table of the books by the query of the system file, as a run would keep it."""
    tables = {}
    for table, sql in system(name)["books"].items():
        rows = ask(sql)
        assert rows
        assert set(rows[0]) <= set(SCHEMAS[table].names)
        tables[table] = from_rows(table, rows)
    return tables


def _sqlite(path: Path, sql: str) -> list[dict[str, Any]]:
    books = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    books.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in books.execute(sql)]
    finally:
        books.close()


def _exported(transfers: list[dict[str, Any]], sql: str) -> list[dict[str, Any]]:
    with duckdb.connect() as database:
        database.register("transfers", pa.Table.from_pylist(transfers))
        return [dict(row) for row in database.sql(sql).to_arrow_table().to_pylist()]
