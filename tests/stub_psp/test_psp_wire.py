"""What faults do to a connection, and what becomes of requests that are none."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import uuid
from urllib.parse import urlencode

import pytest
import requests
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

BODY = "amount=1000&currency=usd&confirm=true&payment_method=pm_card_visa"


def raw(stub, body=BODY, key=None, path="/v1/payment_intents", method="POST"):
    """Send a request on a connection of its own; give the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", stub.port, timeout=10)
    headers = {
        "Authorization": "Bearer sk_test_wire",
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": key or str(uuid.uuid4()),
    }
    connection.request(method, path, body, headers)
    return connection


@pytest.fixture
def rule(stub):
    """Makes rules, and removes them after the test."""
    yield stub.rule
    assert stub.control("DELETE", "rules")[0] == 200


def charges(stub):
    return len(stub.truth("psp_charges"))


def test_reset_is_a_tcp_reset(stub, rule):
    before = charges(stub)
    rule(point="after_commit_lost", action={"how": "reset"})
    with pytest.raises(ConnectionResetError):
        raw(stub).getresponse()
    assert charges(stub) == before + 1


def test_close_is_an_end_without_an_answer(stub, rule):
    rule(point="after_commit_lost", action={"how": "close"})
    with pytest.raises(http.client.RemoteDisconnected):
        raw(stub).getresponse()


def test_hang_is_silence_and_then_an_end(stub, rule):
    rule(point="after_commit_lost", action={"how": "hang", "hang_ms": 50})
    with pytest.raises(http.client.RemoteDisconnected):
        raw(stub).getresponse()


def test_a_client_that_gives_up_ends_the_hang(stub, rule):
    key = str(uuid.uuid4())
    rule(point="after_commit_lost", count=1, action={"how": "hang", "hang_ms": 600_000})
    connection = raw(stub, key=key)
    assert connection.sock is not None
    connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    assert stub.control("GET", "pending")[1]["in_flight"] == 1
    connection.close()
    answer = raw(stub, key=key).getresponse()
    assert answer.headers["Idempotent-Replayed"] == "true"
    stub.wait_in_flight(0)


def test_wrong_status_with_the_money_gone(stub, rule):
    rule(point="after_commit_wrong", action={"how": "status", "status": 502})
    before = charges(stub)
    answer = raw(stub).getresponse()
    assert answer.status == 502
    assert b"api_error" in answer.read()
    assert charges(stub) == before + 1


def test_the_sdk_sees_a_lost_answer_as_a_connection_error(stub, rule):
    rule(point="after_commit_lost", count=1, action={"how": "reset"})
    client, key = stub.client(), str(uuid.uuid4())
    params = {
        "amount": 1000,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_visa",
    }
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create(params, {"idempotency_key": key})
    assert client.v1.payment_intents.create(params, {"idempotency_key": key}).status == "succeeded"


def test_delay_makes_a_key_busy(stub, rule):
    rule(point="before_commit", count=1, action={"how": "delay", "delay_ms": 2000})
    key = str(uuid.uuid4())
    first = raw(stub, key=key)
    stub.wait_in_flight(1)
    second = raw(stub, key=key).getresponse()
    assert (second.status, second.headers["Stripe-Should-Retry"]) == (409, "true")
    assert first.getresponse().status == 200


def test_a_delayed_request_commits_though_its_client_is_gone(stub, rule):
    before = charges(stub)
    rule(point="before_commit", count=1, action={"how": "delay", "delay_ms": 300})
    connection = raw(stub)
    stub.wait_in_flight(1)
    connection.close()
    stub.wait_in_flight(0)
    assert charges(stub) == before + 1
    assert stub.truth("psp_attempts")[-1]["answered_mono_ns"] is None


def test_the_god_view_knows_which_answers_were_lost(stub, rule):
    id_ = rule(point="after_commit_lost", match={"reference": "seen"}, action={"how": "reset"})
    body = f"{BODY}&metadata[merchant_reference]=seen"
    with pytest.raises(ConnectionResetError):
        raw(stub, body, key="seen-1").getresponse()
    stub.control("DELETE", "rules")
    assert raw(stub, body, key="seen-1").getresponse().status == 200
    lost, replay = (a for a in stub.truth("psp_attempts") if a["reference"] == "seen")
    assert (lost["rule"], lost["point"], lost["status"]) == (id_, "after_commit_lost", 200)
    assert lost["answered_mono_ns"] is None
    assert replay["replayed"]
    assert replay["rule"] is None
    assert replay["answered_mono_ns"] > replay["received_mono_ns"] > lost["received_mono_ns"]
    (charge,) = (c for c in stub.truth("psp_charges") if c["reference"] == "seen")
    assert charge["request"] == lost["request"]
    assert charge["charge"] == lost["charge"] == replay["charge"]
    assert charge["captured_minor"] == 1000


def test_keep_alive_goes_on_after_errors(stub):
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer sk_test_wire"
        for path, status in (("nothing", 404), ("payment_intents/x", 404), ("charges", 200)):
            assert session.get(f"{stub.url}/v1/{path}", timeout=5).status_code == status


def test_a_body_that_is_too_large_is_refused(stub):
    answer = raw(stub, "description=" + "x" * (1 << 21)).getresponse()
    assert answer.status == 413


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "text/plain"])
def test_other_content_types_are_refused(stub, kind):
    answer = requests.post(
        f"{stub.url}/v1/payment_intents",
        data="{}",
        headers={"Authorization": "Bearer sk_test_wire", "Content-Type": kind},
        timeout=5,
    )
    assert answer.status_code == 400
    assert "form-urlencoded" in answer.json()["error"]["message"]


def test_a_reset_in_the_middle_of_a_request_does_nothing(stub):
    before = charges(stub)
    with socket.create_connection(("127.0.0.1", stub.port)) as half:
        half.sendall(b"POST /v1/payment_intents HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\na")
    assert charges(stub) == before


def test_two_hundred_connections_at_once(stub):
    answers: list[int] = []

    def pay() -> None:
        answers.append(raw(stub).getresponse().status)

    threads = [threading.Thread(target=pay) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 200


NAMES = st.sampled_from(
    [
        "amount", "currency", "confirm", "payment_method", "metadata", "metadata[a]",
        "payment_method_data[card][number]", "payment_method_data[type]", "limit", "query",
        "starting_after", "created", "created[gt]", "expand[]", "charge", "url", "[", "a[]", "",
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=30),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["usd", "true", "card", "pm_card_visa", "pi_1", "4242424242424242"]),
)
PATHS = st.sampled_from(
    [
        "payment_intents", "payment_intents/pi_1", "payment_intents/pi_1/confirm",
        "payment_intents/pi_1/capture", "payment_intents/search", "refunds", "refunds/re_1",
        "charges", "charges/%00", "events", "events/evt_00000000AAAAAAAAAAAAAAAA",
        "webhook_endpoints/we_1", "account", "%F0%9F%92%B3", "..", "",
    ]
)  # fmt: skip


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"]),
    path=PATHS,
    fields=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    noise=st.binary(max_size=20) | st.just(b""),
)
@settings(max_examples=150, deadline=None)
def test_nonsense_is_never_a_5xx_and_moves_no_money(stub, method, path, fields, noise):
    encoded = urlencode([(n, v) for n, v in fields if "pm_card" not in v]).encode() + noise
    body = encoded if method in ("POST", "PUT") else None
    query = "" if body is not None else "?" + encoded.decode("latin-1").replace("#", "")
    before = charges(stub)
    answer = requests.request(
        method,
        f"{stub.url}/v1/{path}{query}",
        data=body,
        headers={
            "Authorization": "Bearer sk_test_fuzz",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        timeout=5,
    )
    assert answer.status_code < 500
    assert charges(stub) == before
    assert "request_failed" not in stub.log.read_text()


def test_every_line_of_the_log_is_json(stub):
    with socket.create_connection(("127.0.0.1", stub.port), timeout=5) as connection:
        connection.sendall(b"GET secret nonsense\r\n\r\n")
        connection.recv(1 << 16)
    lines = [json.loads(line) for line in stub.log.read_text().splitlines()]
    assert all({"ts", "level", "event"} <= line.keys() for line in lines)
    assert any(line["event"] == "library" for line in lines)
    assert "secret nonsense" not in stub.log.read_text()


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_what_is_not_http_is_not_answered_with_a_5xx(stub, noise):
    answer = b""
    with (
        contextlib.suppress(ConnectionError),  # dropped without an answer: fine as well
        socket.create_connection(("127.0.0.1", stub.port), timeout=5) as connection,
    ):
        connection.sendall(noise + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1 << 16)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert stub.process.poll() is None
