"""Refunds: never more than was captured, however many ask at once."""

import concurrent.futures


def _refund(service, payment, key, amount=None):
    body = {} if amount is None else {"amount_minor": amount}
    return service.call("POST", f"/payments/{payment['id']}/refunds", body, key)


def test_parts_and_then_the_rest(refpay, psp):
    payment = refpay.pay("parts").json()

    first = _refund(refpay, payment, "p1", 1000)
    rest = _refund(refpay, payment, "p2")
    more = _refund(refpay, payment, "p3", 1)

    assert (first.status_code, first.json()["state"]) == (201, "succeeded")
    assert rest.json()["amount_minor"] == 250
    assert (more.status_code, more.json()["error"]["code"]) == (422, "exceeds")
    assert refpay.payment(payment["id"])["refunded_minor"] == 1250
    (charge,) = psp.charges("parts")
    assert charge["refunded_minor"] == 1250


def test_refunds_at_once_stay_within_what_was_captured(refpay, psp):
    payment = refpay.pay("refund-race").json()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: _refund(refpay, payment, f"race-{n}", 500), range(6)))

    assert sorted(answer.status_code for answer in answers) == [201, 201, 422, 422, 422, 422]
    (charge,) = psp.charges("refund-race")
    assert charge["refunded_minor"] == 1000
    assert refpay.payment(payment["id"])["refunded_minor"] == 1000


def test_a_refused_refund_leaves_its_key_free(refpay):
    payment = refpay.pay("retry-less").json()

    assert _refund(refpay, payment, "same-key", 2000).status_code == 422
    assert _refund(refpay, payment, "same-key", 200).status_code == 201


def test_a_replayed_refund_is_one_refund(refpay, psp):
    payment = refpay.pay("replayed").json()

    first = _refund(refpay, payment, "again", 100)
    again = _refund(refpay, payment, "again", 100)
    other = _refund(refpay, payment, "again", 101)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert (other.status_code, other.json()["error"]["code"]) == (400, "key_reused")
    (charge,) = psp.charges("replayed")
    assert charge["refunded_minor"] == 100


def test_a_lost_refund_is_found_again(refpay, psp, wait):
    payment = refpay.pay("lost-refund").json()
    psp.rule("after_commit_lost", "reset", match={"endpoint": "refunds.create"})

    answer = _refund(refpay, payment, "lost-refund", 300)
    assert (answer.status_code, answer.json()["state"]) == (202, "processing")
    assert answer.headers["Location"] == f"/refunds/{answer.json()['id']}"

    psp.heal()
    place = f"/refunds/{answer.json()['id']}"
    wait(lambda: refpay.call("GET", place).json()["state"] == "succeeded", refpay.node.log)
    (charge,) = psp.charges("lost-refund")
    assert charge["refunded_minor"] == 300
    assert _refund(refpay, payment, "lost-refund", 300).status_code == 201


def test_what_is_not_paid_is_not_refunded(refpay):
    declined = refpay.pay("poor-2", payment_method="pm_card_chargeDeclined").json()

    assert _refund(refpay, declined, "poor-2").status_code == 422
    assert _refund(refpay, {"id": "pay_none"}, "none").status_code == 404


def test_a_key_of_a_payment_is_not_one_of_a_refund(refpay):
    payment = refpay.pay("shared-key", key="shared-key").json()

    answer = _refund(refpay, payment, "shared-key", 10)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "key_reused")
