"""Payments through the whole service, with a real database and the stub PSP."""

import concurrent.futures

import pytest


def test_a_payment_is_charged_once_and_answered_finally(refpay, psp):
    answer = refpay.pay("order-1")

    assert answer.status_code == 201, (answer.text, refpay.node.log())
    assert answer.headers["X-Instance"] == "a/service.1"
    assert answer.headers["X-Region"] == "a"
    paid = answer.json()
    assert (paid["state"], paid["captured_minor"]) == ("succeeded", 1250)
    (charge,) = psp.charges("order-1")
    assert charge["captured_minor"] == 1250
    assert refpay.payment(paid["id"])["state"] == "succeeded"


def test_a_decline_is_a_final_answer(refpay):
    answer = refpay.pay("poor", payment_method="pm_card_chargeDeclined")

    assert answer.status_code == 402
    assert answer.json()["state"] == "declined"
    assert answer.json()["reason"] == "generic_decline"


def test_a_replay_gets_the_same_answer_and_says_so(refpay, psp):
    first = refpay.pay("order-2")
    again = refpay.pay("order-2")

    assert again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert again.json()["id"] == first.json()["id"]
    assert len(psp.charges("order-2")) == 1


def test_a_key_stands_for_one_request(refpay, psp):
    refpay.pay("order-3", key="k")

    other = refpay.pay("order-3", key="k", amount_minor=1)

    assert (other.status_code, other.json()["error"]["code"]) == (400, "key_reused")
    assert len(psp.charges("order-3")) == 1


def test_a_payment_needs_a_key_and_a_token(refpay):
    body = {"reference": "x", "amount_minor": 1, "currency": "eur", "payment_method": "pm_x"}

    assert refpay.call("POST", "/payments", body).status_code == 400
    assert refpay.call("POST", "/payments", body, "k", token="wrong").status_code == 401
    assert refpay.call("POST", "/admin/reconcile").status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 0},
        {"amount_minor": 10.5},
        {"currency": "EUR"},
        {"reference": "no spaces' or quotes"},
        {"surprise": 1},
        {"card": {"number": "4242"}},
        {"payment_method": "pm_card_visa", "card": {"number": "4242424242424242",
         "exp_month": 1, "exp_year": 2040, "cvc": "123"}},
    ],
)  # fmt: skip
def test_bad_payments_are_refused_without_quoting_them(refpay, change):
    answer = refpay.pay("bad", **change)

    assert answer.status_code == 400
    assert "4242" not in answer.text


def test_while_the_first_request_runs_its_key_is_in_flight(refpay, psp):
    psp.rule("before_commit", "delay", action={"delay_ms": 300})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: refpay.pay("crowd"), range(8)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(201) >= 1
    assert set(statuses) <= {201, 409}
    assert all(a.json()["error"]["code"] == "in_flight" for a in answers if a.status_code == 409)
    assert len(psp.charges("crowd")) == 1


def test_an_authorization_is_captured_or_cancelled_once(refpay, psp):
    held = refpay.pay("hold", capture="manual").json()
    assert held["state"] == "authorized"
    path = f"/payments/{held['id']}"

    captured = refpay.call("POST", f"{path}/capture", {"amount_minor": 1000}, "c1")
    assert captured.status_code == 201, captured.text
    assert refpay.payment(held["id"])["captured_minor"] == 1000
    assert refpay.call("POST", f"{path}/cancel", {}, "c2").status_code == 422
    again = refpay.call("POST", f"{path}/capture", {"amount_minor": 1000}, "c1")
    assert again.headers["Idempotent-Replayed"] == "true"
    (charge,) = psp.charges("hold")
    assert charge["captured_minor"] == 1000


def test_an_authorization_is_given_back(refpay):
    held = refpay.pay("changed-mind", capture="manual").json()

    answer = refpay.call("POST", f"/payments/{held['id']}/cancel", {}, "cancel")

    assert (answer.status_code, answer.json()["state"]) == (201, "succeeded")
    assert refpay.payment(held["id"])["state"] == "canceled"


def test_what_was_paid_is_found_by_its_reference(refpay):
    refpay.pay("twice", key="one")
    refpay.pay("twice", key="two")

    found = refpay.call("GET", "/payments?reference=twice").json()["payments"]

    assert [payment["reference"] for payment in found] == ["twice", "twice"]
    assert refpay.call("GET", "/payments/pay_none").status_code == 404
