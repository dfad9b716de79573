"""The SDK's requests on the wire, against a server that answers what a test says."""

import asyncio

import pytest
import uvloop

from payresil.refpay.psp.sdk import StripeClient, stripe
from payresil.refpay.psp.transport import ConnectionRefused, Transport

_BODY = b'{"id": "pi_1"}'
_OK = b"HTTP/1.1 200 OK\r\nRequest-Id: req_1\r\nContent-Length: 14\r\n\r\n" + _BODY


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine on a loop: transports differ."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


class _Server:
    """Reads requests, writes the answers it has, in turn; None hangs up."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.connections = 0

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, rest = head.lower().partition(b"content-length: ")
                length = int(rest.partition(b"\r")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                for part in answer if isinstance(answer, list) else [answer]:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            pass  # the client hung up
        writer.close()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.transport = Transport(f"http://127.0.0.1:{port}")
        self.url = f"http://127.0.0.1:{port}/v1/things?limit=1"
        return self

    async def __aexit__(self, *_):
        await self.transport.close_async()
        self.server.close()

    async def post(self):
        return await self.transport.request_async("post", self.url, {"X-A": "1"}, "a=1&b=2")


def test_requests_share_a_connection(run):
    async def main():
        async with _Server(_OK, _OK) as server:
            for _ in range(2):
                body, status, headers = await server.post()
                assert (body, status, headers["request-id"]) == (_BODY, 200, "req_1")
            assert "Request-Id" in headers
            assert headers.get("REQUEST-ID") == "req_1"
            assert server.connections == 1
            assert server.requests[0].startswith(b"POST /v1/things?limit=1 HTTP/1.1\r\nHost: 127")
            assert server.requests[0].endswith(b"X-A: 1\r\nContent-Length: 7\r\n\r\na=1&b=2")

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        [_OK[:20], _OK[20:60], _OK[60:]],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n" + _BODY + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + _OK,
    ],
)
def test_answers_come_in_parts(run, answer):
    async def main():
        async with _Server(answer, _OK) as server:
            assert (await server.post())[:2] == (_BODY, 200)
            assert (await server.post())[:2] == (_BODY, 200)
            assert server.connections == 1

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 14\r\n\r\n" + _BODY,
        _OK + _OK,
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(run, answer):
    async def main():
        async with _Server(answer, _OK) as server:
            await server.post()
            await server.post()
            assert server.connections == 2

    run(main())


@pytest.mark.parametrize("answer", [None, _OK[:40], b"nonsense\r\n\r\n", [_OK[:-3], b""]])
def test_half_an_answer_is_none(run, answer):
    async def main():
        async with _Server(answer) as server:
            with pytest.raises(stripe.APIConnectionError) as caught:
                async with asyncio.timeout(5):
                    await server.post()
            assert not isinstance(caught.value, ConnectionRefused)

    run(main())


def test_a_time_out_ends_the_connection(run):
    """Or the late answer would be taken for the next request's."""

    async def main():
        async with _Server(b"", _OK, _OK) as server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await server.post()
            assert (await server.post())[1] == 200
            assert server.connections == 2

    run(main())


def test_no_connection_is_told_apart(run, dead_database):
    port = dead_database.split(":")[2].split("/")[0]

    async def main():
        transport = Transport(f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectionRefused):
            await transport.request_async("get", f"http://127.0.0.1:{port}/", {})

    run(main())


def test_headers_cannot_be_smuggled(run):
    async def main():
        async with _Server(_OK) as server:
            with pytest.raises(ValueError, match="line break"):
                await server.transport.request_async("get", server.url, {"A": "1\r\nB: 2"})

    run(main())


def test_the_sdk_sends_through_it_and_logs_no_card(run, caplog):
    async def main():
        async with _Server(_OK) as server:
            client = StripeClient(
                "sk_test_x", http_client=server.transport, max_network_retries=0,
                base_addresses={"api": server.url.split("/v1")[0]},
            )  # fmt: skip
            made = await client.raw_request_async(
                "post", "/v1/payment_intents", idempotency_key="k1", amount=5,
                payment_method_data={"card": {"number": "4242424242424242"}},
            )  # fmt: skip
            assert made.data["id"] == "pi_1"
            assert b"Idempotency-Key: k1\r\n" in server.requests[0]
            assert b"4242424242424242" in server.requests[0]

    with caplog.at_level("DEBUG"):
        run(main())
    assert "4242" not in caplog.text
