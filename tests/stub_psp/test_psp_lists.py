"""Lists, search and expansion."""

from __future__ import annotations

import pytest


def test_lists_page_newest_first(desk):
    ids = [desk.pay(reference=f"r-{n}").json["id"] for n in range(5)]
    newest = ids[::-1]

    def page(**params):
        listed = desk("GET", "payment_intents", params).json
        return [intent["id"] for intent in listed["data"]], listed["has_more"]

    assert page() == (newest, False)
    assert page(limit=2) == (newest[:2], True)
    assert page(limit=2, starting_after=newest[1]) == (newest[2:4], True)
    assert page(limit=2, starting_after=newest[3]) == (newest[4:], False)
    assert page(limit=2, ending_before=newest[3]) == (newest[1:3], True)
    assert page(limit=10, ending_before=newest[1]) == (newest[:1], False)
    assert desk("GET", "payment_intents", {"limit": 0}).status == 400
    assert desk("GET", "payment_intents", {"limit": 101}).status == 400
    missing = desk("GET", "payment_intents", {"starting_after": "pi_none"})
    assert (missing.status, missing.error["param"]) == (400, "starting_after")
    assert desk("GET", "payment_intents", api_key="sk_test_other").json["data"] == []


def test_lists_by_time(desk):
    start = desk.clock.now_s()
    ids = []
    for n in range(3):
        ids.append(desk.pay(reference=f"r-{n}").json["id"])
        desk.clock.advance(10)

    def made(**params):
        query = {f"created[{name}]": value for name, value in params.items()}
        listed = desk("GET", "payment_intents", query).json["data"]
        return [intent["id"] for intent in listed]

    assert made(gt=start) == ids[:0:-1]
    assert made(gte=start, lt=start + 20) == ids[1::-1]
    assert made(lte=start) == ids[:1]


def test_search_finds_what_was_just_written(desk):
    one = desk.pay(reference="order 'x'").json["id"]
    two = desk.pay(reference="r-2", **{"metadata[shop]": "7"}, amount=2000).json["id"]

    def found(query, **more):
        answer = desk("GET", "payment_intents/search", {"query": query, **more})
        assert answer.status == 200, answer.error
        return [intent["id"] for intent in answer.json["data"]]

    assert found(r"metadata['merchant_reference']:'order \'x\''") == [one]
    assert found("""metadata["merchant_reference"]:"r-2" """) == [two]
    assert found("metadata['shop']:'7' AND status:'succeeded'") == [two]
    assert found("metadata['shop']:'8'") == []
    assert found("amount>1000") == [two]
    assert found("status:'succeeded'", limit=1) == [two]
    page = desk("GET", "payment_intents/search", {"query": "amount>0", "limit": 1}).json
    assert page["has_more"]
    assert found("amount>0", page=page["next_page"]) == [one]


@pytest.mark.parametrize("query", ["", "x", "status:'a' OR status:'b'", "metadata['a']:1"])
def test_search_queries_that_are_not_understood(desk, query):
    assert desk("GET", "payment_intents/search", {"query": query}).status == 400


def test_expand(desk):
    intent = desk.pay(**{"expand[]": "latest_charge"}).json
    assert intent["latest_charge"]["object"] == "charge"
    listed = desk("GET", "payment_intents", {"expand[0]": "data.latest_charge"}).json["data"]
    assert listed[0]["latest_charge"]["amount_captured"] == 1000
    refused = desk("GET", f"payment_intents/{intent['id']}", {"expand[]": "colour"})
    assert (refused.status, refused.error["param"]) == (400, "expand")


def test_an_expand_that_is_refused_leaves_nothing_behind(desk):
    assert desk.pay(**{"expand[]": "colour"}).status == 400
    assert desk.count("intents") == desk.count("charges") == desk.count("events") == 0
