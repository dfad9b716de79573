"""Endpoints of toxics: statuses, texts and fields as the original has them."""

from __future__ import annotations

from typing import Any

import pytest


def test_create_toxic_with_defaults(server: Any, proxy: Any) -> None:
    status, answer, _response = server.request("POST", "/proxies/p/toxics", {"type": "latency"})
    assert status == 200
    assert list(answer.items()) == [
        ("attributes", {"latency": 0, "jitter": 0}),
        ("name", "latency_downstream"),
        ("type", "latency"),
        ("stream", "downstream"),
        ("toxicity", 1),
    ]


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("latency", {"latency": 5, "jitter": 1}),
        ("timeout", {"timeout": 5}),
        ("reset_peer", {"timeout": 5}),
        ("bandwidth", {"rate": 5}),
        ("slow_close", {"delay": 5}),
        ("limit_data", {"bytes": 5}),
        ("slicer", {"average_size": 5, "size_variation": 2, "delay": 3}),
        ("noop", {}),
    ],
)
def test_every_toxic_and_its_attributes(
    server: Any, proxy: Any, kind: str, attributes: dict[str, int]
) -> None:
    body = {"type": kind, "name": "t", "toxicity": 0.5, "attributes": attributes}
    answer = server.ok("POST", "/proxies/p/toxics", body)
    assert answer["attributes"] == attributes
    assert answer["toxicity"] == 0.5
    assert server.ok("GET", "/proxies/p/toxics/t") == answer


def test_stream_is_echoed_as_sent(server: Any, proxy: Any) -> None:
    answer = server.ok("POST", "/proxies/p/toxics", {"type": "latency", "stream": "UPSTREAM"})
    assert (answer["stream"], answer["name"]) == ("UPSTREAM", "latency_UPSTREAM")


def test_toxics_are_listed_upstream_first(server: Any, proxy: Any) -> None:
    for number, stream in enumerate(["downstream", "upstream", "downstream", "upstream"]):
        body = {"type": "noop", "name": str(number), "stream": stream}
        server.ok("POST", "/proxies/p/toxics", body)
    names = [toxic["name"] for toxic in server.ok("GET", "/proxies/p/toxics")]
    assert names == ["1", "3", "0", "2"]
    assert server.ok("GET", "/proxies/p")["toxics"] == server.ok("GET", "/proxies/p/toxics")


LATENCY_15 = (
    "bad request body: json: cannot unmarshal number 1.5 into Go struct field "
    "LatencyToxic.attributes.latency of type int64"
)
STREAM = "stream was invalid, can be either upstream or downstream"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "bad request body: EOF"),
        ({}, "invalid toxic type"),
        ({"type": "nope"}, "invalid toxic type"),
        ({"type": "packet_loss"}, "invalid toxic type"),
        ({"type": "nope", "stream": "sideways"}, STREAM),
        ({"type": "latency", "attributes": {"latency": 1.5}}, LATENCY_15),
        (
            b'{"type": "latency", "attributes": {"latency": 1000.0}}',
            LATENCY_15.replace("1.5", "1000.0"),
        ),
        (
            {"type": "latency", "attributes": {"latency": True}},
            LATENCY_15.replace("number 1.5", "bool"),
        ),
        (
            {"type": "latency", "attributes": {"latency": 2**63}},
            LATENCY_15.replace("1.5", str(2**63)),
        ),
        (
            {"type": "latency", "attributes": {"latancy": 1}},
            'bad request body: json: unknown field "latancy", LatencyToxic takes latency, jitter',
        ),
        (
            {"type": "latency", "attributes": {"latency": -1}},
            "bad request body: latency must not be negative, got -1",
        ),
        (
            {"type": "bandwidth", "attributes": {"rate": -1}},
            "bad request body: rate must not be negative, got -1",
        ),
        ({"type": "slicer"}, "bad request body: average_size must be at least 1"),
        ({"type": "noop", "toxicity": 7.5}, "toxicity must be between 0 and 1, got 7.5"),
        (b'{"type": "noop", "toxicity": 1e999}', "toxicity must be between 0 and 1, got inf"),
        (b'{"type": "noop", "toxicity": NaN}', "bad request body: invalid character 'N'"),
        ({"type": "noop", "toxicity": "1"}, "bad request body: json: cannot unmarshal string"),
        ({"type": "noop", "attributes": []}, "bad request body: json: cannot unmarshal array"),
    ],
)
def test_create_toxic_refuses(server: Any, proxy: Any, body: object, expected: str) -> None:
    status, message = server.error("POST", "/proxies/p/toxics", body)
    assert status == 400
    assert message.startswith(expected)
    assert server.ok("GET", "/proxies/p/toxics") == []


def test_toxic_names_are_unique_over_both_streams(server: Any, proxy: Any) -> None:
    server.ok("POST", "/proxies/p/toxics", {"type": "noop", "name": "t"})
    body = {"type": "latency", "name": "t", "stream": "upstream", "attributes": {"latency": "bad"}}
    assert server.error("POST", "/proxies/p/toxics", body) == (409, "toxic already exists")


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_update_toxic_merges(server: Any, proxy: Any, method: str) -> None:
    body = {"type": "latency", "name": "t", "attributes": {"latency": 5, "jitter": 2}}
    before = server.ok("POST", "/proxies/p/toxics", body)
    change = {"attributes": {"latency": 9}, "name": "x", "type": "noop", "stream": "upstream"}
    after = server.ok(method, "/proxies/p/toxics/t", change)
    assert after == {**before, "attributes": {"latency": 9, "jitter": 2}}
    after = server.ok(method, "/proxies/p/toxics/t", {"toxicity": 0.25})
    assert (after["toxicity"], after["attributes"]["latency"]) == (0.25, 9)
    assert server.ok("GET", "/proxies/p/toxics/t") == after


def test_a_refused_toxic_update_changes_nothing(server: Any, proxy: Any) -> None:
    body = {"type": "latency", "name": "t", "attributes": {"latency": 5}}
    before = server.ok("POST", "/proxies/p/toxics", body)
    change = {"toxicity": 0.5, "attributes": {"latency": 9, "jitter": "x"}}
    assert server.error("PATCH", "/proxies/p/toxics/t", change)[0] == 400
    assert server.error("PATCH", "/proxies/p/toxics/t", {"attributes": {"jiter": 1}})[0] == 400
    assert server.ok("GET", "/proxies/p/toxics/t") == before


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST", "DELETE"])
def test_unknown_toxics(server: Any, proxy: Any, method: str) -> None:
    assert server.error(method, "/proxies/p/toxics/t", {}) == (404, "toxic not found")
    assert server.error(method, "/proxies/q/toxics/t", {}) == (404, "proxy not found")


def test_delete_toxic(server: Any, proxy: Any) -> None:
    server.ok("POST", "/proxies/p/toxics", {"type": "noop", "name": "t"})
    status, answer, _response = server.request("DELETE", "/proxies/p/toxics/t")
    assert (status, answer) == (204, "")
    assert server.ok("GET", "/proxies/p/toxics") == []
