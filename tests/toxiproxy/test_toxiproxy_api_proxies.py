"""Endpoints of proxies: statuses, texts and fields as the original has them."""

from __future__ import annotations

import re
import socket
from typing import Any
from urllib.parse import quote

import pytest

TARGET = "127.0.0.1:9"  # nothing is sent there


def test_list_is_empty_at_first(server: Any) -> None:
    assert server.ok("GET", "/proxies") == {}


def test_create(server: Any) -> None:
    body = {"name": "new", "upstream": TARGET, "listen": "127.0.0.1:0", "toxics": [{"type": "x"}]}
    status, answer, _response = server.request("POST", "/proxies", body)
    assert status == 201
    assert list(answer) == ["name", "listen", "upstream", "enabled", "toxics"]
    assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", answer["listen"])
    assert answer["enabled"] is True
    assert answer["toxics"] == []
    assert server.ok("GET", "/proxies") == {"new": answer}
    assert server.ok("GET", "/proxies/new") == answer


def test_listen_left_out_is_loopback(proxy: Any) -> None:
    assert proxy["listen"].startswith("127.0.0.1:")


def test_host_names_come_back_resolved(server: Any) -> None:
    body = {"name": "p", "upstream": TARGET, "listen": "localhost:0"}
    assert server.ok("POST", "/proxies", body)["listen"].startswith("127.0.0.1:")


def test_created_disabled_it_keeps_its_listen_until_enabled(server: Any) -> None:
    body = {"name": "p", "upstream": TARGET, "listen": "127.0.0.1:0", "enabled": False}
    created = server.ok("POST", "/proxies", body)
    assert (created["listen"], created["enabled"]) == ("127.0.0.1:0", False)
    enabled = server.ok("PATCH", "/proxies/p", {"enabled": True})
    assert enabled["listen"] != "127.0.0.1:0"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "bad request body: EOF"),
        (b"{", "bad request body: unexpected EOF"),
        (b"nonsense", "bad request body: invalid character"),
        (b"[]", "bad request body: json: cannot unmarshal array"),
        ({}, "missing required field: name"),
        ({"upstream": TARGET}, "missing required field: name"),
        ({"name": "p"}, "missing required field: upstream"),
        (
            {"name": 1, "upstream": TARGET},
            "bad request body: json: cannot unmarshal number 1 into Go struct field Proxy.name"
            " of type string",
        ),
        ({"name": "p", "upstream": TARGET, "enabled": "yes"}, "bad request body: json: cannot"),
        ({"name": "p", "upstream": "nonsense"}, "upstream: address nonsense: missing port"),
        ({"name": "p" * 2000, "upstream": TARGET}, "name is too long"),
    ],
)
def test_create_refuses_bad_bodies(server: Any, body: object, expected: str) -> None:
    status, message = server.error("POST", "/proxies", body)
    assert status == 400
    assert message.startswith(expected)
    assert server.ok("GET", "/proxies") == {}


def test_create_twice(server: Any, proxy: Any) -> None:
    body = {"name": "p", "upstream": TARGET, "listen": "nonsense"}
    assert server.error("POST", "/proxies", body) == (409, "proxy already exists")


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("999.1.1.1:80", "listen tcp: lookup 999.1.1.1: no such host"),
        ("nonsense", "listen tcp: address nonsense: missing port in address"),
        ("1:2:3", "listen tcp: address 1:2:3: too many colons in address"),
        ("127.0.0.1:65536", "listen tcp: address 65536: invalid port"),
        ("127.0.0.1:-1", "listen tcp: lookup tcp/-1: unknown port"),
        ("127.0.0.1:" + "9" * 5000, "listen tcp: address 999"),
        ("a\0b:80", "listen tcp: lookup a\0b: no such host"),
        ("x" * 300 + ":80", "listen tcp: lookup xxx"),
        ("192.0.2.1:80", "listen tcp 192.0.2.1:80: bind: cannot assign requested address"),
    ],
)
def test_addresses_that_cannot_be_listened_on(server: Any, listen: str, expected: str) -> None:
    body = {"name": "p", "upstream": TARGET, "listen": listen}
    status, message = server.error("POST", "/proxies", body)
    assert status == 500
    assert message.startswith(expected)
    assert server.ok("GET", "/proxies") == {}


def test_an_address_in_use(server: Any, taken: str) -> None:
    body = {"name": "p", "upstream": TARGET, "listen": taken}
    expected = f"listen tcp {taken}: bind: address already in use"
    assert server.error("POST", "/proxies", body) == (500, expected)
    assert server.error("GET", "/proxies/p") == (404, "proxy not found")


def test_bodies_are_read_like_go_reads_them(server: Any) -> None:
    body = b'{"NAME": "p", "Upstream": "%b", "listen": null, "x": {}} trailing'
    created = server.ok("POST", "/proxies", body.replace(b"%b", TARGET.encode()))
    assert created["name"] == "p"


@pytest.mark.parametrize("name", ["with space", "ünïcode ✓", "a->b", "50%", "\N{PILE OF POO}"])
def test_names_are_percent_decoded(server: Any, name: str) -> None:
    server.ok("POST", "/proxies", {"name": name, "upstream": TARGET})
    assert server.ok("GET", f"/proxies/{quote(name, safe='')}")["name"] == name


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_update(server: Any, proxy: Any, method: str) -> None:
    changed = server.ok(method, "/proxies/p", {"upstream": "127.0.0.1:10", "name": "ignored"})
    assert changed == {**proxy, "upstream": "127.0.0.1:10"}
    assert server.ok(method, "/proxies/p", {}) == changed


def test_disable_and_enable_keep_the_port_and_the_toxics(server: Any, proxy: Any) -> None:
    server.ok("POST", "/proxies/p/toxics", {"type": "noop"})
    down = server.ok("PATCH", "/proxies/p", {"enabled": False})
    assert (down["enabled"], down["listen"]) == (False, proxy["listen"])
    assert len(down["toxics"]) == 1
    host, port = proxy["listen"].split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    assert server.ok("PATCH", "/proxies/p", {"enabled": True})["listen"] == proxy["listen"]
    socket.create_connection((host, int(port))).close()


def test_update_to_a_malformed_listen_changes_nothing(server: Any, proxy: Any) -> None:
    answer = server.error("PATCH", "/proxies/p", {"listen": "nonsense"})
    assert answer == (500, "address nonsense: missing port in address")
    assert server.ok("GET", "/proxies/p") == proxy


def test_update_to_a_taken_address_leaves_it_disabled(server: Any, proxy: Any, taken: str) -> None:
    expected = f"listen tcp {taken}: bind: address already in use"
    assert server.error("PATCH", "/proxies/p", {"listen": taken}) == (500, expected)
    assert server.ok("GET", "/proxies/p") == {**proxy, "listen": taken, "enabled": False}


def test_update_errors(server: Any, proxy: Any) -> None:
    assert server.error("PATCH", "/proxies/none", {}) == (404, "proxy not found")
    assert server.error("PATCH", "/proxies/p", b"")[0] == 400
    assert server.error("PATCH", "/proxies/p", {"enabled": 1})[0] == 400
    assert server.error("PATCH", "/proxies/p", {"upstream": "x"})[0] == 400
    assert server.ok("GET", "/proxies/p") == proxy


def test_delete(server: Any, proxy: Any) -> None:
    status, answer, _response = server.request("DELETE", "/proxies/p")
    assert (status, answer) == (204, "")
    assert server.error("DELETE", "/proxies/p") == (404, "proxy not found")
    assert server.error("GET", "/proxies/p/toxics") == (404, "proxy not found")
