"""HTTP conventions of the original, and the own endpoints."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest


def test_version(server: Any) -> None:
    status, answer, response = server.request("GET", "/version")
    assert status == 200
    assert answer == {"version": "2.12.0+payresil"}
    assert response.headers["Content-Type"] == "application/json;charset=utf-8"


def test_json_answers_are_compact_and_typed(server: Any, proxy: Any) -> None:
    status, _answer, response = server.request("GET", "/proxies/p")
    assert status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert int(response.headers["Content-Length"]) == len(json.dumps(proxy, separators=(",", ":")))


def test_every_routed_answer_has_a_request_id(server: Any) -> None:
    ids = set()
    for path in ("/version", "/proxies", "/proxies/none"):
        _status, _answer, response = server.request("GET", path)
        ids.add(response.headers["X-Toxiproxy-Request-Id"])
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-v]{20}", one) for one in ids)


@pytest.mark.parametrize("path", ["/", "/nope", "/proxies/", "/metrics", "/proxies/a/b/c/d"])
def test_unknown_paths(server: Any, path: str) -> None:
    status, answer, response = server.request("GET", path)
    assert (status, answer) == (404, "404 page not found\n")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "X-Toxiproxy-Request-Id" not in response.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/proxies"), ("GET", "/reset"), ("DELETE", "/version"), ("PUT", "/proxies/p/toxics")],
)
def test_wrong_methods(server: Any, method: str, path: str) -> None:
    status, answer, _response = server.request(method, path)
    assert (status, answer) == (405, "")


def test_browsers_are_refused(server: Any) -> None:
    status, answer, _response = server.request("GET", "/proxies", **{"User-Agent": "Mozilla/5.0"})
    assert (status, answer) == (403, "User agent not allowed\n")


def test_lease(server: Any) -> None:
    assert server.ok("GET", "/lease")["armed"] is False
    answer = server.ok("POST", "/lease", {"ttl_ms": 60_000})
    assert (answer["armed"], answer["ttl_ms"]) == (True, 60_000)
    assert 0 < server.ok("GET", "/lease")["remaining_ms"] <= 60_000
    status, body, _response = server.request("DELETE", "/lease")
    assert (status, body) == (204, "")
    assert server.ok("GET", "/lease")["armed"] is False


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "bad request body: EOF"),
        ({}, "missing required field: ttl_ms"),
        ({"ttl_ms": 0}, "ttl_ms must be between 1 and 86400000, got 0"),
        ({"ttl_ms": 1.5}, "bad request body: json: cannot unmarshal number 1.5"),
    ],
)
def test_lease_refuses(server: Any, body: object, expected: str) -> None:
    status, message = server.error("POST", "/lease", body)
    assert status == 400
    assert message.startswith(expected)


def test_a_lease_that_runs_out_resets(server: Any, proxy: Any) -> None:
    server.ok("POST", "/proxies/p/toxics", {"type": "noop"})
    server.ok("PATCH", "/proxies/p", {"enabled": False})
    before = server.ok("GET", "/lease")["expirations"]
    server.ok("POST", "/lease", {"ttl_ms": 1})
    server.wait_for(lambda: server.ok("GET", "/lease")["expirations"] == before + 1)
    server.wait_for(lambda: server.ok("GET", "/proxies/p") == proxy)
    assert "lease_expired" in [line["event"] for line in server.log()]


def test_a_body_that_is_too_large(server: Any, proxy: Any) -> None:
    status, message = server.error("PATCH", "/proxies/p", b" " * (1024 * 1024 + 1))
    assert (status, message) == (413, "request body is larger than 1048576 bytes")


def test_names_in_the_log_are_the_requests(server: Any, proxy: Any) -> None:
    lines: list[dict[str, Any]] = server.log()
    assert all({"ts", "level", "event"} <= set(line) for line in lines)
    assert lines[-1]["event"] == "proxy_created"
    assert lines[-1]["proxy"] == "p"
