"""The asyncio client against a real socket."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from payresil.core.mapping import Request
from payresil.workloads.connection import Address, Connection
from payresil.workloads.transport import Reply


def pay(reference: str = "r1-1") -> Request:
    body = f'{{"reference": "{reference}"}}'.encode()
    return Request("POST", "/payments", {"Idempotency-Key": reference}, body)


def send(
    url: str, *requests: Request, timeout_s: float = 10.0, ca: str | None = None
) -> list[Reply]:
    async def all_of_them() -> list[Reply]:
        async with Connection(Address(url, ca)) as connection:
            return [await connection.send(request, timeout_s) for request in requests]

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("mode", ["ok", "decline", "processing", "chunked", "until-close", "500"])
def test_answers_of_every_shape_arrive_whole(shop: Any, mode: str) -> None:
    shop.mode(mode)
    (reply,) = send(shop.url, pay())
    assert reply.error is None
    assert b'"reference": "r1-1"' in reply.body
    assert reply.status == {"decline": 402, "processing": 202, "500": 500}.get(mode, 201)


@pytest.mark.parametrize(
    ("mode", "error"),
    [("drop", "closed"), ("cut", "closed"), ("reset", "reset"), ("garbage", "malformed")],
)
def test_half_an_answer_is_no_answer(shop: Any, mode: str, error: str) -> None:
    shop.mode(mode)
    (reply,) = send(shop.url, pay())
    assert (reply.status, reply.error) == (None, error)


def test_a_timeout_covers_the_whole_exchange(shop: Any) -> None:
    shop.mode("hang")
    assert send(shop.url, pay(), timeout_s=0.05)[0].error == "timeout"


def test_refused_is_told_from_everything_else() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert send(url, pay())[0] == Reply(None, error="refused")


def test_a_connection_is_kept_and_made_anew_after_an_error(shop: Any) -> None:
    assert [one.status for one in send(shop.url, pay("a-1"), pay("a-2"), pay("a-3"))] == [201] * 3
    assert shop.state()["connections"] == 1
    shop.mode("drop")
    replies = send(shop.url, pay("b-1"), pay("b-2"))
    assert [one.error for one in replies] == ["closed", "closed"]
    assert shop.state()["connections"] == 3


def test_tls_is_verified(open_shop: Any) -> None:
    shop = open_shop(tls=True)
    assert send(shop.url, pay(), ca=shop.ca_file)[0].status == 201
    assert send(shop.url, pay()) == [Reply(None, error="tls")]
    other = shop.url.replace("127.0.0.1", "localhost")  # the certificate names the address only
    assert send(other, pay(), ca=shop.ca_file)[0].error == "tls"


def test_plain_text_to_a_tls_port_is_no_answer(open_shop: Any) -> None:
    shop = open_shop(tls=True)
    (reply,) = send(shop.url.replace("https", "http"), pay())
    assert reply.status is None


@pytest.mark.parametrize("url", ["", "127.0.0.1:80", "ftp://x", "https://", "/payments"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="is no address such as"):
        Address(url)


def test_default_ports() -> None:
    assert Address("http://a").port == 80
    assert Address("https://a").port == 443
    assert Address("http://user:secret@a:81").authority == "a:81"
