"""Lost answers, crashes and outages: the outcome becomes known, and money moves once."""

import threading

import requests


def test_an_answer_lost_once_is_found_by_the_retry(refpay, psp):
    psp.rule("after_commit_lost", "reset", match={"reference": "lost-1", "nth": 1})

    answer = refpay.pay("lost-1")

    assert (answer.status_code, answer.json()["state"]) == (201, "succeeded")
    assert len(psp.charges("lost-1")) == 1


def test_an_unknown_outcome_is_202_until_the_psp_answers(refpay, psp, wait):
    psp.rule("after_commit_lost", "hang", match={"reference": "lost-2"}, action={"hang_ms": 2000})

    first = refpay.pay("lost-2")
    assert (first.status_code, first.json()["state"]) == (202, "processing")
    assert first.headers["Location"] == f"/payments/{first.json()['id']}"
    assert refpay.pay("lost-2").status_code == 202

    psp.heal()
    wait(lambda: refpay.payment(first.json()["id"])["state"] == "succeeded", refpay.node.log)
    again = refpay.pay("lost-2")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert len(psp.charges("lost-2")) == 1


def test_an_unknown_outcome_of_a_token_is_resolved_too(refpay, psp, wait):
    psp.rule("before_commit", "reset", match={"reference": "lost-3"})
    first = refpay.pay("lost-3", payment_method="pm_card_visa")
    assert first.status_code == 202

    psp.heal()
    wait(lambda: refpay.payment(first.json()["id"])["state"] == "succeeded", refpay.node.log)
    assert len(psp.charges("lost-3")) == 1


def test_a_stored_500_after_the_charge_is_looked_up(refpay, psp, wait):
    psp.rule("after_commit_wrong", "status", match={"reference": "wrong"},
             action={"status": 500, "store": True})  # fmt: skip

    first = refpay.pay("wrong")

    assert first.status_code in (201, 202)
    wait(lambda: refpay.payment(first.json()["id"])["state"] == "succeeded", refpay.node.log)
    assert len(psp.charges("wrong")) == 1


def test_a_killed_instance_resolves_what_it_was_at(start_refpay, psp, wait):
    service = start_refpay(PSP_TIMEOUT_MS="5000", PSP_DEADLINE_MS="5000")
    psp.rule("after_commit_lost", "hang", match={"reference": "crash"}, action={"hang_ms": 4000})

    def pay() -> None:
        try:
            service.pay("crash")
        except requests.RequestException:
            return  # it dies with the service

    customer = threading.Thread(target=pay)
    customer.start()
    wait(lambda: psp.charges("crash"))
    service.node.kill()
    customer.join()
    psp.heal()
    service.node.start()

    def found() -> list[dict[str, object]]:
        return list(service.call("GET", "/payments?reference=crash").json()["payments"])

    wait(lambda: [payment["state"] for payment in found()] == ["succeeded"], service.node.log)
    again = service.pay("crash")
    assert (again.status_code, again.json()["id"]) == (201, found()[0]["id"])
    assert len(psp.charges("crash")) == 1


def test_a_killed_instance_gives_up_what_never_reached_the_psp(start_refpay, psp, wait):
    """The card went with the process: the payment is failed for good, and the key with it."""
    service = start_refpay(PSP_TIMEOUT_MS="5000", PSP_DEADLINE_MS="5000")
    psp.rule("before_commit", "hang", match={"reference": "never"}, action={"hang_ms": 4000})

    def pay() -> None:
        try:
            service.pay("never")
        except requests.RequestException:
            return  # it dies with the service

    customer = threading.Thread(target=pay)
    customer.start()
    wait(lambda: [row for row in psp.table("psp_attempts") if row["reference"] == "never"])
    service.node.kill()
    customer.join()
    psp.heal()
    service.node.start()

    wait(lambda: service.pay("never").status_code == 402, service.node.log)
    assert service.pay("never").json()["state"] == "failed"
    assert service.pay("never").json()["reason"] == "never_reached_psp"
    assert psp.charges("never") == []
    assert service.pay("never", key="a new one").status_code == 201


def test_an_open_circuit_answers_at_once_and_keeps_the_payments(start_refpay, psp, wait):
    service = start_refpay(BREAKER_FAILURES="3")
    psp.rule("before_commit", "reset")

    answers = [service.pay(f"outage-{n}") for n in range(6)]

    assert {answer.status_code for answer in answers} == {202}
    assert "open" in [event["state"] for event in service.node.events("psp.circuit")]
    psp.heal()
    for n, answer in enumerate(answers):
        wait(lambda a=answer: service.payment(a.json()["id"])["state"] == "succeeded",
             service.node.log)  # fmt: skip
        assert len(psp.charges(f"outage-{n}")) == 1
    assert service.in_flight()["payments"] == 0


def test_declines_do_not_open_the_circuit(start_refpay):
    service = start_refpay(BREAKER_FAILURES="2")

    states = [service.pay(f"poor-{n}", payment_method="pm_card_chargeDeclined").status_code
              for n in range(5)]  # fmt: skip

    assert states == [402] * 5
    assert service.node.events("psp.circuit") == []


def test_a_new_key_per_attempt_charges_twice(start_refpay, psp):
    """The flaw that the harness must catch, and what the sound service does not do."""
    service = start_refpay(FLAW="key-per-attempt")
    psp.rule("after_commit_lost", "reset", match={"reference": "flawed", "nth": 1})

    answer = service.pay("flawed")

    assert answer.status_code == 201
    assert len(psp.charges("flawed")) == 2


def test_without_a_database_nothing_is_done_and_it_says_so(start_refpay, psp, dead_database):
    service = start_refpay(DATABASE_URL=dead_database, DB_TIMEOUT_MS="200")

    answer = service.pay("no-books")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert service.call("GET", "/readyz").status_code == 503
    assert service.call("GET", "/healthz").status_code == 200
    assert psp.charges("no-books") == []


def test_what_the_books_lost_is_not_charged_again(start_refpay, psp, postgres, database_name):
    """As after the loss of a region whose newest commits were not replicated."""
    service = start_refpay()
    reference = f"amnesia-{database_name}"
    first = service.pay(reference).json()
    forget = "set session_replication_role = replica; delete from "
    for table in ("payments", "idempotency_keys", "transitions", "entries", "balances", "outbox"):
        postgres.sql(database_name, forget + table)

    again = service.pay(reference)

    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    assert "Idempotent-Replayed" not in again.headers
    assert len(psp.charges(reference)) == 1


def test_another_instance_finishes_what_a_killed_one_was_at(start_refpay, psp, wait):
    doomed = start_refpay(PSP_TIMEOUT_MS="1500", PSP_DEADLINE_MS="1500", DB_TIMEOUT_MS="400")
    other = start_refpay(INSTANCE="a/service.2", DB_TIMEOUT_MS="400")
    psp.rule("after_commit_lost", "hang", match={"reference": "orphaned"}, action={"hang_ms": 900})

    def pay() -> None:
        try:
            doomed.pay("orphaned")
        except requests.RequestException:
            return  # it dies with the service

    customer = threading.Thread(target=pay)
    customer.start()
    wait(lambda: psp.charges("orphaned"))
    doomed.node.kill()
    customer.join()
    psp.heal()

    assert other.pay("orphaned").json()["error"]["code"] == "in_flight"
    wait(lambda: other.pay("orphaned").status_code == 201, other.node.log)
    assert len(psp.charges("orphaned")) == 1


def test_a_held_card_is_paid_by_its_own_instance_however_long_it_takes(start_refpay, psp, wait):
    """The other instance, without the card, could only give the payment up."""
    owner = start_refpay(BREAKER_FAILURES="1", BREAKER_OPEN_MS="4000")
    other = start_refpay(INSTANCE="a/service.2")
    psp.rule("before_commit", "reset", match={"reference": "patient"})
    payment = owner.pay("patient").json()
    assert payment["state"] == "processing"
    psp.heal()

    wait(lambda: other.payment(payment["id"])["state"] != "processing", owner.node.log)

    assert other.payment(payment["id"])["state"] == "succeeded"
    assert other.node.events("payment.resolved") == []
