"""``/populate`` and ``/reset``."""

from __future__ import annotations

from typing import Any

import pytest

TARGET = "127.0.0.1:9"  # nothing is sent there


def entry(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "upstream": TARGET, "listen": "127.0.0.1:0", **more}


def test_populate(server: Any) -> None:
    status, answer, _response = server.request("POST", "/populate", [entry("a"), entry("b")])
    assert status == 201
    assert [proxy["name"] for proxy in answer["proxies"]] == ["a", "b"]
    assert set(server.ok("GET", "/proxies")) == {"a", "b"}


@pytest.mark.parametrize("body", [b"[]", b"null"])
def test_populate_nothing(server: Any, body: bytes) -> None:
    assert server.ok("POST", "/populate", body) == {"proxies": None}


def test_populate_leaves_the_same_alone(server: Any, proxy: Any) -> None:
    server.ok("POST", "/proxies/p/toxics", {"type": "noop"})
    before = server.ok("GET", "/proxies/p")
    same = entry("p", listen=proxy["listen"], enabled=False)
    assert server.ok("POST", "/populate", [same]) == {"proxies": [before]}


def test_populate_replaces_what_differs(server: Any, proxy: Any) -> None:
    server.ok("POST", "/proxies/p/toxics", {"type": "noop"})
    other = entry("p", listen=proxy["listen"], upstream="127.0.0.1:10")
    (replaced,) = server.ok("POST", "/populate", [other])["proxies"]
    assert replaced == {**proxy, "upstream": "127.0.0.1:10"}


def test_populate_checks_all_before_it_makes_any(server: Any) -> None:
    status, answer, response = server.request("POST", "/populate", [entry("a"), {"upstream": "x"}])
    assert status == 400
    assert response.headers["Content-Type"] == "application/json"
    assert answer == {
        "error": "missing required field: name at proxy 2",
        "status": 400,
        "proxies": None,
    }
    assert server.ok("GET", "/proxies") == {}


def test_populate_keeps_what_came_before_a_failure(server: Any, taken: str) -> None:
    body = [entry("a"), entry("b", listen=taken), entry("c")]
    status, answer, _response = server.request("POST", "/populate", body)
    assert status == 500
    assert answer["error"].endswith("address already in use")
    assert [proxy["name"] for proxy in answer["proxies"]] == ["a"]
    assert set(server.ok("GET", "/proxies")) == {"a"}


def test_populate_refuses_what_is_not_an_array(server: Any) -> None:
    status, answer, _response = server.request("POST", "/populate", {"name": "a"})
    assert status == 400
    assert answer["proxies"] is None


def test_reset_enables_and_removes_toxics(server: Any, proxy: Any) -> None:
    server.ok("POST", "/proxies/p/toxics", {"type": "timeout"})
    server.ok("PATCH", "/proxies/p", {"enabled": False})
    for _ in range(2):
        status, answer, _response = server.request("POST", "/reset")
        assert (status, answer) == (204, "")
        assert server.ok("GET", "/proxies/p") == proxy


def test_reset_goes_on_past_a_proxy_that_cannot_start(server: Any, proxy: Any, taken: str) -> None:
    for name in ("a", "z"):
        server.ok("POST", "/proxies", entry(name, listen=taken, enabled=False))
        server.ok("POST", f"/proxies/{name}/toxics", {"type": "noop"})
    server.ok("PATCH", "/proxies/p", {"enabled": False})
    status, message = server.error("POST", "/reset")
    assert status == 500
    assert message.count("address already in use") == 2
    assert message.startswith("a: ")
    shown = server.ok("GET", "/proxies")
    assert shown["p"]["enabled"]
    assert not any(one["toxics"] for one in shown.values())
