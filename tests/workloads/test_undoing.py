"""What was created is taken back, each payment under a key of its own."""

from __future__ import annotations

from typing import Any

from payresil.workloads.undoing import Taking, undo

TAKINGS = [Taking(f"r7-{n}", f"pay_{n}", "refund", 100 + n, "eur") for n in range(6)]


def test_every_payment_is_taken_back_once(shop: Any, make_spec: Any) -> None:
    answers = undo(make_spec(shop.url), TAKINGS)
    assert answers == {taking.payment: "201 succeeded" for taking in TAKINGS}
    seen = {one["key"]: one for one in shop.state()["seen"]}
    assert set(seen) == {f"{taking.intent}-undo" for taking in TAKINGS}
    first = seen["r7-0-undo"]
    assert (first["path"], first["amount_minor"]) == ("/payments/pay_0/refunds", 100)


def test_what_could_not_be_taken_back_is_said(shop: Any, make_spec: Any) -> None:
    shop.mode("drop")
    assert undo(make_spec(shop.url), TAKINGS[:1]) == {"pay_0": "no answer (closed)"}
    shop.mode("500")
    assert undo(make_spec(shop.url), TAKINGS[:1])["pay_0"].startswith("500")


def test_nothing_to_take_back(make_spec: Any) -> None:
    assert undo(make_spec("http://127.0.0.1:1"), []) == {}
