"""Captures, cancellations and refunds whose answers are lost, or that are asked for twice."""

from __future__ import annotations

import concurrent.futures

import pytest

from payresil.core.mapping import build, classify
from payresil.engine.system_file import load_system


def _capture(service, payment, key, amount):
    return service.call("POST", f"/payments/{payment['id']}/capture", {"amount_minor": amount}, key)


def _cancel(service, payment, key):
    return service.call("POST", f"/payments/{payment['id']}/cancel", {}, key)


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_lost_capture_of_a_part_is_found_again(refpay, psp, wait, how):
    held = refpay.pay(f"lost-capture-{how}", capture="manual").json()
    psp.rule("after_commit_lost", how, match={"endpoint": "payment_intents.capture"})

    answer = _capture(refpay, held, f"lost-capture-{how}-c", 400)
    assert (answer.status_code, answer.json()["state"]) == (202, "processing")

    psp.heal()
    wait(lambda: _capture(refpay, held, f"lost-capture-{how}-c", 400).status_code == 201,
         refpay.node.log)  # fmt: skip
    payment = refpay.payment(held["id"])
    assert (payment["state"], payment["captured_minor"]) == ("succeeded", 400)
    (charge,) = psp.charges(f"lost-capture-{how}")
    assert (charge["captured_minor"], charge["refunded_minor"]) == (400, 0)


def test_a_capture_that_never_arrived_is_made_once(refpay, psp, wait):
    held = refpay.pay("unsent-capture", capture="manual").json()
    psp.rule("before_commit", "reset", match={"endpoint": "payment_intents.capture"})
    assert _capture(refpay, held, "unsent-capture-c", 400).status_code == 202
    assert refpay.payment(held["id"])["state"] == "authorized"
    assert _cancel(refpay, held, "unsent-capture-x").status_code == 422

    psp.heal()
    wait(lambda: refpay.payment(held["id"])["state"] == "succeeded", refpay.node.log)
    (charge,) = psp.charges("unsent-capture")
    assert charge["captured_minor"] == 400


def test_a_lost_cancellation_is_found_again(refpay, psp, wait):
    held = refpay.pay("lost-cancel", capture="manual").json()
    psp.rule("after_commit_lost", "reset", match={"endpoint": "payment_intents.cancel"})
    assert _cancel(refpay, held, "lost-cancel-x").status_code == 202

    psp.heal()
    wait(lambda: _cancel(refpay, held, "lost-cancel-x").status_code == 201, refpay.node.log)
    assert refpay.payment(held["id"])["state"] == "canceled"
    assert _capture(refpay, held, "lost-cancel-c", 100).status_code == 422
    (charge,) = psp.charges("lost-cancel")
    assert charge["captured_minor"] == 0


def test_a_capture_asked_for_twice_at_once_is_one(refpay, psp):
    held = refpay.pay("double-capture", capture="manual").json()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda _: _capture(refpay, held, "double-capture-c", 700), range(4))
        )

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    (charge,) = psp.charges("double-capture")
    assert charge["captured_minor"] == 700
    assert refpay.payment(held["id"])["captured_minor"] == 700


def test_a_capture_and_a_cancellation_at_once_are_one_of_them(refpay, psp):
    for n in range(5):
        held = refpay.pay(f"either-{n}", capture="manual").json()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            capture = pool.submit(_capture, refpay, held, f"either-{n}-c", 700)
            cancel = pool.submit(_cancel, refpay, held, f"either-{n}-x")
        statuses = capture.result().status_code, cancel.result().status_code
        assert sorted(statuses) == [201, 422]
        state = refpay.payment(held["id"])["state"]
        assert state == ("succeeded" if statuses[0] == 201 else "canceled")
        (charge,) = psp.charges(f"either-{n}")
        assert charge["captured_minor"] == (700 if statuses[0] == 201 else 0)


def test_no_more_is_given_back_than_was_captured_of_a_part(refpay, psp):
    held = refpay.pay("part", capture="manual").json()
    assert _capture(refpay, held, "part-c", 400).status_code == 201
    path = f"/payments/{held['id']}/refunds"

    assert refpay.call("POST", path, {"amount_minor": 401}, "part-1").status_code == 422
    assert refpay.call("POST", path, {"amount_minor": 400}, "part-2").status_code == 201
    (charge,) = psp.charges("part")
    assert (charge["captured_minor"], charge["refunded_minor"]) == (400, 400)


def test_a_refund_in_doubt_keeps_its_part_of_what_is_left(refpay, psp, wait):
    payment = refpay.pay("doubtful").json()
    path = f"/payments/{payment['id']}/refunds"
    psp.rule("after_commit_lost", "reset", match={"endpoint": "refunds.create"})
    assert refpay.call("POST", path, {"amount_minor": 1000}, "doubtful-1").status_code == 202
    assert refpay.call("POST", path, {"amount_minor": 251}, "doubtful-2").status_code == 422

    psp.heal()
    wait(lambda: refpay.payment(payment["id"])["refunded_minor"] == 1000, refpay.node.log)
    (charge,) = psp.charges("doubtful")
    assert charge["refunded_minor"] == 1000


def test_the_system_file_reads_every_answer_rightly(refpay):
    api = load_system("refpay").api
    asked = {"intent": "mapped", "amount_minor": 900, "currency": "eur", "capture": "manual",
             "card_number": "4242424242424242", "card_exp_month": 12, "card_exp_year": 2040,
             "card_cvc": "737", "api_token": "api-canary"}  # fmt: skip

    def answer(operation, key=None, **values):
        request = build(api, operation, {**asked, **values}, key=key)
        reply = refpay.send(request)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return classify(api, operation, reply.status_code, headers, reply.content)

    made = answer("create", "mapped-pay")
    assert (made.outcome, made.state, made.instance) == ("ok", "authorized", "a/service.1")
    for operation, key, state in (
        ("read", None, "authorized"),
        ("find", None, "authorized"),
        ("capture", "mapped-capture", "succeeded"),
        ("read", None, "succeeded"),
        ("find", None, "succeeded"),
        ("refund", "mapped-refund", "succeeded"),
    ):
        said = answer(operation, key, payment=made.payment)
        assert (said.outcome, said.state, said.payment) == ("ok", state, made.payment), operation
    other = answer("create", "mapped-2", intent="mapped-2")
    said = answer("cancel", "mapped-cancel", payment=other.payment)
    assert (said.outcome, said.state, said.payment) == ("ok", "succeeded", other.payment)
    assert answer("read", payment=other.payment).state == "canceled"
