"""The web shop: what it does right, its flaw, and that the flaw is gone once it is mended."""

from __future__ import annotations

import concurrent.futures
import sqlite3
import subprocess

import pytest

from .processes import ADMIN_TOKEN, until


def test_an_order_is_paid_once_however_often_it_is_sent(shop, shop_psp):
    first, again = shop.order("once"), shop.order("once")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json() == {
        "id": first.json()["id"], "reference": "once", "status": "paid", "total": 1250,
        "refunded": 0, "currency": "eur",
    }  # fmt: skip
    (charge,) = shop_psp.charges("once")
    assert (charge["captured_minor"], charge["currency"]) == (1250, "eur")


def test_an_order_is_found_by_its_id_and_by_its_reference(shop):
    order = shop.order("found").json()
    assert shop.show(order["id"]) == order
    assert shop.call("GET", "/orders?reference=found").json() == {"orders": [order]}
    for path in ("/orders?reference=lost", "/orders/ord_lost", "/orders"):
        assert shop.call("GET", path).status_code == 404


def test_a_key_stands_for_one_order(shop, shop_psp):
    shop.order("mixed-up")
    other = shop.order("mixed-up", total=9999)
    assert other.status_code == 422
    assert "another order" in other.json()["error"]
    assert len(shop_psp.charges("mixed-up")) == 1


def test_a_declined_card_is_an_answer(shop, shop_psp):
    for _ in range(2):
        declined = shop.order("declined", payment_token="pm_card_visa_chargeDeclined")
        assert (declined.status_code, declined.json()["status"]) == (402, "declined")
    assert shop_psp.charges("declined") == []


def test_what_stripe_refuses_has_failed(start_shop, shop_psp):
    refused = start_shop(FIXED="1").order("refused", total=1)
    assert (refused.status_code, refused.json()["status"]) == (402, "failed")
    assert shop_psp.charges("refused") == []


@pytest.mark.parametrize(
    "wrong",
    [{"total": 0}, {"total": "12"}, {"total": True}, {"total": 1.5}, {"reference": ""},
     {"currency": None}, {"payment_token": 7}],
    ids=str,
)  # fmt: skip
def test_nonsense_is_refused_with_words(shop, wrong):
    answer = shop.order("nonsense", **wrong)
    assert answer.status_code == 400
    assert next(iter(wrong)) in answer.json()["error"]


def test_an_order_needs_a_key_and_a_body(shop):
    assert "Idempotency-Key" in shop.call("POST", "/orders", {}).json()["error"]
    for body in ([], "text", None):
        answer = shop.call("POST", "/orders", body, **{"Idempotency-Key": "body"})
        assert answer.status_code in (400, 415)
        assert answer.json()["error"]


def test_a_second_click_does_not_charge_while_the_first_is_under_way(shop, shop_psp):
    shop_psp.rule("before_commit", "delay", delay_ms=700)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(shop.order, "clicked")
        until(lambda: shop_psp.in_flight(1))
        second = shop.order("clicked")
        assert (second.status_code, second.json()["status"]) == (202, "pending")
        assert first.result().json()["status"] == "paid"
    assert len(shop_psp.keys("clicked")) == 1


def test_refunds_in_parts_never_exceed_what_was_paid(shop, shop_psp):
    order = shop.order("refunded").json()["id"]
    first, again = shop.refund(order, 1000, "part-1"), shop.refund(order, 1000, "part-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["refund"] == again.json()["refund"]
    assert shop.refund(order, 251, "part-2").status_code == 422
    assert shop.refund(order, 1, "part-1").status_code == 422
    assert shop.refund(order, 250, "part-3").json()["status"] == "done"
    assert shop.show(order)["refunded"] == 1250
    assert shop_psp.charges("refunded")[0]["refunded_minor"] == 1250


def test_only_what_was_paid_is_refunded(shop):
    declined = shop.order("unpaid", payment_token="pm_card_visa_chargeDeclined").json()
    assert "nothing to refund" in shop.refund(declined["id"], 100, "unpaid-1").json()["error"]
    assert shop.refund("ord_lost", 100, "unpaid-2").status_code == 404
    assert shop.refund(declined["id"], -1, "unpaid-3").status_code == 400


def test_a_refund_whose_answer_is_lost_is_told_by_its_event(shop, shop_psp):
    order = shop.order("refund-lost").json()["id"]
    shop_psp.rule("after_commit_lost", "reset", endpoint="refunds.create")
    assert shop.refund(order, 250, "refund-lost-1").json()["status"] in ("pending", "done")
    until(lambda: shop.show(order)["refunded"] == 250, shop.output)
    shop_psp.heal()
    assert shop.refund(order, 250, "refund-lost-1").json()["status"] == "done"
    refunds = [row for row in shop_psp.table("psp_refunds") if row["reference"] == "refund-lost"]
    assert [row["amount_minor"] for row in refunds] == [250]


def event(id_: str, order: str, type_: str = "payment_intent.succeeded") -> dict[str, object]:
    told = {"id": "pi_told", "object": "payment_intent", "metadata": {"order_id": order}}
    return {"id": id_, "object": "event", "type": type_, "data": {"object": told}}


def test_an_event_must_be_signed(shop):
    assert shop.deliver(event("evt_forged", "ord_1"), secret="whsec_guessed") == 400
    assert shop.call("POST", "/stripe/webhook", {}).status_code == 400


def test_an_event_has_its_effect_once_and_never_undoes_an_answer(start_shop, shop_psp):
    shop = start_shop(FIXED="1")
    shop_psp.rule("before_commit", "reset")
    pending = shop.order("told").json()["id"]
    assert shop.deliver(event("evt_1", pending)) == 204
    assert shop.show(pending)["status"] == "paid"
    assert shop.deliver(event("evt_1", pending)) == 204
    assert shop.deliver(event("evt_2", pending, "payment_intent.payment_failed")) == 204
    assert shop.deliver(event("evt_3", "ord_unknown")) == 204
    assert shop.deliver(event("evt_4", pending, "charge.updated")) == 204
    assert shop.show(pending)["status"] == "paid"
    with sqlite3.connect(shop.database) as books:
        rows = books.execute("select id, deliveries, effects from stripe_events order by id")
        assert rows.fetchall() == [("evt_1", 2, 1), ("evt_2", 1, 0), ("evt_3", 1, 0),
                                   ("evt_4", 1, 0)]  # fmt: skip


def test_paid_orders_survive_a_crash(start_shop):
    shop = start_shop()
    order = shop.order("survives").json()
    shop.kill()
    shop.start()
    assert shop.show(order["id"]) == order
    assert shop.order("survives").json() == order


def test_an_order_under_way_in_a_crash_is_paid_once_when_it_is_sent_again(start_shop, shop_psp):
    shop = start_shop()
    shop_psp.rule("after_commit_lost", "hang", hang_ms=600_000)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(shop.order, "crashed")
        until(lambda: shop_psp.charges("crashed"))
        shop.kill()
        assert first.exception() is not None
    shop_psp.heal()
    shop.start()
    assert shop.order("crashed").json()["status"] == "paid"
    assert len(shop_psp.charges("crashed")) == 1


def test_flaw_an_order_whose_answers_are_lost_has_failed_and_is_paid(start_shop, shop_psp):
    shop = start_shop()
    shop_psp.rule("after_commit_lost", "reset")
    told = shop.order("orphan")
    assert (told.status_code, told.json()["status"]) == (402, "failed")
    shop_psp.heal()
    until(lambda: shop_psp.delivered("orphan"))
    shop.staff("POST", "/internal/reconcile")
    assert shop.order("orphan").json()["status"] == "failed"
    (charge,) = shop_psp.charges("orphan")
    assert (charge["captured_minor"], charge["refunded_minor"]) == (1250, 0)
    assert len(shop_psp.keys("orphan")) == 2  # the SDK did ask again, with the same key
    assert len(set(shop_psp.keys("orphan"))) == 1


def test_mended_an_order_whose_answers_are_lost_is_paid_as_its_event_says(start_shop, shop_psp):
    shop = start_shop(FIXED="1")
    shop_psp.rule("after_commit_lost", "reset")
    order = shop.order("mended").json()
    assert order["status"] in ("pending", "paid")  # the event may be quicker than the SDK
    until(lambda: shop.show(order["id"])["status"] == "paid", shop.output)
    shop_psp.heal()
    assert shop.order("mended").json()["status"] == "paid"
    assert len(shop_psp.charges("mended")) == 1


def test_mended_the_job_finishes_what_never_reached_stripe(start_shop, shop_psp):
    shop = start_shop(FIXED="1")
    shop_psp.rule("before_commit", "reset")
    order = shop.order("unheard")
    assert (order.status_code, order.json()["status"]) == (202, "pending")
    assert shop.staff("GET", "/internal/open") == {"orders": 1, "refunds": 0}
    assert shop.staff("POST", "/internal/reconcile") == {"finished": 0, "left": 1}
    shop_psp.heal()
    assert shop.staff("POST", "/internal/reconcile") == {"finished": 1, "left": 0}
    assert shop.staff("POST", "/internal/reconcile") == {"finished": 0, "left": 0}
    assert shop.order("unheard").json()["status"] == "paid"
    assert len(shop_psp.charges("unheard")) == 1


def test_staff_pages_are_for_staff(shop):
    for method, path in (("GET", "/internal/open"), ("POST", "/internal/reconcile")):
        assert shop.call(method, path).status_code == 401
        wrong = {"Authorization": f"Bearer {ADMIN_TOKEN}?"}
        assert shop.call(method, path, **wrong).status_code == 401


def test_it_ends_when_told_to(start_shop):
    assert start_shop().stop() == 0


def test_it_says_which_settings_it_lacks(start_shop):
    shop = start_shop()
    done = subprocess.run(
        shop.process.args, cwd=shop.folder, env={"PSP_URL": "http://127.0.0.1:1"},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == ("flask-shop: set PSP_API_KEY, WEBHOOK_SECRET, ADMIN_TOKEN, DATABASE\n")
