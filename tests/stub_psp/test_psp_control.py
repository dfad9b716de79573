"""The control plane over HTTP: its credential, its strictness, leases, the clock, metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import requests
import stripe

ROOT = Path(__file__).parents[2]
LOSE = {"point": "after_commit_lost", "action": {"how": "reset"}}


def pay(client, reference, **more):
    return client.v1.payment_intents.create(
        {
            "amount": 1000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "metadata": {"merchant_reference": reference},
            **more,
        }
    )


@pytest.mark.parametrize("token", [None, "", "wrong", "control-token-of-the-tests-and-more"])
def test_without_the_token_nothing_is_told(stub, token):
    for method, path in (
        ("GET", "/_control/health"),
        ("GET", "/nothing"),
        ("DELETE", "/_control/rules"),
    ):
        assert stub.control_text(method, path, token=token)[0] == 401


def test_health(stub):
    assert stub.control("GET", "health") == (200, {"ok": True})


def test_unknown_routes(stub):
    for method, path in (("GET", "nothing"), ("POST", "health"), ("GET", "truth/psp")):
        status, answer = stub.control(method, path)
        assert status == 404
        assert answer["error"]


def test_rules_come_and_go(stub):
    status, made = stub.control("POST", "rules", {**LOSE, "id": "mine", "share": 0.5})
    assert (status, made["id"], made["hits"], made["matched"]) == (201, "mine", 0, 0)
    assert stub.control("GET", "rules/mine") == (200, made)
    assert stub.control("GET", "rules") == (200, {"rules": [made]})
    assert stub.control("POST", "rules", {**LOSE, "id": "mine"})[0] == 400
    assert stub.control("DELETE", "rules/mine") == (200, made)
    assert stub.control("GET", "rules/mine")[0] == 404
    assert stub.control("DELETE", "rules") == (200, {"rules": []})


def test_a_rule_says_whom_it_touched(stub):
    stub.rule(
        id="wrong",
        point="after_commit_wrong",
        match={"reference": "touched"},
        action={"how": "status", "status": 503},
    )
    try:
        pay(stub.client(), "untouched")
        with pytest.raises(stripe.APIError) as caught:
            pay(stub.client(), "touched")
    finally:
        final = stub.control("DELETE", "rules/wrong")[1]
    assert (final["matched"], final["hits"]) == (1, 1)
    assert final["requests"] == [caught.value.request_id]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("rules", {**LOSE, "match": {"endpoint": "refunds.creat"}}, "'refunds.create'"),
        ("rules", "text", "expected an object"),
        ("lease", {"ttl": 5}, "did you mean 'ttl_ms'"),
        ("lease", {"ttl_ms": 0}, "from 1 to"),
        ("lease", {}, "ttl_ms is missing"),
        ("lease", {"ttl_ms": 5, "owner": 7}, "owner"),
        ("clock", {"advance_s": -1}, "from 0 to"),
        ("webhook_endpoints", {"url": "x", "secret": "whsec_123"}, "url"),
        ("webhook_endpoints", {"url": "http://127.0.0.1:1/"}, "secret is missing"),
        (
            "webhook_endpoints",
            {"url": "http://127.0.0.1:1/", "secret": "whsec_123", "enabled_events": "*"},
            "enabled_events",
        ),
        (
            "webhook_endpoints",
            {"url": "http://127.0.0.1:1/", "secret": "whsec_123", "account": "mine"},
            "account",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_explained(stub, path, body, says):
    status, answer = stub.control("POST", path, body)
    assert status == 400
    assert says in answer["error"]


def test_a_body_that_is_no_json(stub):
    answer = requests.post(
        f"http://127.0.0.1:{stub.control_port}/_control/rules",
        data=b"\xff{",
        headers={"Authorization": "Bearer control-token-of-the-tests"},
        timeout=5,
    )
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["error"]


def test_faults_heal_by_themselves_when_the_heartbeat_stops(start_stub):
    stub = start_stub()
    stub.rule(**LOSE)
    assert stub.control("POST", "lease", {"ttl_ms": 60_000})[0] == 200
    assert stub.control("POST", "lease", {"ttl_ms": 50})[0] == 200
    deadline = time.monotonic() + 20
    while stub.control("GET", "rules")[1]["rules"]:
        assert time.monotonic() < deadline
    assert pay(stub.client(), "healed").status == "succeeded"
    assert '"lease_ran_out"' in stub.log.read_text()


def test_each_owner_has_a_lease_of_its_own(start_stub):
    stub = start_stub()
    for owner in ("one", "two", None):
        stub.rule(**LOSE, id=f"of-{owner}", owner=owner)
    stub.control("POST", "lease", {"ttl_ms": 60_000})
    stub.control("POST", "lease", {"ttl_ms": 60_000, "owner": "two"})
    assert stub.control("POST", "lease", {"ttl_ms": 50, "owner": "one"}) == (200, {"ttl_ms": 50})

    def left():
        return [rule["id"] for rule in stub.control("GET", "rules")[1]["rules"]]

    deadline = time.monotonic() + 20
    while "of-one" in left():
        assert time.monotonic() < deadline
    assert left() == ["of-two", "of-None"]
    assert stub.control("DELETE", "lease?owner=two") == (200, {"ttl_ms": None})
    gone = stub.control("DELETE", "rules?owner=two")[1]["rules"]
    assert [(rule["id"], rule["owner"]) for rule in gone] == [("of-two", "two")]
    stub.control("POST", "lease", {"ttl_ms": 50})  # which was not ended with that of another
    while left():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("path", ["rules?owner=", "rules?own=x", "rules?x", "lease?owner="])
def test_an_owner_who_is_not_understood_is_not_everybody(stub, path):
    stub.rule(**LOSE, id="stays", match={"reference": "nobody"})
    try:
        assert stub.control("DELETE", path)[0] == 400
        assert stub.control("GET", "rules/stays")[0] == 200
    finally:
        stub.control("DELETE", "rules/stays")


def test_a_lease_can_be_disarmed(start_stub):
    stub = start_stub()
    stub.rule(**LOSE)
    stub.control("POST", "lease", {"ttl_ms": 60_000})
    assert stub.control("DELETE", "lease") == (200, {"ttl_ms": None})
    assert len(stub.control("GET", "rules")[1]["rules"]) == 1


def test_the_clock_lets_authorizations_expire_and_keys_be_forgotten(start_stub, tmp_path):
    data = tmp_path / "data"
    stub = start_stub(data=data)
    client = stub.client()
    held = pay(client, "held", capture_method="manual")
    before = stub.control("GET", "clock")[1]["now_s"]
    answer = stub.control("POST", "clock", {"advance_s": 7 * 86_400})[1]
    assert answer["expired_authorizations"] == 1
    assert answer["now_s"] >= before + 7 * 86_400
    gone = client.v1.payment_intents.retrieve(held.id)
    assert (gone.status, gone.cancellation_reason) == ("canceled", "automatic")
    (event, *_) = client.v1.events.list({"type": "charge.expired"}).data
    assert event.request.id is None
    stub.kill()
    after = start_stub(data=data)  # the clock does not go back
    assert after.control("GET", "clock")[1]["now_s"] >= answer["now_s"]


def test_the_cardholder_can_authenticate(stub):
    client = stub.client()
    waiting = pay(client, "3ds", payment_method="pm_card_threeDSecure2Required")
    path = f"authenticate/{waiting.id}"
    assert stub.control("POST", path, {"passed": True})[1]["status"] == "succeeded"
    assert client.v1.payment_intents.retrieve(waiting.id).status == "succeeded"
    assert stub.control("POST", path, {"passed": True})[0] == 409
    assert stub.control("POST", "authenticate/pi_none", {"passed": True})[0] == 404
    assert stub.control("POST", path, {"passed": "yes"})[0] == 400


def test_the_god_view_has_the_columns_the_harness_keeps(stub):
    client = stub.client(f"sk_test_{uuid.uuid4().hex}")
    intent = pay(client, "columns")
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    columns = {
        "psp_attempts": "request account endpoint reference key received_mono_ns"
        " answered_mono_ns status replayed rule point payment_intent charge",
        "psp_charges": "charge payment_intent reference key request amount_minor captured_minor"
        " refunded_minor currency status captured created_mono_ns clock_s",
        "psp_refunds": "refund charge payment_intent reference key request amount_minor currency"
        " status created_mono_ns clock_s",
        "psp_events": "event type object reference attempt at_mono_ns answered_mono_ns status"
        " delivered",
    }
    for table, names in columns.items():
        rows = [row for row in stub.truth(table) if row["reference"] == "columns"]
        assert rows, table
        assert list(rows[0]) == names.split(), table


def test_the_god_view_is_streamed_whole(start_stub):
    stub = start_stub()
    client = stub.client()
    for n in range(510):  # more than one batch
        client.v1.payment_intents.create({"amount": 1000 + n, "currency": "usd"})
    assert len({row["request"] for row in stub.truth("psp_attempts")}) == 510


def test_what_failed_validation_is_in_the_god_view(stub):
    client = stub.client(f"sk_test_{uuid.uuid4().hex}")
    account = client.v1.accounts.retrieve_current().id
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create({"currency": "usd"}, {"idempotency_key": "invalid-1"})
    rows = [row for row in stub.truth("psp_attempts") if row["account"] == account]
    assert [(row["endpoint"], row["status"], row["key"]) for row in rows] == [
        ("account.retrieve", 200, None),
        ("payment_intents.create", 400, "invalid-1"),
    ]


def test_metrics(start_stub):
    stub = start_stub()
    stub.rule(**LOSE, match={"reference": "lost"})
    pay(stub.client(), "fine")
    with pytest.raises(stripe.APIConnectionError):
        pay(stub.client(), "lost")
    status, text = stub.control_text("GET", "/metrics", token=None)
    assert status == 200
    for line in (
        'stub_psp_requests_total{endpoint="payment_intents.create",status="200"} 1',
        'stub_psp_requests_total{endpoint="payment_intents.create",status="none"} 1',
        'stub_psp_events_total{type="payment_intent.succeeded"} 2',
        'stub_psp_rule_hits_total{rule="rule-1"} 1',
        "stub_psp_webhooks_pending 0",
        "stub_psp_requests_in_flight 0",
    ):
        assert line in text.splitlines()


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "stub_psp", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--data"),
        (["--memory", "--data", "x"], "not allowed"),
        (["--memory", "--port", "70000"], "not a port"),
        (["--memory", "--webhook-ca", "/nowhere.pem"], "no such file"),
        (["--memory", "--webhook-delays", "1,x"], "number of seconds"),
        (["--memory"], "STUB_PSP_CONTROL_TOKEN"),
    ],
)
def test_a_wrong_start_is_explained(arguments, says):
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_and_a_file_that_is_no_store(stub, tmp_path):
    taken = run("--memory", "--port", str(stub.port), STUB_PSP_CONTROL_TOKEN="t")
    assert taken.returncode == 1
    assert str(stub.port) in taken.stderr
    (tmp_path / "stub_psp.sqlite3").write_bytes(b"no database at all" * 100)
    broken = run("--data", str(tmp_path), STUB_PSP_CONTROL_TOKEN="t")
    assert broken.returncode == 1
    assert "Traceback" not in taken.stderr + broken.stderr


def test_logs_are_json(stub):
    for line in stub.log.read_text().splitlines():
        assert {"ts", "level", "event"} <= json.loads(line).keys()
