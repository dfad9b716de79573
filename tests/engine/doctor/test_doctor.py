"""The doctor finds what is wrong with a system file, says it in words, and names the line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from payresil.backends.attached.borrowed_psp import NoPsp
from payresil.engine.doctor import caller, keeping, payments, signals
from payresil.engine.doctor.behind import behind
from payresil.engine.doctor.caller import OutOfRequests
from payresil.engine.doctor.later import following
from payresil.engine.doctor.payments import Visit, paying
from payresil.engine.doctor.seen import Seen

from .conftest import Shop, calls, endpoints, told

VisitWith = Callable[..., Visit]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (caller, payments):
        monkeypatch.setattr(module, "FINAL_S", 0.3)
    monkeypatch.setattr(keeping, "_SETTLE_S", 0.3)
    monkeypatch.setattr("payresil.engine.doctor.behind._DELIVERY_S", 0.2)


class Psp:
    """What the PSP knows of the order that is paid for."""

    def __init__(self, *charges: Mapping[str, Any], delivered: bool = True) -> None:
        self.charges = charges
        self.delivered = delivered

    def pending(self) -> Mapping[str, int]:
        return {"webhooks": 0, "in_flight": 0}

    def truth(self, table: str) -> Iterator[Mapping[str, Any]]:
        if table == "psp_charges":
            yield from self.charges
        else:
            yield {"reference": "r7-0", "attempt": 0, "status": None, "delivered": False}
            yield {"reference": "r7-0", "attempt": 1, "delivered": self.delivered,
                   "status": 200 if self.delivered else 404}  # fmt: skip


CHARGE = {"reference": "r7-0", "amount_minor": 1250, "captured_minor": 1250, "currency": "eur"}


class Environment:
    def __init__(self, psp: Psp, *capabilities: str) -> None:
        self.psp: Any = psp
        self.capabilities = frozenset(capabilities)


def everything(visit: Visit, shop: Shop) -> Iterator[Seen]:
    yield from paying(visit)
    yield from following(visit)
    environment: Any = Environment(Psp(CHARGE), "psp_rules")
    yield from behind(visit, environment)
    yield from keeping.keeping(visit, endpoints(shop), calls(shop), environment.psp)
    yield from signals.metrics(visit, endpoints(shop).metrics)


def test_a_system_that_is_as_its_file_says(visit_with: VisitWith, shop: Shop) -> None:
    seen = list(everything(visit_with(), shop))
    assert {each.mapping for each in seen if each.health == "good"} >= {
        "create", "create: payment", "create: state", "read", "find", "find: unknown",
        "repeated key", "replay header", "instance header", "refund", "capture", "cancel",
        "reference", "amount", "webhooks", "settle", "reconcile", "books_payments", "metrics",
        "signals: traffic", "signals: latency", "signals: saturation",
    }  # fmt: skip
    assert told(iter(seen)) == told(iter(seen), "doubtful") == {}
    assert set(told(iter(seen), "skipped")) == {"region header"}


@pytest.mark.parametrize(
    ("old", "new", "mapping", "words"),
    [
        ("payment: id\n", "payment: order.id\n", "create: payment",
         "the answer has no 'order.id'; it has id, ref, total, state [shop.yaml:16:16]"),
        ("state: state\n    read", "state: status\n    read", "create: state",
         "the answer has no 'status'; it has id, ref, total, state [shop.yaml:17:14]"),
        ("paid: succeeded, ", "", "create: state",
         "'paid' is under neither final nor pending, so it would be no answer [shop.yaml:10:10]"),
        ("payment: id, state: state}", "payment: uid, state: state}", "read",
         "the answer has no 'uid'; it has id, ref, total, state [shop.yaml:18:11]"),
        ("orders.0.id", "orders.0.uid", "find",
         ": payment o0 was expected by its reference [shop.yaml:19:11]"),
        ("X-Replayed", "X-Again", "replay header",
         "X-Again is not on the repeated answer [shop.yaml:8:18]"),
        ("X-Instance", "X-Node", "instance header", "no answer has the header X-Node ["),
        ("held: authorized", "held: succeeded", "capture",
         "the state authorized was expected of a manual capture [shop.yaml:10:10]"),
        ("gone: canceled", "gone: failed", "cancel", "the state canceled was expected ["),
        ("zero: [orders]", "zero: [carts]", "settle", "the answer has no counter 'carts' ["),
        ("remedied: fixed", "remedied: mended", "reconcile",
         "the answer has no counter 'mended' [shop.yaml:25:49]"),
        ("from orders", "from carts", "books_payments", "Table with name carts does not exist"),
        ("as currency", "as money", "books_payments",
         "books_payments has no column money; its columns are payment, intent, state, amount_"),
        (", 0 as refunded_minor,\n      'eur' as currency", ", 0 as refunded_minor",
         "books_payments", "the query gives no currency [shop.yaml:30:19]"),
        ("total as amount_minor", "total * 100 as amount_minor", "books_payments",
         "of the payment that was made: amount_minor is 125000, expected 1250 [shop.yaml:30:19]"),
        ("'paid' then 'succeeded'", "'paid' then 'done'", "books_payments",
         "state is 'done', expected 'succeeded'; a state is one of processing, succeeded"),
        ("ref as intent", "id as intent", "books_payments",
         "none of 3 rows has the intent r7-0, which was paid"),
        ("traffic: requests_total", "traffic: hits_total", "signals: traffic",
         "no instance has a metric hits_total [shop.yaml:26:20]"),
        ("request_seconds", "latency", "signals: latency",
         "no instance has a metric latency_sum, latency_count [shop.yaml:26:45]"),
    ],
)  # fmt: skip
def test_each_wrong_line_is_found(
    visit_with: VisitWith, shop: Shop, old: str, new: str, mapping: str, words: str
) -> None:
    visit = visit_with(old, new)
    wrong = told(paying(visit))
    if visit.payment is not None and not wrong:
        wrong = told(everything(visit_with(old, new), shop))
    assert mapping in wrong, wrong
    assert words in wrong[mapping]


@pytest.mark.parametrize(
    ("asked", "answer", "mapping", "words"),
    [
        ("POST /orders", (422, {"error": "total: wrong"}), "create",
         'POST /orders answered 422 {"error": "total: wrong"}: a payment was expected'),
        ("POST /orders", (404, "no such page"), "create", "answered 404 no such page"),
        ("POST /orders", (500, ""), "create", "POST /orders answered 500: a payment was"),
        ("POST /orders", (401, {"seen": "Bearer api-secret"}), "create", '{"seen": "Bearer …"}'),
        ("GET /orders", (200, {"id": "o0", "state": "open"}), "read",
         "after 0.3 s the payment was not final: GET /orders/o0 answered 200"),
        ("GET /orders", (404, {}), "read", "GET /orders/o0 answered 404"),
        ("GET /orders?", (500, {}), "find", "payment o0 was expected by its reference"),
    ],
)  # fmt: skip
def test_answers_that_do_not_fit_are_shown_without_secrets(
    visit_with: VisitWith, shop: Shop, asked: str, answer: tuple[int, Any], mapping: str, words: str
) -> None:
    shop.answers[asked] = answer
    wrong = told(paying(visit_with()))
    assert words in wrong[mapping]
    assert "api-secret" not in str(wrong)


def test_a_shop_that_is_not_there(visit_with: VisitWith, shop: Shop) -> None:
    shop.url = "http://127.0.0.1:1"
    assert "POST /orders got no answer (refused)" in told(paying(visit_with()))["create"]


def test_a_key_that_is_not_looked_at(visit_with: VisitWith, shop: Shop) -> None:
    shop.forgets_keys = True
    visit = visit_with()
    words = told(paying(visit))["repeated key"]
    assert "the same request under the same X-Key gave another payment, o1" in words
    assert visit.created == ["o0", "o1"]


def test_headers_that_say_something_else(visit_with: VisitWith, shop: Shop) -> None:
    shop.says = {"X-Instance": "pod-7", "X-Replayed": "true"}
    wrong = told(paying(visit_with()))
    assert "'pod-7', which is none of a/service.1" in wrong["instance header"]
    assert "X-Replayed is on the first answer, too" in wrong["replay header"]


def test_what_only_404_can_say(visit_with: VisitWith, shop: Shop) -> None:
    shop.unknown = 200
    doubts = told(paying(visit_with()), "doubtful")
    assert "only 404 says for sure that a payment was never taken" in doubts["find: unknown"]


def test_an_operation_that_fails(visit_with: VisitWith, shop: Shop) -> None:
    visit = visit_with()
    list(paying(visit))
    shop.answers["POST /orders/refund"] = (409, {"error": "later"})
    assert "answered 409" in told(following(visit))["refund"]


def test_without_a_way_to_authorize_captures_are_not_tried(visit_with: VisitWith) -> None:
    visit = visit_with(', capture: "{capture}"', ', capture: "automatic"')
    list(paying(visit))
    assert "has no {capture}" in told(following(visit), "doubtful")["capture"]


def seen_behind(visit: Visit, psp: Psp, *capabilities: str) -> dict[str, str]:
    environment: Any = Environment(psp, *(capabilities or ("psp_rules",)))
    return told(behind(visit, environment))


def test_what_the_psp_knows(visit_with: VisitWith) -> None:
    visit = visit_with()
    list(paying(visit))
    nameless = {**CHARGE, "reference": None}
    assert (
        "no charge whose metadata names r7-0 under 'order'; 1 charges name nothing"
        in (seen_behind(visit, Psp(nameless))["reference"])
    )
    hundredfold = {**CHARGE, "amount_minor": 125000}
    assert "asked for 125000 eur: amount_minor or" in seen_behind(visit, Psp(hundredfold))["amount"]
    assert "charged 2 times" in seen_behind(visit, Psp(CHARGE, CHARGE))["charged once"]
    refused = seen_behind(visit, Psp(CHARGE, delivered=False))
    assert "/hooks answered 404 1 times [shop.yaml:23:15]" in refused["webhooks"]
    environment: Any = Environment(Psp())
    assert set(told(behind(visit, environment), "skipped")) == {"reference", "webhooks"}


def test_a_service_that_does_not_come_to_rest(visit_with: VisitWith, shop: Shop) -> None:
    visit = visit_with()
    list(paying(visit))
    shop.answers |= {"GET /open": (200, {"orders": 3}), "POST /reconcile": (200, {"fixed": 2})}
    psp: Any = Psp()
    wrong = told(keeping.keeping(visit, endpoints(shop), calls(shop), psp))
    assert "after 0.3 s there was still orders 3 [shop.yaml:24:36]" in wrong["settle"]
    assert "run again at once, it changed 2 things once more" in wrong["reconcile"]


def test_a_service_without_settle_and_reconcile_is_no_worse(
    visit_with: VisitWith, shop: Shop
) -> None:
    visit = visit_with("settle: {request: GET /open, zero: [orders]}\nreconcile: {request: POST "
                       "/reconcile, remedied: fixed}\n", "")  # fmt: skip
    list(paying(visit))
    psp: Any = Psp()
    found = list(keeping.keeping(visit, endpoints(shop), calls(shop), psp))
    assert told(iter(found)) == {}
    assert set(told(iter(found), "skipped")) == {"settle", "reconcile"}
    unknown = keeping.keeping(visit, endpoints(shop), calls(shop), NoPsp())
    assert "no PSP to ask" in told(unknown, "skipped")["settle"]


def test_a_budget_is_kept(visit_with: VisitWith, shop: Shop) -> None:
    with pytest.raises(OutOfRequests):
        list(paying(visit_with(budget=3)))
    assert shop.asked == 3


def test_metrics_that_are_not_there(visit_with: VisitWith, shop: Shop) -> None:
    shop.answers["GET /metrics"] = (404, "")
    words = told(signals.metrics(visit_with(), endpoints(shop).metrics))["metrics"]
    assert words.startswith("a/service.1: 404")
    assert words.endswith("[shop.yaml:3:52]")


def test_log_lines(visit_with: VisitWith, tmp_path: Path) -> None:
    visit, log = visit_with(), tmp_path / "a.service.1.log"
    log.write_text("starting\n")
    assert "none of 1 lines is a JSON object" in told(signals.logs(visit, tmp_path))["logs"]
    line = {"at": 1, "level": "info", "message": "paid", "ref": "r7-0"}
    log.write_text(f"starting\n{json.dumps(line)}\n")
    wrong = told(signals.logs(visit, tmp_path))
    assert wrong == {"logs: event": "none of 1 lines has a field 'event' [shop.yaml:27:39]"}
