"""Two regions and a witness: one of them acts, and takes over what the other one left."""

import asyncio
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import pytest
import requests

from payresil.refpay.lease.held import Lease
from payresil.refpay.lease.standing import Standing
from payresil.refpay.metrics import Metrics
from payresil.refpay.psp.gateway import Gateway
from payresil.refpay.psp.requests import get_payment
from payresil.refpay.settings import read_settings

from .postgres_server import Postgres

_SCRIPT = (files("payresil.refpay.lease") / "witness.sql").read_text(encoding="utf-8")


class _Witness:
    def __init__(self, postgres, name, wait):
        self._postgres, self._name, self._wait = postgres, name, wait
        self.url = postgres.create(name)
        self._ask(_SCRIPT)

    def _ask(self, statement):
        return self._postgres.sql(self._name, statement).strip()

    def give(self, region):
        """The lease to a region, once the one before has run out."""
        self._wait(lambda: self._ask(f"select taken from lease_take('{region}')") == "t")

    def pass_on(self, region):
        """From the region that has it to another one."""
        self._ask("select lease_retire(epoch) from lease_state()")
        self.give(region)


@pytest.fixture
def witness(postgres, database_name, wait):
    return _Witness(postgres, f"witness_{database_name}", wait)


@pytest.fixture
def start_region(start_refpay, witness):
    """Start an instance of a region."""

    def start(region, **settings):
        place = {"REGION": region, "INSTANCE": f"{region}/service.1"}
        return start_refpay(**{"WITNESS_URL": witness.url, **place, **settings})

    return start


@pytest.fixture
def ready(wait):
    """Wait until an instance is ready."""

    def ready(service):
        wait(lambda: service.call("GET", "/readyz").status_code == 200, service.node.log)
        return service

    return ready


@pytest.fixture
def fenced(wait):
    """Wait until an instance has noticed that it does not hold the lease."""

    def fenced(service):
        wait(lambda: "fenced" in service.call("GET", "/readyz").text, service.node.log)
        return service

    return fenced


def _gauge(service, name):
    lines = service.call("GET", "/metrics").text.splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")]


def _epochs(postgres, database, reference):
    """What each transition of a payment says of its epoch and region."""
    return postgres.sql(
        database,
        "select t.to_state, t.epoch, t.region from transitions t"
        f" join payments p on p.id = t.payment where p.reference = '{reference}' order by t.id",
    ).split()


def test_without_the_lease_nothing_is_done(start_region, psp, postgres, database_name):
    service = start_region("a")

    answers = [
        service.pay("fenced"),
        service.call("GET", "/payments/pay_x"),
        service.call("GET", "/payments?reference=fenced"),
        service.call("POST", "/payments/pay_x/refunds", {}, "key-r"),
        service.deliver({}),
        service.call("GET", "/readyz"),
    ]

    assert [answer.status_code for answer in answers] == [503] * 6
    assert {answer.json()["error"]["code"] for answer in answers} == {"fenced"}
    assert service.call("GET", "/payments/pay_x", token="wrong").status_code == 401
    assert service.call("GET", "/healthz").status_code == 200
    assert _gauge(service, "refpay_lease_held") == [0]
    assert 'refpay_fenced_total{what="create_payment"} 1.0' in service.call("GET", "/metrics").text
    assert [row for row in psp.table("psp_attempts") if row["reference"] == "fenced"] == []
    # Not even the schema: the database may be a former primary.
    tables = "select count(*) from pg_tables where schemaname = 'public'"
    assert postgres.sql(database_name, tables).strip() == "0"


def test_with_the_lease_it_is_ready_soon(
    start_region, witness, ready, psp, postgres, database_name
):
    service = start_region("a")
    witness.give("a")
    began = time.monotonic()
    ready(service)

    # About half a second, on a machine that is not busy.
    assert time.monotonic() - began < 3
    reference = f"first-{database_name}"
    assert service.pay(reference).status_code == 201
    assert (_gauge(service, "refpay_lease_held"), _gauge(service, "refpay_epoch")) == ([1], [1])
    assert _epochs(postgres, database_name, reference) == ["processing|1|a", "succeeded|1|a"]
    (asked,) = [
        row["request"] for row in psp.table("psp_attempts") if row["reference"] == reference
    ]
    assert {"request": asked, "epoch": 1}.items() <= next(
        row for row in psp.table("psp_epochs") if row["request"] == asked
    ).items()


def test_one_region_needs_no_lease(refpay):
    assert refpay.pay("alone").status_code == 201
    assert _gauge(refpay, "refpay_lease_held") == []


def test_a_region_that_lost_the_lease_stops(start_region, witness, ready, fenced):
    service = start_region("a")
    witness.give("a")
    ready(service)
    witness.pass_on("b")

    fenced(service)
    assert service.pay("late").json()["error"]["code"] == "fenced"
    assert service.call("GET", "/admin/in-flight", token="admin-canary").status_code == 200
    assert service.call("POST", "/admin/reconcile", token="admin-canary").status_code == 502
    assert _gauge(service, "refpay_epoch") == [1]


def test_a_region_that_the_witness_does_not_hear_stops_by_itself(
    start_region, witness, ready, fenced, link, postgres, database_name, wait
):
    url = f"postgresql://payments@127.0.0.1:{link.port}/witness_{database_name}"
    service = start_region("a", WITNESS_URL=url)
    witness.give("a")
    ready(service)
    link.silent = True
    # By the witness' clock the lease has run out: the instance stopped before.
    remaining = "select remaining_ms from lease_state()"
    wait(lambda: postgres.sql(f"witness_{database_name}", remaining).strip() == "0")
    assert service.call("GET", "/readyz").status_code == 503

    link.silent = False
    ready(service)
    assert _gauge(service, "refpay_epoch") == [1]


def test_a_region_that_gets_the_lease_back_has_a_new_epoch(
    start_region, witness, ready, fenced, postgres, database_name
):
    service = start_region("a")
    witness.give("a")
    ready(service)
    witness.pass_on("b")
    fenced(service)
    witness.pass_on("a")
    ready(service)

    service.pay("back")
    assert _epochs(postgres, database_name, "back") == ["processing|3|a", "succeeded|3|a"]


def test_what_another_region_left_unknown_is_found_out_soon(
    start_region, witness, ready, psp, wait, postgres, database_name
):
    patient = {"PSP_TIMEOUT_MS": "60000", "PSP_DEADLINE_MS": "60000"}
    first, second = start_region("a", **patient), start_region("b")
    witness.give("a")
    ready(first)
    reference = f"left-{database_name}"
    psp.rule("after_commit_lost", "hang", match={"reference": reference},
             action={"hang_ms": 20_000}, count=1)  # fmt: skip

    def pay():
        with suppress(requests.RequestException):  # it dies with the region
            first.pay(reference)

    customer = threading.Thread(target=pay)
    customer.start()
    wait(lambda: psp.charges(reference))
    first.node.kill()
    customer.join()
    witness.give("b")
    ready(second)

    # Nobody waits for the minute that the request in the other region had the payment to itself.
    second.settled()
    assert _epochs(postgres, database_name, reference) == ["processing|1|a", "succeeded|2|b"]
    assert second.pay(reference).json()["state"] == "succeeded"
    assert len(psp.charges(reference)) == 1


@pytest.fixture
def lost_with_its_region(start_region, witness, ready, postgres, database_name):
    """A payment that was acknowledged in a, of which the books of b know nothing; and b."""

    def lose(reference, **settings):
        apart = postgres.create(f"apart_{database_name}")
        first = start_region("a", **settings)
        second = start_region("b", DATABASE_URL=apart, **settings)
        witness.give("a")
        paid = ready(first).pay(reference).json()
        first.node.kill()
        witness.give("b")
        return paid, ready(second)

    return lose


def test_a_payment_that_was_lost_is_found_when_its_customer_asks_again(
    lost_with_its_region, psp, database_name
):
    reference = f"again-{database_name}"
    paid, second = lost_with_its_region(reference)
    assert second.call("GET", f"/payments/{paid['id']}").status_code == 404

    answer = second.pay(reference)

    assert (answer.status_code, answer.json()["id"]) == (201, paid["id"])
    assert len(psp.charges(reference)) == 1
    assert second.reconcile()["breaks"] == []


def test_a_payment_that_was_lost_is_rebuilt_from_what_the_psp_knows(
    lost_with_its_region, psp, postgres, database_name
):
    reference = f"rebuilt-{database_name}"
    paid, second = lost_with_its_region(reference)

    report = second.reconcile()

    assert [(one["type"], one["remedy"]) for one in report["breaks"]] == [
        ("missing_internal", "adopted")
    ]
    rebuilt = second.payment(paid["id"])
    assert {**rebuilt, "created_at": None} == {**paid, "created_at": None}
    again = second.pay(reference)
    assert (again.status_code, again.json()["id"]) == (201, paid["id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(psp.charges(reference)) == 1
    assert second.reconcile()["breaks"] == []
    assert set(_epochs(postgres, f"apart_{database_name}", reference)) == {
        "processing|2|b", "succeeded|2|b",
    }  # fmt: skip


@pytest.fixture
def standby():
    """A server that has been a primary and is a standby now, until it is promoted."""
    folder = Path(tempfile.mkdtemp(prefix="refpay-standby-"))
    server = Postgres(folder)
    server.start()
    server.create("books")
    server.stop()
    signal = server.data / "standby.signal"
    signal.touch()
    if os.geteuid() == 0:
        shutil.chown(signal, server.user)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_region_is_ready_soon_after_its_database_was_promoted(
    start_region, witness, ready, standby, wait
):
    service = start_region("b", DATABASE_URL=standby.url("books"))
    witness.give("b")
    wait(lambda: _gauge(service, "refpay_lease_held") == [1])
    answer = service.call("GET", "/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    assert service.pay("early").json()["error"]["code"] == "not_ready"
    assert service.call("GET", "/payments?reference=early").status_code == 503

    standby.sql("books", "select pg_promote()")
    began = time.monotonic()
    ready(service)

    # About half a second, on a machine that is not busy.
    assert time.monotonic() - began < 3
    assert service.pay("promoted").status_code == 201


def test_new_key_in_the_other_region_charges_again(lost_with_its_region, psp, database_name):
    reference = f"twice-{database_name}"
    _, second = lost_with_its_region(reference, FLAW="new-key-in-the-other-region")

    assert second.pay(reference).status_code == 201
    assert len(psp.charges(reference)) == 2


def test_failover_without_fencing_goes_on_in_its_old_epoch(
    start_region, witness, ready, postgres, database_name, psp, wait
):
    service = start_region("a", FLAW="failover-without-fencing")
    witness.give("a")
    ready(service)
    wait(lambda: _gauge(service, "refpay_epoch") == [1])
    witness.pass_on("b")
    wait(lambda: _gauge(service, "refpay_lease_held") == [0])
    reference = f"split-{database_name}"

    assert service.call("GET", "/readyz").status_code == 200
    assert service.pay(reference).status_code == 201
    assert _epochs(postgres, database_name, reference) == ["processing|1|a", "succeeded|1|a"]
    assert len(psp.charges(reference)) == 1


def test_keys_not_in_backup_keeps_them_out_of_the_log(start_refpay, postgres, database_name):
    service = start_refpay(FLAW="keys-not-in-backup")
    assert service.pay("kept").status_code == 201

    kind = "select relpersistence from pg_class where relname in ('idempotency_keys', 'payments')"
    assert sorted(postgres.sql(database_name, kind).split()) == ["p", "u"]


def test_nothing_is_sent_to_the_psp_without_the_lease():
    settings = read_settings({
        "DATABASE_URL": "postgresql://h:1/d", "PSP_URL": "http://127.0.0.1:9", "PSP_API_KEY": "k",
        "WEBHOOK_SECRET": "k", "API_TOKEN": "k", "ADMIN_TOKEN": "k",
    })  # fmt: skip
    metrics = Metrics()

    async def never(send):
        raise AssertionError("it was asked")

    async def main():
        standing = Standing(Lease("a", 2000), lambda held: held)
        gateway = Gateway(settings, metrics, lambda state: None, never, standing)
        return await gateway.ask(get_payment("pi_1"), lambda attempt: None)

    answer = asyncio.run(main())
    assert (answer.outcome, answer.state, answer.retry) == ("fenced", None, False)
    assert b'refpay_fenced_total{what="psp"} 1.0' in metrics.text()
