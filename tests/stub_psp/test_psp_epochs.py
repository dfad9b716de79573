"""The epoch that a request was sent in, where its caller says so."""

import subprocess
import sys
import time

import pytest

_CARD = {"payment_method": "pm_card_visa", "confirm": True, "payment_method_types": ["card"]}


def _pay(stub, key, **headers):
    options = {"idempotency_key": key, "headers": headers}
    params = {"amount": 1000, "currency": "eur", **_CARD}
    return stub.client().v1.payment_intents.create(params, options)


def _epochs(stub):
    return [row["epoch"] for row in stub.truth("psp_epochs")]


def test_every_request_that_says_its_epoch_is_in_the_god_view(start_stub):
    stub = start_stub("--epoch-header", "X-Epoch")
    began = time.monotonic_ns()
    _pay(stub, "first", **{"X-Epoch": "1"})
    _pay(stub, "first", **{"x-epoch": "2"})  # a replay, sent by who came after
    stub.client().v1.payment_intents.list({"limit": 1}, {"headers": {"X-EPOCH": "2"}})

    rows = stub.truth("psp_epochs")

    assert [row["epoch"] for row in rows] == [1, 2, 2]
    assert list(rows[0]) == ["request", "epoch", "received_mono_ns"]
    assert [row["request"] for row in rows] == [
        row["request"] for row in stub.truth("psp_attempts")
    ]
    moments = [row["received_mono_ns"] for row in rows]
    assert began < moments[0] < moments[1] < moments[2] < time.monotonic_ns()


@pytest.mark.parametrize("text", ["", "one", "-1", "1.5", "4242424242424242"])
def test_what_is_no_epoch_is_passed_over(start_stub, text):
    stub = start_stub("--epoch-header", "X-Epoch")

    _pay(stub, "odd", **{"X-Epoch": text})

    assert _epochs(stub) == []
    assert len(stub.truth("psp_charges")) == 1


def test_nobody_asked_for_epochs(stub):
    _pay(stub, "unasked", **{"X-Epoch": "1"})

    assert _epochs(stub) == []


def test_what_the_god_view_knows_of_an_epoch_survives_a_kill(start_stub, tmp_path):
    data = tmp_path / "data"
    stub = start_stub("--epoch-header", "X-Epoch", data=data)
    _pay(stub, "killed", **{"X-Epoch": "7"})
    stub.kill()

    again = start_stub("--epoch-header", "X-Epoch", data=data)

    assert _epochs(again) == [7]


def test_a_header_that_cannot_be_is_a_mistake():
    ended = subprocess.run(
        [sys.executable, "-m", "stub_psp", "--memory", "--epoch-header", "X Epoch"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 2
    assert "is not a header's name" in ended.stderr
