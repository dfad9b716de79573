from __future__ import annotations

import base64
import json
import os
import random
import secrets as randomness

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.canaries import canaries, fingerprint
from payresil.core.canary_scanner import Scanner
from payresil.core.protocols import Secrets

SOWN = Secrets(
    api_token="Zk3-_aQ9xW2pLm7RtY5bNc8VhJ4s",
    admin_token="f00dfeedc0ffee11223344556677",
    psp_api_key="sk_test_0123456789abcdef0123456789abcdef",
    webhook_secret="whsec_fedcba98765432100123456789abcdef",
    control_token="CtrlCtrlCtrl0123456789AbCd",
    card_numbers=("4000020123456789", "4000029876543210", "378282999988887"),
    card_cvc="123",
)
CARD = SOWN.card_numbers[0]


@pytest.fixture(scope="module")
def scanner():
    return Scanner(canaries(json.loads(json.dumps(fingerprint(SOWN)))))


def find(scanner, data):
    return scanner.find(pa.py_buffer(data if isinstance(data, bytes) else data.encode()))


def test_a_fingerprint_holds_no_secret():
    text = json.dumps(fingerprint(SOWN))
    for name, value in SOWN.values():
        assert value not in text, name
        assert value[-5:] not in text, name
    assert [entry["name"] for entry in fingerprint(SOWN)] == [name for name, _ in SOWN.values()]


def test_two_fingerprints_of_one_secret_differ():
    first, second = fingerprint(SOWN), fingerprint(SOWN)
    assert {e["sha256"] for e in first}.isdisjoint(e["sha256"] for e in second)


@pytest.mark.parametrize("bad", ["short", "has spaces in it, so it has", "4242", "päßword" * 4])
def test_what_could_not_be_recognised_is_refused(bad):
    values = {name: getattr(SOWN, name) for name in Secrets.__slots__}
    with pytest.raises(ValueError, match="api_token cannot be a canary"):
        fingerprint(Secrets(**values | {"api_token": bad}))


@pytest.mark.parametrize("bad", [None, [1], [{"name": "x"}], "text", {"a": 1}])
def test_canaries_that_cannot_be_read(bad):
    with pytest.raises(ValueError, match=r"run\.json holds no usable canaries"):
        canaries(bad)


def written(value, how):
    raw = value.encode()
    groups = " ".join(value[i : i + 4] for i in range(0, len(value), 4))
    return {
        "plain": raw,
        "spaces": groups.encode(),
        "dashes": groups.replace(" ", "-").encode(),
        "url": groups.replace(" ", "%20").encode(),
        "form": groups.replace(" ", "+").encode(),
        "every digit": "-".join(value).encode(),
        "hard spaces": groups.replace(" ", "\xa0").encode(),
        "json": json.dumps({"number": value}).encode(),
        "digits around": b"99" + raw + b"11",
        "hexadecimal": raw.hex().encode(),
        "HEXADECIMAL": raw.hex().upper().encode(),
        "base64": base64.b64encode(raw),
        "base64 of json": base64.b64encode(b'{"number":"%s"}' % raw),
        "base64 at 1": base64.b64encode(b"a" + raw + b"zz"),
        "base64 at 2": base64.urlsafe_b64encode(b"ab\xff\xfe" + b"c" + raw + b"\xff"),
        "basic": b"Authorization: Basic " + base64.b64encode(raw + b":"),
    }[how]


SPLIT = ["spaces", "dashes", "url", "form", "every digit", "hard spaces"]
WHOLE = [
    "plain",
    "json",
    "digits around",
    "hexadecimal",
    "HEXADECIMAL",
    "base64",
    "base64 of json",
    "base64 at 1",
    "base64 at 2",
    "basic",
]


@pytest.mark.parametrize("how", SPLIT + WHOLE)
@pytest.mark.parametrize("card", SOWN.card_numbers)
def test_card_numbers_are_recognised(scanner, how, card):
    data = b"before " + written(card, how) + b" after"
    (sighting,) = find(scanner, data)
    assert sighting.name == "card_number"
    assert sighting.shown == f"{card[:6]}…{card[-4:]}"
    assert card not in str(sighting)


@pytest.mark.parametrize("how", WHOLE)
@pytest.mark.parametrize(("name", "value"), [v for v in SOWN.values() if v[0] != "card_number"])
def test_tokens_are_recognised(scanner, how, name, value):
    (sighting,) = find(scanner, b"x=" + written(value, how) + b"&y")
    assert sighting.name == name
    assert sighting.shown == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing at all",
        CARD[:-1],
        CARD[:6] + "******" + CARD[-4:],
        CARD[:-1] + str((int(CARD[-1]) + 1) % 10),
        "4000 0201  2345 6789",  # two separators are no way to write a number
        SOWN.api_token[:-1],
        SOWN.api_token.swapcase(),
        CARD.encode()[:8].hex(),
        "sk_test_" + "0" * 32,
    ],
)
def test_what_is_none(scanner, text):
    assert find(scanner, text) == []


def test_every_place_is_given_once(scanner):
    data = f"{CARD}\n{SOWN.api_token}\n{CARD}"
    assert [(s.name, s.at) for s in find(scanner, data)] == [
        ("card_number", 0),
        ("api_token", 17),
        ("card_number", 46),
    ]


def test_one_that_begins_inside_another_s_candidate(scanner):
    assert [s.at for s in find(scanner, CARD[:6] + CARD)] == [6]


@settings(deadline=None, max_examples=30)
@given(at=st.integers(0, 600_000), seed=st.integers(0, 99))
def test_wherever_it_stands_in_much_else(at, seed):
    scanner = Scanner(canaries(fingerprint(SOWN)))
    noise = bytearray(random.Random(seed).randbytes(600_000))
    noise[at:at] = SOWN.psp_api_key.encode()
    (sighting,) = find(scanner, bytes(noise))
    assert (sighting.name, sighting.at) == ("psp_api_key", at)


def test_at_every_border_of_the_search(scanner):
    for border in (1 << 18, 1 << 19):
        for shift in range(-18, 3):
            data = b"." * (border + shift) + CARD.encode() + b"." * 1000
            assert [s.at for s in find(scanner, data)] == [border + shift]


def test_fresh_secrets_are_not_found_in_noise():
    cards = tuple(
        "400002" + "".join(str(randomness.randbelow(10)) for _ in range(10)) for _ in range(16)
    )
    token = randomness.token_urlsafe
    sown = Secrets(
        token(24), token(24), "sk_test_" + token(16), "whsec_" + token(16), token(24), cards, "123"
    )
    scanner = Scanner(canaries(fingerprint(sown)))
    noise = base64.b64encode(os.urandom(300_000)) + os.urandom(300_000) + b"400002" * 50_000
    assert find(scanner, noise) == []
