"""kill -9 at any point: nothing acknowledged is lost, nothing happens twice."""

from __future__ import annotations

import concurrent.futures
import itertools
import socket
import uuid

import pytest
import requests

PAYMENT = {
    "amount": 1000,
    "currency": "usd",
    "confirm": "true",
    "payment_method": "pm_card_visa",
}


def pay(stub, key, reference, timeout=10.0):
    return requests.post(
        f"{stub.url}/v1/payment_intents",
        data={**PAYMENT, "metadata[merchant_reference]": reference},
        headers={"Authorization": "Bearer sk_test_kill", "Idempotency-Key": key},
        timeout=timeout,
    )


def kill_while_held(start_stub, data, rule):
    """Pay, hold the request where the rule says, kill; give the stub that comes after."""
    stub = start_stub(data=data)
    stub.rule(**rule)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(pay, stub, "k", "r-1")
        stub.wait_in_flight(1)
        stub.kill()
        with pytest.raises(requests.ConnectionError):
            waiting.result()
    after = start_stub(data=data)
    assert after.control("GET", "rules")[1]["rules"][0]["id"] == "rule-1"
    after.control("DELETE", "rules")
    return after


def test_between_commit_and_answer(start_stub, tmp_path):
    rule = {"point": "after_commit_lost", "action": {"how": "hang", "hang_ms": 600_000}}
    stub = kill_while_held(start_stub, tmp_path / "data", rule)
    (charge,) = stub.truth("psp_charges")
    (attempt,) = stub.truth("psp_attempts")
    assert attempt["answered_mono_ns"] is None
    assert (attempt["rule"], attempt["charge"]) == ("rule-1", charge["charge"])
    again = pay(stub, "k", "r-1")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["latest_charge"] == charge["charge"]
    assert len(stub.truth("psp_charges")) == 1
    assert [event["attempt"] for event in stub.truth("psp_events")] == [0, 0, 0]


def test_before_the_commit(start_stub, tmp_path):
    rule = {"point": "before_commit", "action": {"how": "delay", "delay_ms": 600_000}}
    stub = kill_while_held(start_stub, tmp_path / "data", rule)
    assert stub.truth("psp_charges") == []
    first = pay(stub, "k", "r-1")  # the key is free again: it was in use, not used
    assert first.status_code == 200
    assert "Idempotent-Replayed" not in first.headers


@pytest.mark.parametrize("kills", [3])
def test_in_the_middle_of_traffic(start_stub, tmp_path, kills):
    """Every key is paid once; every answer that was given is given again."""
    data = tmp_path / "data"
    answered: dict[str, str] = {}
    numbers = itertools.count()

    def traffic(stub):
        while True:
            key = f"k-{next(numbers)}"
            sent.append(key)
            try:
                answer = pay(stub, key, f"r-{key}", timeout=20)
            except requests.ConnectionError:
                return
            assert answer.status_code == 200
            answered[key] = answer.json()["id"]

    sent: list[str] = []
    for _ in range(kills):
        stub = start_stub(data=data)
        enough = len(answered) + 40
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            workers = [pool.submit(traffic, stub) for _ in range(4)]
            while len(answered) < enough:
                concurrent.futures.wait(workers, timeout=0.01)
                assert all(w.exception() is None for w in workers if w.done())
            stub.kill()
        for worker in workers:
            worker.result()

    stub = start_stub(data=data)
    for key in sent:
        again = pay(stub, key, f"r-{key}")
        assert again.status_code == 200
        if key in answered:
            assert again.headers["Idempotent-Replayed"] == "true"
            assert again.json()["id"] == answered[key]
    charges = stub.truth("psp_charges")
    assert sorted(charge["key"] for charge in charges) == sorted(set(sent))
    attempts = {attempt["key"]: attempt for attempt in stub.truth("psp_attempts")}
    assert set(attempts) == set(sent)


def test_a_second_stub_in_the_same_folder_is_refused(start_stub, tmp_path):
    first = start_stub(data=tmp_path / "data")
    with pytest.raises(AssertionError, match="another stub"):
        start_stub(data=tmp_path / "data")
    assert pay(first, str(uuid.uuid4()), "r").status_code == 200


def test_sigterm_ends_it_at_once_whatever_hangs(start_stub, tmp_path):
    stub = start_stub(data=tmp_path / "data")
    stub.rule(point="after_commit_lost", action={"how": "hang", "hang_ms": 600_000})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(pay, stub, "k", "r-1")
        stub.wait_in_flight(1)
        assert stub.stop() == 0
        with pytest.raises(requests.ConnectionError):
            waiting.result()


def test_sigterm_does_not_wait_for_half_a_request(start_stub, tmp_path):
    stub = start_stub()
    with socket.create_connection(("127.0.0.1", stub.port)) as half:
        half.sendall(b"POST /v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\na")
        stub.wait_in_flight(1)
        assert stub.stop() == 0
