"""The API's answers and errors, endpoint by endpoint, without HTTP."""

from __future__ import annotations

import pytest

from stub_psp.dialects.stripe import account_of
from stub_psp.dialects.stripe.errors import masked


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({"amount": 1000}, "parameter_missing", "currency"),
        ({"amount": "1e3", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": "-5", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 10**9, "currency": "usd"}, "amount_too_large", "amount"),
        ({"amount": 1000, "currency": "zzz"}, None, "currency"),
        ({"amount": 1000, "currency": "usd", "foo": 1}, "parameter_unknown", "foo"),
        (
            {
                "amount": 1000,
                "currency": "usd",
                "payment_method_data[type]": "card",
                "payment_method_data[card][exp_month]": 12,
                "payment_method_data[card][exp_year]": 2040,
            },
            "parameter_missing",
            "payment_method_data[card][number]",
        ),
        (
            {"amount": 1000, "currency": "usd", "payment_method_data[card][pin]": "1"},
            "parameter_unknown",
            "payment_method_data[card][pin]",
        ),
        ({"amount": 1000, "currency": "usd", "confirm": "yes"}, None, "confirm"),
        ({"amount": 1000, "currency": "usd", "capture_method": "x"}, None, "capture_method"),
        ({"amount": 1000, "currency": "usd", "metadata": "x"}, None, "metadata"),
        ({"amount": 1000, "currency": "usd", "metadata[k]": "v" * 501}, None, "metadata[k]"),
        (
            {"amount": 1000, "currency": "usd", "payment_method": "pm_none"},
            "resource_missing",
            "payment_method",
        ),
        ({"amount": 1000, "currency": "usd", "off_session": "true"}, None, "off_session"),
    ],
)
def test_create_validates(desk, params, code, param):
    refused = desk("POST", "payment_intents", params)
    assert refused.status == 400
    assert refused.error["type"] == "invalid_request_error"
    assert refused.error.get("code") == code
    assert refused.error["param"] == param
    assert desk.count("intents") == 0


@pytest.mark.parametrize(
    ("header", "status"),
    [("sk_test_x", 200), ("sk_live_x", 401), ("", 401), ("sk_test_ñ", 401)],
)
def test_authentication(desk, header, status):
    answer = desk("GET", "payment_intents", api_key=header)
    assert answer.status == status
    assert desk.count("attempts") == (status == 200)


def test_account_of_a_key(desk):
    assert desk("GET", "account").json["id"] == account_of("sk_test_desk")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "nothing"),
        ("PUT", "payment_intents"),
        ("GET", "payment_intents/"),
        ("POST", "payment_intents/pi_1/nothing"),
        ("DELETE", "payment_intents/pi_1"),
        ("GET", ""),
    ],
)
def test_unknown_urls(desk, method, path):
    answer = desk(method, path)
    assert answer.status == 404
    assert "Unrecognized request URL" in answer.error["message"]


@pytest.mark.parametrize("path", ["payment_intents/pi_1", "charges/ch_1", "refunds/re_1"])
def test_unknown_objects(desk, path):
    answer = desk("GET", path)
    assert (answer.status, answer.error["code"]) == (404, "resource_missing")


def test_an_id_with_another_tail_is_not_found(desk):
    id_ = desk.pay().json["id"]
    assert desk("GET", f"payment_intents/{id_[:-1]}{'A' if id_[-1] != 'A' else 'B'}").status == 404


def test_messages_do_not_repeat_card_numbers(desk):
    assert masked("No: 4242 4242-42424242!") == "No: [redacted]!"
    number = "4000056655665556"
    for params in ({"amount": number}, {number: 1}, {f"metadata[{number}][x]": 1}):
        refused = desk("POST", "payment_intents", {"amount": 1000, "currency": "usd", **params})
        assert refused.status == 400
        assert number.encode() not in refused.body
    assert number.encode() not in desk("GET", f"payment_intents/{number}").body


def test_confirm_later_with_a_card(desk):
    intent = desk("POST", "payment_intents", {"amount": 1000, "currency": "usd"}).json
    assert intent["status"] == "requires_payment_method"
    path = f"payment_intents/{intent['id']}/confirm"
    refused = desk("POST", path)
    assert refused.error["code"] == "payment_intent_unexpected_state"
    assert desk("POST", path, {"payment_method": "pm_card_mastercard"}).json["status"] == (
        "succeeded"
    )
    again = desk("POST", path)
    assert (again.status, again.error["payment_intent"]["status"]) == (400, "succeeded")


def test_manual_capture_and_partial_capture(desk):
    held = desk.pay(capture_method="manual").json
    assert (held["status"], held["amount_capturable"]) == ("requires_capture", 1000)
    path = f"payment_intents/{held['id']}/capture"
    too_much = desk("POST", path, {"amount_to_capture": 1001})
    assert (too_much.status, too_much.error["code"]) == (400, "amount_too_large")
    done = desk("POST", path, {"amount_to_capture": 400}).json
    assert (done["status"], done["amount_received"]) == ("succeeded", 400)
    assert desk("POST", path).error["code"] == "payment_intent_unexpected_state"
    charge = desk("GET", f"charges/{done['latest_charge']}").json
    assert (charge["amount"], charge["amount_captured"]) == (1000, 400)


def test_cancel(desk):
    held = desk.pay(capture_method="manual").json
    path = f"payment_intents/{held['id']}"
    gone = desk("POST", f"{path}/cancel", {"cancellation_reason": "abandoned"}).json
    assert (gone["status"], gone["cancellation_reason"]) == ("canceled", "abandoned")
    assert desk("POST", f"{path}/capture").status == 400
    assert desk("POST", f"{path}/cancel").status == 400


def test_three_d_secure(desk):
    params = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "http://x/"}
    waiting = desk.pay(**params).json
    assert waiting["status"] == "requires_action"
    assert waiting["next_action"]["redirect_to_url"]["return_url"] == "http://x/"
    refused = desk.pay(**params, off_session="true")
    assert refused.error["code"] == "payment_intent_authentication_failure"


def test_update_merges_metadata(desk):
    intent = desk.pay(**{"metadata[a]": "1", "metadata[b]": "2"}).json
    path = f"payment_intents/{intent['id']}"
    changed = desk("POST", path, {"metadata[a]": "", "metadata[c]": "3", "description": "d"}).json
    assert changed["metadata"] == {"b": "2", "c": "3", "merchant_reference": "r-1"}
    assert changed["description"] == "d"
    assert changed["amount"] == 1000


def test_refunds_are_capped(desk):
    intent = desk.pay().json
    of = {"payment_intent": intent["id"]}
    first = desk("POST", "refunds", {**of, "amount": 600, "reason": "duplicate"}).json
    assert (first["status"], first["amount"], first["charge"]) == (
        "succeeded",
        600,
        intent["latest_charge"],
    )
    too_much = desk("POST", "refunds", {**of, "amount": 401})
    assert (too_much.status, too_much.error["param"]) == (400, "amount")
    assert desk("POST", "refunds", {"charge": intent["latest_charge"]}).json["amount"] == 400
    nothing_left = desk("POST", "refunds", of)
    assert nothing_left.error["code"] == "charge_already_refunded"
    listed = desk("GET", "refunds", of).json
    assert [refund["amount"] for refund in listed["data"]] == [400, 600]
    assert desk("GET", f"charges/{intent['latest_charge']}").json["refunded"] is True


def test_refunds_need_something_to_refund(desk):
    assert desk("POST", "refunds", {}).error["code"] == "parameter_missing"
    held = desk.pay(capture_method="manual").json
    refused = desk("POST", "refunds", {"payment_intent": held["id"]})
    assert refused.error["code"] == "payment_intent_unexpected_state"
    fresh = desk("POST", "payment_intents", {"amount": 1000, "currency": "usd"}).json
    assert desk("POST", "refunds", {"payment_intent": fresh["id"]}).status == 400


def test_events_freeze_what_they_tell(desk):
    held = desk.pay(capture_method="manual").json
    desk("POST", f"payment_intents/{held['id']}/capture")
    events = desk("GET", "events", {"limit": 100}).json["data"]
    told = [(event["type"], event["data"]["object"].get("status")) for event in events[::-1]]
    assert told == [
        ("payment_intent.created", "requires_confirmation"),
        ("charge.succeeded", "succeeded"),
        ("payment_intent.amount_capturable_updated", "requires_capture"),
        ("charge.captured", "succeeded"),
        ("payment_intent.succeeded", "succeeded"),
    ]
    one = desk("GET", f"events/{events[0]['id']}").json
    assert one == events[0]
    some = desk("GET", "events", {"types[]": "charge.captured"}).json["data"]
    assert [event["type"] for event in some] == ["charge.captured"]
    assert len(desk("GET", "events", {"type": "charge.*"}).json["data"]) == 2


def test_webhook_endpoints(desk):
    made = desk(
        "POST",
        "webhook_endpoints",
        {"url": "https://x.example/h", "enabled_events[0]": "charge.succeeded"},
    ).json
    assert made["secret"].startswith("whsec_")
    shown = desk("GET", f"webhook_endpoints/{made['id']}").json
    assert "secret" not in shown
    assert desk("GET", "webhook_endpoints").json["data"] == [shown]
    assert desk("GET", "webhook_endpoints", api_key="sk_test_other").json["data"] == []
    gone = desk("DELETE", f"webhook_endpoints/{made['id']}").json
    assert gone["deleted"] is True
    bad = desk("POST", "webhook_endpoints", {"url": "ftp://x", "enabled_events[]": "*"})
    assert bad.error["param"] == "url"


def test_only_enabled_events_of_the_account_are_delivered(desk):
    wanted = {"url": "http://127.0.0.1:9/", "enabled_events[]": "payment_intent.succeeded"}
    desk("POST", "webhook_endpoints", wanted)
    desk("POST", "webhook_endpoints", wanted, api_key="sk_test_other")
    desk.pay()
    events = desk("GET", "events").json["data"]
    assert {event["type"]: event["pending_webhooks"] for event in events} == {
        "payment_intent.created": 0,
        "charge.succeeded": 0,
        "payment_intent.succeeded": 1,
    }
    undelivered = desk("GET", "events", {"delivery_success": "false"}).json["data"]
    assert [event["type"] for event in undelivered] == ["payment_intent.succeeded"]


def test_headers(desk):
    paid = desk.pay("k")
    assert paid.headers["request-id"].startswith("req_")
    assert paid.headers["stripe-version"]
    assert paid.headers["content-type"] == "application/json"
