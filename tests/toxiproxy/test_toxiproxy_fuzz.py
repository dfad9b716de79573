"""Nothing that a client sends stops the server or makes it show its insides."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.toxiproxy import toxics
from payresil.toxiproxy.address import AddressError, parse
from payresil.toxiproxy.bodies import new_proxies, new_proxy, new_toxic, proxy_change
from payresil.toxiproxy.errors import ApiError
from payresil.toxiproxy.toxicset import ToxicSet

toxics.load()

UNHURRIED = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXT = st.text(st.characters(codec=None), max_size=20)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(["upstream", "DOWNSTREAM", "latency", "slicer", "127.0.0.1:0", "x:99999"])
)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
MEMBERS = ["name", "listen", "upstream", "enabled", "type", "stream", "toxicity", "ttl_ms"]
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["latency", "jitter", "rate", "average_size", "bytes", "timeout"]) | TEXT, JSON
)
OBJECT = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(MEMBERS, SCALAR | JSON), "attributes": ATTRIBUTES | JSON}
)
BODY = st.binary(max_size=200) | (OBJECT | JSON | st.lists(OBJECT, max_size=3)).map(
    lambda value: json.dumps(value).encode()
)
PATHS = [
    "/proxies",
    "/populate",
    "/proxies/p",
    "/proxies/p/toxics",
    "/proxies/p/toxics/t",
    "/lease",
]


@UNHURRIED
@given(BODY)
def test_bodies_are_read_or_refused(body: bytes) -> None:
    present = ToxicSet(1, "p")
    readers: list[Callable[[bytes], object]] = [
        new_proxy,
        new_proxies,
        proxy_change,
        lambda raw: new_toxic(raw, present),
    ]
    for read in readers:
        with contextlib.suppress(ApiError):
            read(body)


@UNHURRIED
@given(st.text(max_size=50) | st.from_regex(r"[\[\]:0-9a-f.]*", fullmatch=True))
def test_addresses_are_read_or_refused(text: str) -> None:
    with contextlib.suppress(AddressError):
        assert 0 <= parse(text).port <= 65535


@UNHURRIED
@given(method=st.sampled_from(["POST", "PATCH", "DELETE"]), path=st.sampled_from(PATHS), body=BODY)
def test_requests_are_answered(server: Any, method: str, path: str, body: bytes) -> None:
    server.request("POST", "/proxies", {"name": "p", "upstream": "127.0.0.1:9"})
    server.request("POST", "/proxies/p/toxics", {"type": "latency", "name": "t"})
    status, answer, _response = server.request(method, path, body)
    assert status in {200, 201, 204, 400, 404, 405, 409, 500}
    assert "Traceback" not in str(answer)
    if status == 500:
        assert "internal error" not in answer["error"]
    server.request("DELETE", "/lease")
    for name in server.ok("GET", "/proxies"):
        server.request("DELETE", f"/proxies/{quote(name, safe='', errors='replace')}")


@UNHURRIED
@given(st.text(max_size=30) | st.from_regex(r"(%[0-9a-zA-Z]{2}|[a-z/]){1,20}", fullmatch=True))
def test_paths_are_answered(server: Any, path: str) -> None:
    encoded = quote(path, safe="/%", errors="replace")
    status, _answer, _response = server.request("GET", f"/proxies/{encoded}")
    assert status in {200, 400, 404}


def test_deeply_nested_json(server: Any) -> None:
    for body in (b"[" * 200_000, b'{"a":' * 100_000):
        status, answer, _response = server.request("POST", "/proxies", body)
        assert status == 400
        assert answer["error"] == "bad request body: exceeded max depth"


def test_a_number_of_many_digits(server: Any) -> None:
    status, answer, _response = server.request("POST", "/proxies", b'{"name": ' + b"9" * 10_000)
    assert status == 400
    assert answer["error"].startswith("bad request body: ")


def test_bytes_that_are_no_http(server: Any) -> None:
    for garbage in (b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", b"POST /proxies HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(garbage)
            assert client.recv(100).startswith(b"HTTP/1.1 4")


def test_a_client_that_leaves_in_the_middle(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"POST /proxies HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert server.ok("GET", "/proxies") == {}
