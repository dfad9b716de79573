"""Each flaw does its harm when it should, and is one policy away from the sound service."""

import concurrent.futures
import subprocess
import threading
from dataclasses import fields

import pytest
import requests

from payresil.refpay.flaws import UnknownFlawError, describe, load
from payresil.refpay.policies import SOUND


@pytest.mark.parametrize("name", sorted(describe()))
def test_a_flaw_replaces_one_policy(name):
    flawed = load(name)

    changed = [
        policy.name
        for policy in fields(SOUND)
        if getattr(flawed, policy.name) != getattr(SOUND, policy.name)
    ]
    assert len(changed) == 1
    assert describe()[name].endswith(".")


def test_no_flaw_is_the_sound_service():
    assert load(None) is SOUND


def test_an_unknown_flaw_names_the_known_ones():
    with pytest.raises(UnknownFlawError, match="key-per-attempt"):
        load("nonsense")


@pytest.fixture
def hold_table(postgres, database_name, wait):
    """Keep a table from being written to, while it can be read, until released."""
    sessions = []

    def hold(table):
        session = subprocess.Popen(
            [str(postgres.bin / "psql"), "-X", "-q", "-A", "-t", postgres.url(database_name)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        session.stdin.write(f"begin; lock table {table} in share mode; select 1;\n")
        session.stdin.flush()
        assert session.stdout.readline().strip() == "1"
        sessions.append(session)

    def waiting(number):
        blocked = "select count(*) from pg_locks where not granted"
        wait(lambda: int(postgres.sql(database_name, blocked)) >= number)

    def release():
        while sessions:
            sessions.pop().communicate("rollback;\n")

    hold.waiting, hold.release = waiting, release
    yield hold
    release()


def test_check_then_insert_lets_two_through(start_refpay, psp, hold_table, database_name):
    service = start_refpay(FLAW="check-then-insert")
    reference = f"both-{database_name}"
    hold_table("idempotency_keys")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(service.pay, reference) for _ in range(2)]
        hold_table.waiting(2)
        hold_table.release()

    assert [answer.result().status_code for answer in answers] == [201, 201]
    assert len(psp.charges(reference)) == 2


def test_refund_race_reserves_more_than_was_captured(start_refpay, hold_table):
    service = start_refpay(FLAW="refund-race")
    payment = service.pay("race").json()
    path = f"/payments/{payment['id']}/refunds"
    hold_table("operations")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = [
            pool.submit(service.call, "POST", path, {"amount_minor": 1000}, f"r{n}")
            for n in range(2)
        ]
        hold_table.waiting(2)
        hold_table.release()

    # The PSP refuses the second, so it fails; the sound service never asks (422).
    assert sorted(answer.result().status_code for answer in answers) == [201, 402]


def test_timeout_is_failure_orphans_a_charge(start_refpay, psp, database_name):
    service = start_refpay(FLAW="timeout-is-failure", PSP_ATTEMPTS="1")
    reference = f"orphan-{database_name}"
    psp.rule("after_commit_lost", "reset")

    answer = service.pay(reference)

    assert (answer.status_code, answer.json()["state"]) == (402, "failed")
    assert len(psp.charges(reference)) == 1


def test_psp_call_in_transaction_forgets_a_charge(start_refpay, psp, wait, database_name):
    service = start_refpay(FLAW="psp-call-in-transaction", PSP_TIMEOUT_MS="5000",
                           PSP_DEADLINE_MS="5000", DB_TIMEOUT_MS="5000")  # fmt: skip
    reference = f"forgotten-{database_name}"
    assert service.pay("calm").status_code == 201
    psp.rule("after_commit_lost", "hang", action={"hang_ms": 4000})

    def pay():
        try:
            service.pay(reference)
        except requests.RequestException:
            return  # it dies with the service

    customer = threading.Thread(target=pay)
    customer.start()
    wait(lambda: psp.charges(reference))
    service.node.kill()
    customer.join()
    psp.heal()
    service.node.start()

    found = service.call("GET", f"/payments?reference={reference}").json()
    assert found == {"payments": []}


def test_blind_status_overwrite_undoes_a_payment(start_refpay):
    service = start_refpay(FLAW="blind-status-overwrite")
    payment = service.pay("paid").json()
    late = {
        "id": "evt_late", "type": "payment_intent.payment_failed",
        "data": {"object": {
            "object": "payment_intent", "id": "pi", "status": "requires_payment_method",
            "metadata": {"payment": payment["id"]},
        }},
    }  # fmt: skip

    service.deliver(late)

    assert service.payment(payment["id"])["state"] == "declined"


def test_ack_before_commit_does_not_wait_for_the_log(start_refpay, postgres, database_name):
    service = start_refpay(FLAW="ack-before-commit")

    assert service.pay("quick").status_code == 201
    assert load("ack-before-commit").session == {"synchronous_commit": "off"}


def test_sheds_events_answers_what_it_does_not_write_down(
    start_refpay, hold_table, postgres, database_name
):
    service = start_refpay(FLAW="sheds-events", DB_TIMEOUT_MS="5000")
    payment = service.pay("told").json()
    first, second = (
        {
            "id": id_, "type": "payment_intent.succeeded",
            "data": {"object": {
                "object": "payment_intent", "id": "pi_told", "status": "succeeded",
                "amount_received": 1250, "metadata": {"payment": payment["id"]},
            }},
        }
        for id_ in ("evt_first", "evt_second")
    )  # fmt: skip
    hold_table("inbox")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(service.deliver, first)
        hold_table.waiting(1)
        assert service.deliver(second).status_code == 200
        hold_table.release()
    assert answer.result().status_code == 200

    heard = postgres.sql(
        database_name, "select event from inbox where event in ('evt_first', 'evt_second')"
    )
    assert heard.split() == ["evt_first"]


def test_hedged_requests_ask_twice_and_charge_once(start_refpay, psp, database_name):
    service = start_refpay(FLAW="hedged-requests")
    reference = f"hedged-{database_name}"

    assert service.pay(reference).status_code == 201

    asked = [row for row in psp.table("psp_attempts") if row["reference"] == reference]
    assert len(asked) >= 2
    assert {row["key"] for row in asked} == {asked[0]["key"]}
    assert len(psp.charges(reference)) == 1


def test_metrics_count_success_leaves_refusals_out(start_refpay):
    service = start_refpay(FLAW="metrics-count-success")
    assert service.pay("counted").status_code == 201
    assert service.call("GET", "/payments/nowhere").status_code == 404

    metrics = service.call("GET", "/metrics").text

    assert 'refpay_requests_total{route="create_payment",status="201"} 1.0' in metrics
    assert 'status="404"' not in metrics


def test_log_without_trace_names_no_payment_of_a_customer(start_refpay):
    service = start_refpay(FLAW="log-without-trace")
    assert service.pay("nameless").status_code == 201

    (line,) = service.node.events("payment.answered")
    assert line["state"] == "succeeded"
    assert "nameless" not in service.node.log()
