"""Webhooks: signed, retried until heard, durable, over keep-alive and TLS."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe
import trustme

from stub_psp.dialects.stripe.signature import sign
from stub_psp.store.events import Delivery
from stub_psp.webhooks.schedule import DEFAULT_DELAYS_S, Schedule

SECRET = "whsec_of_the_tests"
QUICK = ("--webhook-delays", "0.05,0.1")


class Receiver:
    """An endpoint that keeps what it was sent, and answers as ``answers`` says (then 200)."""

    def __init__(self, port=0, answers=(), context=None):
        self.received = []
        self.connections = set()
        self.answers = list(answers)
        self.arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.arrived:
                    receiver.received.append((dict(self.headers), body))
                    receiver.connections.add(self.client_address)
                    status = receiver.answers.pop(0) if receiver.answers else 200
                    receiver.arrived.notify_all()
                if status is None:  # no answer until the client gives up
                    self.rfile.read(1)
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def wait_for(self, n):
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= n, timeout=20)

    def types(self):
        return [json.loads(body)["type"] for _, body in self.received]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receive():
    with contextlib.ExitStack() as stack:

        def start(**options):
            receiver = Receiver(**options)
            stack.callback(receiver.close)
            return receiver

        yield start


def listen(stub, url, events=("payment_intent.succeeded",), **more):
    body = {"url": url, "secret": SECRET, "enabled_events": list(events), **more}
    status, made = stub.control("POST", "webhook_endpoints", body)
    assert status == 201, made
    return made["id"]


def pay(stub, key="sk_test_webhooks"):
    params = {
        "amount": 1000,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_visa",
    }
    return stub.client(key).v1.payment_intents.create(params)


def test_a_signed_event_arrives(start_stub, receive):
    stub, receiver = start_stub(), receive()
    listen(stub, f"http://127.0.0.1:{receiver.port}/hook", ["*"])
    intent = pay(stub)
    receiver.wait_for(3)
    assert sorted(receiver.types()) == [
        "charge.succeeded",
        "payment_intent.created",
        "payment_intent.succeeded",
    ]
    for headers, body in receiver.received:
        event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET)
        assert event.request.id == intent.last_response.request_id
        assert event.pending_webhooks == 1
    stub.wait_delivered()
    assert pay(stub).status == "succeeded"
    rows = [row for row in stub.truth("psp_events") if row["object"] == intent.id]
    assert {(row["attempt"], row["status"], row["delivered"]) for row in rows} == {
        (0, None, False),
        (1, 200, True),
    }


def test_what_fails_is_tried_again_until_it_is_heard(start_stub, receive):
    stub, receiver = start_stub(*QUICK), receive(answers=[500, 302, 404])
    listen(stub, f"http://127.0.0.1:{receiver.port}/hook")
    intent = pay(stub)
    receiver.wait_for(4)
    stub.wait_delivered()
    ids = {json.loads(body)["id"] for _, body in receiver.received}
    assert len(ids) == 1
    tries = [
        (row["attempt"], row["status"], row["delivered"])
        for row in stub.truth("psp_events")
        if row["object"] == intent.id and row["type"] == "payment_intent.succeeded"
    ]
    assert tries == [
        (0, None, False),
        (1, 500, False),
        (2, 302, False),
        (3, 404, False),
        (4, 200, True),
    ]


def test_no_answer_in_time_is_a_failure(start_stub, receive):
    stub = start_stub(*QUICK, "--webhook-timeout-s", "0.2")
    receiver = receive(answers=[None])
    listen(stub, f"http://127.0.0.1:{receiver.port}/hook")
    pay(stub)
    receiver.wait_for(2)
    stub.wait_delivered()
    rows = stub.truth("psp_events")
    made, silent, heard = (row for row in rows if row["type"] == "payment_intent.succeeded")
    assert made["answered_mono_ns"] is None
    assert silent["answered_mono_ns"] - silent["at_mono_ns"] >= 195_000_000  # when it gave up
    assert heard["at_mono_ns"] <= heard["answered_mono_ns"] <= time.monotonic_ns()


def test_pending_webhooks_outlive_kill_9(start_stub, receive, tmp_path):
    data = tmp_path / "data"
    stub = start_stub(*QUICK, data=data)
    gone = receive()
    port = gone.port
    gone.close()
    listen(stub, f"http://127.0.0.1:{port}/hook")
    client = stub.client("sk_test_webhooks")
    intent = pay(stub)
    assert stub.control("GET", "pending")[1]["webhooks"] == 1
    (event,) = client.v1.events.list({"types": ["payment_intent.succeeded"]}).data
    assert event.pending_webhooks == 1
    stub.kill()

    after = start_stub(*QUICK, data=data)
    receiver = receive(port=port)
    receiver.wait_for(1)
    (headers, body) = receiver.received[0]
    told = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET)
    assert told.id == event.id
    assert told.data.object.id == intent.id
    after.wait_delivered()
    again = after.client("sk_test_webhooks").v1.events.retrieve(event.id)
    assert again.pending_webhooks == 0


def test_tls_with_an_authority_of_ones_own(start_stub, receive, tmp_path):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    receiver = receive(context=context)

    stranger = start_stub(*QUICK)
    listen(stranger, f"https://127.0.0.1:{receiver.port}/hook")
    pay(stranger)
    while not any(row["attempt"] for row in stranger.truth("psp_events")):
        time.sleep(0.01)
    assert receiver.received == []

    stub = start_stub(*QUICK, "--webhook-ca", str(ca_file))
    listen(stub, f"https://127.0.0.1:{receiver.port}/hook")
    pay(stub)
    receiver.wait_for(1)


def test_connections_are_kept(start_stub, receive):
    stub, receiver = start_stub("--webhook-concurrency", "1"), receive()
    listen(stub, f"http://127.0.0.1:{receiver.port}/hook")
    for _ in range(5):
        pay(stub)
    receiver.wait_for(5)
    assert len(receiver.connections) == 1


def test_an_endpoint_of_one_account_hears_of_no_other(start_stub, receive):
    stub, receiver = start_stub(), receive()
    account = stub.client("sk_test_mine").v1.accounts.retrieve_current().id
    listen(stub, f"http://127.0.0.1:{receiver.port}/hook", account=account)
    pay(stub, "sk_test_other")
    mine = pay(stub, "sk_test_mine")
    stub.wait_delivered()
    assert [json.loads(body)["data"]["object"]["id"] for _, body in receiver.received] == [mine.id]


def test_a_deleted_endpoint_is_told_nothing_more(start_stub, receive):
    stub, receiver = start_stub("--webhook-delays", "600"), receive(answers=[500])
    client = stub.client("sk_test_webhooks")
    made = client.v1.webhook_endpoints.create(
        {
            "url": f"http://127.0.0.1:{receiver.port}/hook",
            "enabled_events": ["payment_intent.succeeded"],
        }
    )
    pay(stub)
    receiver.wait_for(1)
    assert stub.control("GET", "pending")[1]["webhooks"] == 1
    client.v1.webhook_endpoints.delete(made.id)
    assert stub.control("GET", "pending")[1]["webhooks"] == 0


def test_an_endpoint_that_hangs_holds_up_no_other(start_stub, receive):
    stub = start_stub("--webhook-concurrency", "1")
    slow, quick = receive(answers=[None] * 3), receive()
    for receiver in (slow, quick):
        listen(stub, f"http://127.0.0.1:{receiver.port}/hook")
    for _ in range(3):
        pay(stub)
    quick.wait_for(3)
    assert len(slow.received) <= 1


@pytest.mark.parametrize("body", [b"{}", '{"é": "€"}'.encode()])
def test_the_signature_is_what_the_sdk_checks(body):
    now = int(time.time())
    header = sign(body, SECRET, now)
    assert stripe.WebhookSignature.verify_header(body, header, SECRET, tolerance=300)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body + b" ", header, SECRET)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body, header, "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body, sign(body, SECRET, now - 400), SECRET, 300)


def test_the_schedule_backs_off_and_ends():
    schedule = Schedule((0.2, 0.5, 1), give_up_s=4)
    delivery = Delivery(event=1, endpoint=1, attempts=0, first_us=0, due_us=0)
    due = []
    now_us = 0
    for attempts in range(1, 10):
        tried = Delivery(1, 1, attempts, delivery.first_us, now_us)
        again = schedule.after_failure(tried, now_us)
        if again is None:
            break
        now_us = again.due_us
        due.append(now_us)
    assert due == [200_000, 700_000, 1_700_000, 2_700_000, 3_700_000]
    assert list(DEFAULT_DELAYS_S) == sorted(DEFAULT_DELAYS_S)
