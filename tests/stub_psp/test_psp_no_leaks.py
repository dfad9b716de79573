"""A card number goes in, and is nowhere afterwards: files, logs, answers, tables."""

from __future__ import annotations

import http.client
import random
from urllib.parse import urlencode

from stub_psp.dialects.stripe.cards import luhn


def canary(seed):
    """A Visa number nobody else uses; it is written nowhere in this file."""
    digits = "4" + "".join(random.Random(seed).choices("0123456789", k=14))
    return next(digits + check for check in "0123456789" if luhn(digits + check))


def send(stub, method, path, params, key=None):
    connection = http.client.HTTPConnection("127.0.0.1", stub.port, timeout=10)
    headers = {
        "Authorization": "Bearer sk_test_canary_account",
        "Content-Type": "application/x-www-form-urlencoded",
        **({"Idempotency-Key": key} if key else {}),
    }
    connection.request(method, path, urlencode(params), headers)
    answer = connection.getresponse()
    return answer.read() + str(answer.headers).encode()


def card(number, **more):
    return {
        "amount": 1000,
        "currency": "usd",
        "confirm": "true",
        "payment_method_data[type]": "card",
        "payment_method_data[card][number]": number,
        "payment_method_data[card][exp_month]": 11,
        "payment_method_data[card][exp_year]": 2041,
        "payment_method_data[card][cvc]": "737",
        **more,
    }


def test_card_numbers_stay_nowhere(start_stub, tmp_path):
    data = tmp_path / "data"
    stub = start_stub(data=data)
    good, path = canary(1), "/v1/payment_intents"
    invalid = good[:-1] + str((int(good[-1]) + 1) % 10)
    spaced = " ".join(good[n : n + 4] for n in range(0, 16, 4))
    seen = [
        send(stub, "POST", path, card(good), "k-1"),
        send(stub, "POST", path, card(good), "k-1"),
        send(stub, "POST", path, card(canary(2)), "k-1"),  # another card under the same key
        send(stub, "POST", path, card(invalid), "k-2"),
        send(stub, "POST", path, card(spaced), "k-3"),
        send(stub, "POST", path, card(good, amount=good)),
        send(stub, "POST", path, card(good, **{good: 1})),
        send(stub, "POST", path, card(good, currency=good)),
        send(stub, "POST", path, card(good, payment_method=good)),
        send(stub, "POST", path, {"amount": 1000, "currency": "usd", "payment_method": good}),
        send(stub, "POST", f"{path}/{good}/confirm", {}),
        send(stub, "GET", f"{path}?starting_after={good}", {}),
        send(stub, "GET", f"/v1/{good}", {}),
        send(stub, "PUT", f"/v1/{good}", card(good)),
    ]
    tables = ("psp_attempts", "psp_charges", "psp_refunds", "psp_events", "psp_epochs")
    pages = [*(f"/_control/truth/{table}" for table in tables), "/metrics"]
    seen += [stub.control_text("GET", page)[1].encode() for page in pages]
    seen += [file.read_bytes() for file in data.iterdir()]  # with the WAL still open
    stub.kill()
    seen += [file.read_bytes() for file in data.iterdir()]
    seen.append(stub.log.read_bytes())
    assert b"succeeded" in seen[0]
    assert good[-4:].encode() in seen[0] or b"pm_" in seen[0]
    everything = b"".join(seen)
    for secret in (good, canary(2), spaced, invalid, good[:12], "sk_test_canary_account"):
        assert secret.encode() not in everything
    assert "control-token-of-the-tests" not in stub.log.read_text()
