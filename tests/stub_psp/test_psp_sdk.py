"""The official SDK is the conformance client: over sockets, errors mapped, objects typed."""

from __future__ import annotations

import uuid

import pytest
import requests
import stripe


@pytest.fixture
def client(stub):
    return stub.client()


def pay(client, reference=None, key=None, **more):
    params = {
        "amount": 1000,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_visa",
        "metadata": {"merchant_reference": reference or f"r-{uuid.uuid4()}"},
        **more,
    }
    return client.v1.payment_intents.create(params, {"idempotency_key": key} if key else {})


def test_create_confirm_retrieve(client):
    intent = pay(client)
    assert intent.status == "succeeded"
    assert intent.last_response.headers["request-id"].startswith("req_")
    assert client.v1.payment_intents.retrieve(intent.id).to_dict() == intent.to_dict()


def test_a_card_typed_in(client):
    intent = pay(
        client,
        payment_method=None,
        payment_method_data={
            "type": "card",
            "card": {
                "number": "5555555555554444",
                "exp_month": 12,
                "exp_year": 2040,
                "cvc": "123",
            },
        },
        expand=["latest_charge"],
    )
    card = intent.latest_charge.payment_method_details.card
    assert (card.brand, card.last4) == ("mastercard", "4444")


def test_step_by_step(client):
    made = client.v1.payment_intents.create(
        {"amount": 1000, "currency": "eur", "capture_method": "manual"}
    )
    held = client.v1.payment_intents.confirm(made.id, {"payment_method": "pm_card_visa"})
    assert (held.status, held.amount_capturable) == ("requires_capture", 1000)
    done = client.v1.payment_intents.capture(made.id, {"amount_to_capture": 700})
    assert (done.status, done.amount_received) == ("succeeded", 700)
    tagged = client.v1.payment_intents.update(made.id, {"metadata": {"a": "b"}})
    assert tagged.metadata["a"] == "b"


def test_cancel(client):
    made = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    gone = client.v1.payment_intents.cancel(made.id, {"cancellation_reason": "duplicate"})
    assert gone.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.confirm(made.id, {"payment_method": "pm_card_visa"})
    assert caught.value.code == "payment_intent_unexpected_state"


def test_refunds_and_charges(client):
    intent = pay(client)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 400})
    assert client.v1.refunds.retrieve(refund.id).amount == 400
    assert [r.id for r in client.v1.refunds.list({"payment_intent": intent.id})] == [refund.id]
    charge = client.v1.charges.retrieve(intent.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (400, False)
    assert [c.id for c in client.v1.charges.list({"payment_intent": intent.id})] == [charge.id]


def test_a_decline_is_a_card_error(client):
    with pytest.raises(stripe.CardError) as caught:
        pay(client, payment_method="pm_card_chargeDeclinedInsufficientFunds")
    assert caught.value.code == "card_declined"
    assert caught.value.error.decline_code == "insufficient_funds"
    assert caught.value.error.payment_intent.status == "requires_payment_method"


def test_another_payload_is_an_idempotency_error(client):
    key = str(uuid.uuid4())
    pay(client, "r-x", key)
    with pytest.raises(stripe.IdempotencyError) as caught:
        pay(client, "r-x", key, amount=2000)
    assert caught.value.http_status == 400


def test_a_replay_is_marked(client):
    key = str(uuid.uuid4())
    first, again = (pay(client, "r-y", key) for _ in range(2))
    assert again.id == first.id
    headers = again.last_response.headers
    assert headers["idempotent-replayed"] == "true"
    assert headers["original-request"] == first.last_response.headers["request-id"]


def test_errors_of_the_caller(client, stub):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.retrieve("pi_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "colour": "red"})
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "colour")
    with pytest.raises(stripe.AuthenticationError):
        stub.client("sk_live_no").v1.payment_intents.list()


def test_paging_and_search(stub):
    client = stub.client(f"sk_test_{uuid.uuid4().hex}")
    ids = [pay(client, f"r-{n}").id for n in range(5)]
    pages = client.v1.payment_intents.list({"limit": 2})
    assert [intent.id for intent in pages.auto_paging_iter()] == ids[::-1]
    found = client.v1.payment_intents.search({"query": "metadata['merchant_reference']:'r-3'"})
    assert [intent.id for intent in found] == [ids[3]]
    everything = client.v1.payment_intents.search({"query": "amount>0", "limit": 2})
    assert len(list(everything.auto_paging_iter())) == 5


def test_events(stub):
    client = stub.client(f"sk_test_{uuid.uuid4().hex}")
    intent = pay(client)
    events = client.v1.events.list({"types": ["payment_intent.succeeded"]}).data
    assert [event.data.object.id for event in events] == [intent.id]
    assert client.v1.events.retrieve(events[0].id).type == "payment_intent.succeeded"


def test_webhook_endpoints(stub):
    client = stub.client(f"sk_test_{uuid.uuid4().hex}")
    made = client.v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9/hook", "enabled_events": ["charge.failed"]}
    )
    assert made.secret.startswith("whsec_")
    assert [e.id for e in client.v1.webhook_endpoints.list()] == [made.id]
    assert client.v1.webhook_endpoints.delete(made.id).deleted


def test_basic_authorization(stub):
    answer = requests.get(f"{stub.url}/v1/payment_intents", auth=("sk_test_b", ""), timeout=5)
    assert answer.status_code == 200
