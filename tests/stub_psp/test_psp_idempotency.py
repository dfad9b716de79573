"""Stripe's v1 rules for a repeated key, by number (I-1 … I-12)."""

from __future__ import annotations

import asyncio
import json

import pytest

from stub_psp.idempotency import RETENTION_S, Decision, decide, fingerprint
from stub_psp.store.attempts import StoredResult

GOOD = {
    "amount": 1000,
    "currency": "usd",
    "confirm": "true",
    "payment_method": "pm_card_visa",
    "metadata[merchant_reference]": "r-1",
}


def test_i1_a_key_is_any_text_of_at_most_255_characters(desk):
    assert desk.pay("k" * 255).status == 200
    refused = desk.pay("k" * 256)
    assert refused.status == 400
    assert "255" in refused.error["message"]
    assert desk.count("charges") == 1


def test_i2_without_a_key_every_request_is_new(desk):
    assert desk.pay().json["id"] != desk.pay().json["id"]


def test_i2_get_and_delete_take_no_notice_of_a_key(desk):
    intent = desk.pay("k").json["id"]
    assert desk("GET", f"payment_intents/{intent}", key="k").json["id"] == intent
    endpoint = desk(
        "POST", "webhook_endpoints", {"url": "http://127.0.0.1:9/", "enabled_events[]": "*"}
    ).json["id"]
    assert desk("DELETE", f"webhook_endpoints/{endpoint}", key="k").status == 200
    assert desk("DELETE", f"webhook_endpoints/{endpoint}", key="k").status == 404


def test_i3_a_key_is_forgotten_after_24_hours_and_executes_again(desk):
    first = desk.pay("k")
    desk.clock.advance(RETENTION_S - 1)
    assert desk.pay("k").body == first.body
    desk.clock.advance(1)
    second = desk.pay("k")
    assert second.status == 200
    assert second.json["id"] != first.json["id"]
    assert "idempotent-replayed" not in second.headers
    assert desk.pay("k").body == second.body


def test_i4_i6_declines_are_stored(desk):
    first = desk.pay("k", payment_method="pm_card_chargeDeclined")
    again = desk.pay("k", payment_method="pm_card_chargeDeclined")
    assert (first.status, again.status) == (402, 402)
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    assert desk.count("charges") == 1


def test_i4_refusals_during_execution_are_stored(desk):
    intent = desk.pay().json["id"]
    first = desk("POST", f"payment_intents/{intent}/cancel", key="k")
    again = desk("POST", f"payment_intents/{intent}/cancel", key="k")
    assert first.error["code"] == "payment_intent_unexpected_state"
    assert again.body == first.body
    assert again.headers["original-request"] == first.headers["request-id"]


def test_i4_a_500_that_was_stored_stays_although_the_money_moved(desk):
    desk.faults.add(
        {
            "point": "after_commit_wrong",
            "count": 1,
            "action": {"how": "status", "status": 500, "store": True},
        }
    )
    first = desk.pay("k")
    again = desk.pay("k")
    assert (first.status, again.status) == (500, 500)
    assert again.body == first.body
    assert first.headers["stripe-should-retry"] == "false"
    assert again.headers["idempotent-replayed"] == "true"
    assert desk.count("charges") == 1


@pytest.mark.parametrize(
    "wrong",
    [{"amount": "ten"}, {"colour": "red"}, {"currency": "xxx"}, {"amount": 1}],
)
def test_i5_what_fails_validation_is_not_stored(desk, wrong):
    assert desk("POST", "payment_intents", {**GOOD, **wrong}, "k").status == 400
    good = desk("POST", "payment_intents", GOOD, "k")
    assert good.status == 200
    assert "idempotent-replayed" not in good.headers


def test_i5_a_401_is_not_stored(desk):
    assert desk("POST", "payment_intents", GOOD, "k", api_key="pk_live_no").status == 401
    assert desk("POST", "payment_intents", GOOD, "k").status == 200


@pytest.mark.parametrize("status", [429, 500, 503])
def test_i5_what_is_refused_before_the_key_is_looked_up_is_not_stored(desk, status):
    desk.faults.add(
        {"point": "before_commit", "count": 1, "action": {"how": "status", "status": status}}
    )
    assert desk.pay("k").status == status
    assert desk.count("charges") == 0
    assert desk.pay("k").status == 200


def test_i7_other_parameters_are_an_error_and_change_nothing(desk):
    first = desk.pay("k")
    other = desk.pay("k", amount=2000)
    assert other.status == 400
    assert other.error["type"] == "idempotency_error"
    assert other.error["message"] == (
        "Keys for idempotent requests can only be used with the same parameters they were first"
        " used with. Try using a key other than 'k' if you meant to execute a different request."
    )
    assert desk.count("charges") == 1
    assert desk.pay("k").body == first.body


def test_i7_another_endpoint_is_an_error(desk):
    intent = desk.pay("k").json["id"]
    other = desk("POST", f"payment_intents/{intent}/cancel", key="k")
    assert (other.status, other.error["type"]) == (400, "idempotency_error")


def test_i7_another_object_of_the_same_endpoint_is_an_error(desk):
    one, two = (desk.pay(capture_method="manual").json["id"] for _ in range(2))
    assert desk("POST", f"payment_intents/{one}/capture", key="k").status == 200
    other = desk("POST", f"payment_intents/{two}/capture", key="k")
    assert (other.status, other.error["type"]) == (400, "idempotency_error")


def test_i7_the_order_of_parameters_does_not_matter(desk):
    first = desk("POST", "payment_intents", GOOD, "k")
    again = desk("POST", "payment_intents", dict(reversed(GOOD.items())), "k")
    assert again.body == first.body


def test_i8_a_key_in_use_is_a_409_that_is_not_stored(desk, new_waits):
    async def story():
        desk.faults.add(
            {"point": "before_commit", "count": 1, "action": {"how": "delay", "delay_ms": 1}}
        )
        waits = new_waits()
        first = asyncio.create_task(desk.send("POST", "payment_intents", GOOD, "k", waits=waits))
        await waits.held.wait()
        second = await desk.send("POST", "payment_intents", GOOD, "k")
        other = await desk.send("POST", "payment_intents", GOOD, "k", api_key="sk_test_other")
        waits.go_on.set()
        return await first, second, other, await desk.send("POST", "payment_intents", GOOD, "k")

    first, second, other, third = asyncio.run(story())
    assert second.status == 409
    assert second.error["code"] == "idempotency_key_in_use"
    assert second.headers["stripe-should-retry"] == "true"
    assert other.status == 200  # I-10: another account's key is another key
    assert first.status == 200
    assert third.body == first.body


def test_i9_a_replay_says_so(desk):
    first = desk.pay("k")
    again = desk.pay("k")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"]
    assert again.headers["request-id"] != first.headers["request-id"]
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == "k"
    assert "idempotent-replayed" not in first.headers
    assert "original-request" not in first.headers


def test_i9_a_replay_is_what_was_true_then(desk):
    first = desk.pay("k", capture_method="manual")
    desk("POST", f"payment_intents/{first.json['id']}/capture")
    assert desk.pay("k", capture_method="manual").json["status"] == "requires_capture"


def test_i10_accounts_do_not_see_each_others_keys(desk):
    mine = desk("POST", "payment_intents", GOOD, "k")
    theirs = desk("POST", "payment_intents", GOOD, "k", api_key="sk_test_other")
    assert mine.json["id"] != theirs.json["id"]
    assert desk("GET", f"payment_intents/{mine.json['id']}", api_key="sk_test_other").status == 404


def test_i11_events_name_the_request_that_caused_them(desk):
    paid = desk.pay("k")
    desk.pay("k")  # a replay causes nothing
    events = desk("GET", "events").json["data"]
    assert len(events) == 3
    for event in events:
        assert event["request"] == {
            "id": paid.headers["request-id"],
            "idempotency_key": "k",
        }


def test_i12_the_money_behind_a_wrong_500_is_found_by_its_reference(desk):
    desk.faults.add(
        {"point": "after_commit_wrong", "count": 1, "action": {"how": "status", "status": 500}}
    )
    assert desk.pay("k", reference="r-12").status == 500
    found = desk(
        "GET", "payment_intents/search", {"query": "metadata['merchant_reference']:'r-12'"}
    ).json["data"]
    assert [intent["status"] for intent in found] == ["succeeded"]
    assert desk.pay("k", reference="r-12").json["id"] == found[0]["id"]


def stored(created: int = 0, endpoint: str = "a", digest: bytes = b"d") -> StoredResult:
    return StoredResult(created, endpoint, digest, "req_1", 200, b"{}", None, None)


@pytest.mark.parametrize(
    ("result", "running", "now_s", "expected"),
    [
        (None, False, 0, Decision.EXECUTE),
        (None, True, 0, Decision.IN_USE),
        (stored(), False, 0, Decision.REPLAY),
        (stored(), False, RETENTION_S - 1, Decision.REPLAY),
        (stored(), False, RETENTION_S, Decision.EXECUTE),
        (stored(), True, RETENTION_S, Decision.IN_USE),
        (stored(endpoint="b"), False, 0, Decision.MISMATCH),
        (stored(digest=b"e"), False, 0, Decision.MISMATCH),
        (stored(digest=b"e"), False, RETENTION_S, Decision.EXECUTE),
    ],
)
def test_the_decision(result, running, now_s, expected):
    assert decide(result, running=running, endpoint="a", digest=b"d", now_s=now_s) is expected


def test_fingerprints_differ_where_requests_do():
    texts = [
        ("/a", [("x", "1")]),
        ("/b", [("x", "1")]),
        ("/a", [("x", "2")]),
        ("/a", [("x", "1"), ("y", "")]),
        ("/a", [("x", "1', ('y', '")]),
        ("/a", []),
    ]
    assert len({fingerprint(b"s", path, pairs) for path, pairs in texts}) == len(texts)
    assert fingerprint(b"s", "/a", []) != fingerprint(b"t", "/a", [])


def test_a_replay_is_the_same_after_the_store_was_opened_again(new_desk, tmp_path):
    before = new_desk(tmp_path)
    first = before.pay("k")
    before.store.close()
    after = new_desk(tmp_path)
    again = after.pay("k")
    assert again.body == first.body
    assert after.count("charges") == 1
    assert json.loads(again.body)["status"] == "succeeded"
