"""Events of the PSP: signed, applied once, in any order."""

import itertools

import pytest

_numbers = itertools.count(1)


def _event(type_, payment, psp_payment, status, **fields):
    return {
        "id": f"evt_{next(_numbers)}",
        "type": type_,
        "data": {"object": {
            "object": "payment_intent", "id": psp_payment, "status": status,
            "metadata": {"payment": payment["id"], "merchant_reference": payment["reference"]},
            **fields,
        }},
    }  # fmt: skip


@pytest.fixture
def unknown(start_refpay, psp, database_name):
    """A service, and a payment whose answer was lost; nobody else finds out."""
    service = start_refpay(PSP_ATTEMPTS="1", RESOLVE_EVERY_MS="60000")
    psp.rule("after_commit_lost", "reset")
    payment = service.pay(f"order-{database_name}").json()
    assert payment["state"] == "processing"
    (charge,) = psp.charges(payment["reference"])
    return service, payment, charge["payment_intent"]


def _succeeded(payment, psp_payment):
    return _event("payment_intent.succeeded", payment, psp_payment, "succeeded",
                  amount_received=payment["amount_minor"], latest_charge="ch_1")  # fmt: skip


def test_an_event_settles_an_unknown_payment_once(unknown, postgres, database_name):
    service, payment, psp_payment = unknown
    event = _succeeded(payment, psp_payment)

    states = [service.deliver(event).json()["state"] for _ in range(3)]

    assert states == ["applied"] * 3
    assert service.payment(payment["id"])["state"] == "succeeded"
    rows = postgres.sql(database_name, "select deliveries, effects, state from inbox")
    assert rows.split() == ["3|1|applied"]
    assert postgres.sql(database_name, "select count(*) from entries").strip() == "2"


def test_two_events_of_one_transition_change_one_thing(unknown, postgres, database_name):
    service, payment, psp_payment = unknown

    first = service.deliver(_succeeded(payment, psp_payment))
    second = service.deliver(_succeeded(payment, psp_payment))

    assert (first.json()["state"], second.json()["state"]) == ("applied", "ignored")
    effects = postgres.sql(database_name, "select sum(effects), count(*) from inbox")
    assert effects.strip() == "1|2"


def test_late_events_do_not_undo_later_ones(unknown):
    service, payment, psp_payment = unknown
    late = [
        _event("payment_intent.payment_failed", payment, psp_payment, "requires_payment_method",
               last_payment_error={"code": "card_declined"}),
        _event("payment_intent.canceled", payment, psp_payment, "canceled"),
        _event("payment_intent.created", payment, psp_payment, "requires_confirmation"),
    ]  # fmt: skip

    service.deliver(_succeeded(payment, psp_payment))
    states = [service.deliver(event).json()["state"] for event in late]

    assert states == ["ignored"] * 3
    assert service.payment(payment["id"])["state"] == "succeeded"


def test_an_event_of_another_intent_is_not_this_payments(unknown):
    service, payment, psp_payment = unknown
    service.deliver(_event("payment_intent.amount_capturable_updated", payment, psp_payment,
                           "requires_capture"))  # fmt: skip

    other = service.deliver(_succeeded(payment, "pi_other"))

    assert other.json()["state"] == "ignored"
    assert service.payment(payment["id"])["state"] == "authorized"


def test_an_event_of_an_unknown_payment_is_kept(refpay, postgres):
    stranger = {"id": "pay_stranger", "reference": "stranger", "amount_minor": 1}

    answer = refpay.deliver(_succeeded(stranger, "pi_stranger"))

    assert (answer.status_code, answer.json()["state"]) == (200, "received")
    rows = postgres.sql("shared", "select state, object from inbox where reference = 'stranger'")
    assert rows.strip() == "received|pi_stranger"


def test_only_the_psp_is_believed(refpay):
    event = _succeeded({"id": "p", "reference": "r", "amount_minor": 1}, "pi")

    assert refpay.deliver(event, secret="whsec_other").status_code == 400
    assert refpay.deliver(event, age_s=3600).status_code == 400
    unsigned = refpay.call("POST", "/webhooks/psp", event)
    assert (unsigned.status_code, unsigned.json()["error"]["code"]) == (400, "bad_signature")
    assert refpay.deliver({"surprise": True}).json()["error"]["code"] == "malformed"


def test_a_refund_that_fails_later_is_booked_back(refpay, postgres):
    payment = refpay.pay("late-truth").json()
    refund = refpay.call("POST", f"/payments/{payment['id']}/refunds", {}, "late-refund").json()
    assert refpay.payment(payment["id"])["refunded_minor"] == 1250
    event = {
        "id": f"evt_{next(_numbers)}", "type": "refund.failed",
        "data": {"object": {
            "object": "refund", "id": "re_late", "status": "failed", "payment_intent": "pi",
            "metadata": {"payment": payment["id"], "operation": refund["id"]},
        }},
    }  # fmt: skip

    assert refpay.deliver(event).json()["state"] == "applied"
    assert refpay.deliver(event).json()["state"] == "applied"

    assert refpay.payment(payment["id"])["refunded_minor"] == 0
    assert refpay.call("GET", f"/refunds/{refund['id']}").json()["state"] == "failed"
    kinds = postgres.sql(
        "shared", f"select distinct kind from entries where payment = '{payment['id']}' order by 1"
    )
    assert kinds.split() == ["capture", "refund", "reversal"]


def test_the_psps_own_deliveries_are_understood(start_refpay, psp, wait, postgres, database_name):
    service = start_refpay()
    psp.control("POST", "webhook_endpoints",
                {"url": f"{service.url}/webhooks/psp", "secret": "whsec_canary"})  # fmt: skip
    payment = service.pay("hooked").json()
    service.call("POST", f"/payments/{payment['id']}/refunds", {"amount_minor": 50}, "hooked-r")

    wait(lambda: psp.control("GET", "pending").json()["webhooks"] == 0, service.node.log)

    rows = postgres.sql(database_name, "select type, state, effects from inbox").split()
    assert any(row.startswith("payment_intent.succeeded|") for row in rows)
    assert any(row.startswith("refund.created|") for row in rows)
    assert "received" not in "".join(rows)
    assert service.in_flight()["inbox"] == 0
