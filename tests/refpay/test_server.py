"""An instance as a process: settings, readiness, the end."""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
import requests
import yaml

from payresil.core.schemas import SCHEMAS
from payresil.refpay.settings import SettingsError, read_settings

_ENOUGH = {
    "DATABASE_URL": "postgresql://u:secret@h:1/d", "PSP_URL": "http://h:1", "PSP_API_KEY": "k1",
    "WEBHOOK_SECRET": "k2", "API_TOKEN": "k3", "ADMIN_TOKEN": "k4",
}  # fmt: skip


def _main(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "payresil.refpay", *arguments], capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
             **environment}, timeout=20, check=False,
    )  # fmt: skip


def test_settings_have_defaults_and_keep_secrets_to_themselves():
    settings = read_settings({**_ENOUGH, "INSTANCE": "b/service.2"})

    assert (settings.instance, settings.region) == ("b/service.2", "b")
    assert settings.psp_timeout_ms == 1000
    assert settings.lease_ms > settings.psp_deadline_ms
    for secret in ("secret@h", "k1", "k2", "k3", "k4"):
        assert secret not in repr(settings)


def test_every_bad_setting_is_named():
    bad = {"DATABASE_URL": "mysql://u:secret@h/d", "PSP_TIMEOUT_MS": "soon", "DB_CONNECTIONS": "0"}

    with pytest.raises(SettingsError) as caught:
        read_settings({**_ENOUGH, **bad, "API_TOKEN": ""})

    for name in ("DATABASE_URL", "PSP_TIMEOUT_MS", "DB_CONNECTIONS", "API_TOKEN"):
        assert name in str(caught.value)
    assert "secret" not in str(caught.value).replace("the PSP's secret", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"PSP_URL": ""}, "PSP_URL is not set"), ({"FLAW": "none-such"}, "known: ack-before-commit")],
)
def test_settings_that_cannot_be_used_end_it_with_2(change, said):
    ended = _main(**{**_ENOUGH, **change})

    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_address_that_is_taken_ends_it_with_2(refpay):
    ended = _main("--port", str(refpay.node.ports["port"]), **_ENOUGH)

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "cannot listen" in ended.stderr


def test_a_database_may_have_several_hosts():
    url = "postgresql://u:p@h1:1,h2:2/d?target_session_attrs=primary"

    assert read_settings({**_ENOUGH, "DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:secret@h1:1,/d"),
        ("DATABASE_URL", "postgresql://u:secret@h1:port/d"),
        ("WITNESS_URL", "http://h:1"),
        ("RENEW_EVERY_MS", "1800"),
    ],
)
def test_what_a_region_cannot_use_is_named(name, value):
    with pytest.raises(SettingsError, match=name) as caught:
        read_settings({**_ENOUGH, name: value})

    assert "secret@" not in str(caught.value)


def test_a_lease_has_defaults():
    settings = read_settings({**_ENOUGH, "WITNESS_URL": "postgresql://u:secret@w:1/d"})

    assert (settings.region_lease_ms, settings.renew_every_ms) == (2000, 400)
    assert "secret" not in repr(settings)
    assert read_settings(_ENOUGH).witness_url is None


def test_flaws_are_listed_as_json():
    listed = json.loads(_main("--list-flaws").stdout)

    assert listed["key-per-attempt"].startswith("A new PSP key")


def test_it_ends_with_0_on_sigterm_and_logs_json(start_refpay):
    service = start_refpay()
    service.pay("one")

    assert service.node.stop() == 0

    lines = [json.loads(line) for line in service.node.log().splitlines()]
    assert {"ts", "level", "event"} <= set.intersection(*(set(line) for line in lines))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lines[0]["ts"])
    assert lines[-1]["event"] == "stopped"


def test_sigterm_does_not_wait_for_a_psp_that_hangs(start_refpay, psp, wait):
    service = start_refpay(PSP_TIMEOUT_MS="60000", PSP_DEADLINE_MS="60000")
    psp.rule("after_commit_lost", "hang", action={"hang_ms": 20_000})

    def pay():
        with suppress(requests.RequestException):  # cut off
            service.pay("interrupted")

    customer = threading.Thread(target=pay)
    customer.start()
    wait(lambda: psp.charges("interrupted"))

    assert service.node.stop() == 0
    customer.join()
    psp.heal()
    service.node.start()
    wait(lambda: service.pay("interrupted").status_code == 201, service.node.log)
    assert len(psp.charges("interrupted")) == 1


def test_messages_are_relayed_once_and_marked(start_refpay, postgres, database_name):
    service = start_refpay()
    paid = service.pay("told").json()
    service.settled()

    (message,) = service.node.events("message")
    assert (message["kind"], message["payment"]) == ("payment.succeeded", paid["id"])
    sent = postgres.sql(database_name, "select count(*) from outbox where sent_at is not null")
    assert sent.strip() == "1"


def test_metrics_count_what_happened(start_refpay):
    service = start_refpay()
    service.pay("counted")
    service.pay("poor", payment_method="pm_card_chargeDeclined")

    text = service.call("GET", "/metrics").text

    assert 'refpay_requests_total{route="create_payment",status="201"} 1.0' in text
    assert 'refpay_requests_total{route="create_payment",status="402"} 1.0' in text
    call = 'refpay_psp_calls_total{endpoint="payment_intents.create",outcome="succeeded"} 1.0'
    assert call in text
    assert "refpay_breaker_state 0.0" in text
    assert "process_cpu_seconds_total" in text


def test_the_books_can_be_read_as_the_harness_reads_them(refpay, postgres):
    from importlib.resources import files

    payment = refpay.pay("read-me").json()
    refpay.call("POST", f"/payments/{payment['id']}/refunds", {"amount_minor": 5}, "read-me-r")
    statements = yaml.safe_load((files("payresil.systems") / "refpay.yaml").read_text())["books"]

    books = {name for name in SCHEMAS if name.startswith("books_")}
    assert set(statements) == books
    for name, statement in statements.items():
        columns = [f"{field.name} {field.type}" for field in SCHEMAS[name]]
        postgres.sql("shared", f"create or replace temp view v as {statement}; select 1")
        found = postgres.sql(
            "shared",
            f"create temp view v as {statement}; select attname || ' ' ||"
            " case format_type(atttypid, null) when 'bigint' then 'int64'"
            " when 'text' then 'string' else format_type(atttypid, null) end"
            " from pg_attribute where attrelid = 'v'::regclass and attnum > 0 order by attnum",
        )
        assert found.strip().split("\n") == columns, name
    row = postgres.sql("shared", f"select * from ({statements['books_payments']}) as b"
                       f" where payment = '{payment['id']}'")  # fmt: skip
    assert row.startswith(f"{payment['id']}|read-me|succeeded|1250|1250|5|eur|pi_")


def test_there_is_nothing_where_nothing_is(refpay):
    assert refpay.call("GET", "/nowhere").status_code == 404
    assert refpay.call("DELETE", "/payments").status_code in (404, 405)
