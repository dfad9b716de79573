"""Settling is polled until nothing is in flight; what is not understood is never taken for zero."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest

from payresil.backends.attached.borrowed_psp import NoPsp
from payresil.core.protocols import Secrets
from payresil.core.system import Job, Settle
from payresil.engine.service_calls import ServiceCallFailed, ServiceCalls

SECRETS = Secrets("api", "admin", "sk", "whsec", "control", ("4242",), "123")
SETTLE = Settle("GET /in-flight", {"Authorization": "Bearer {admin_token}"}, ("payments", "q.n"))


class QuietPsp:
    """A PSP with so many webhooks pending, one fewer at every look."""

    def __init__(self, pending: int = 0) -> None:
        self.left = pending

    def pending(self) -> Mapping[str, int]:
        self.left = max(self.left - 1, 0)
        return {"webhooks": self.left}

    def rule(self, rule: Mapping[str, Any]) -> AbstractContextManager[str]:
        raise AssertionError("settling injects nothing")

    def truth(self, table: str) -> Iterator[Mapping[str, Any]]:
        raise AssertionError("settling reads no books")


Serve = Callable[[Callable[[str, str, dict[str, str]], tuple[int, str]]], str]


def test_settles_when_every_counter_is_zero(serve: Serve) -> None:
    answers = iter([{"payments": 2, "q": {"n": 0}}, {"payments": 0, "q": {"n": 1}}])
    seen: list[str] = []

    def answer(method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        seen.append(f"{method} {path} {headers['Authorization']}")
        return 200, json.dumps(next(answers, {"payments": 0, "q": {"n": 0}}))

    result = ServiceCalls(serve(answer), SECRETS).settle(SETTLE, QuietPsp(), 20, lambda: False)
    assert result["settled"] is True
    assert result["pending"] == {"psp.webhooks": 0, "payments": 0, "q.n": 0}
    assert seen == ["GET /in-flight Bearer admin"] * 3


def test_webhooks_still_to_deliver_are_waited_for(serve: Serve) -> None:
    url = serve(lambda *_: (200, '{"payments": 0, "q": {"n": 0}}'))
    psp = QuietPsp(pending=3)
    assert ServiceCalls(url, SECRETS).settle(SETTLE, psp, 20, lambda: False)["settled"] is True
    assert psp.left == 0


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, "{}", "500"),
        (200, "no json", "Expecting value"),
        (200, "[]", "no JSON object"),
        (200, '{"payments": 0}', "no counter 'q.n'"),
        (200, '{"payments": 0, "q": {"n": null}}', "no counter 'q.n'"),
        (200, '{"payments": 0, "q": 3}', "no counter 'q.n'"),
    ],
)
def test_an_answer_that_is_not_understood_never_counts_as_settled(
    serve: Serve, status: int, body: str, why: str
) -> None:
    url = serve(lambda *_: (status, body))
    result = ServiceCalls(url, SECRETS).settle(SETTLE, QuietPsp(), 0.0, lambda: False)
    assert result["settled"] is False
    assert why in result["error"]


def test_what_was_pending_at_the_end_is_told(serve: Serve) -> None:
    url = serve(lambda *_: (200, '{"payments": 4, "q": {"n": 0}}'))
    result = ServiceCalls(url, SECRETS).settle(SETTLE, QuietPsp(), 60.0, lambda: True)
    assert result["settled"] is False
    assert result["pending"]["payments"] == 4


def test_a_system_without_a_settle_request_waits_for_the_psp_alone() -> None:
    psp, calls = QuietPsp(3), ServiceCalls("http://127.0.0.1:1", SECRETS)
    result = calls.settle(None, psp, 1.5, lambda: False)
    assert (result["settled"], result["asked"], psp.left) == (True, "PSP", 0)
    assert 0.7 <= result["seconds"] < 1.5  # three looks at a busy PSP, then half a second of quiet


def test_where_the_psp_cannot_be_asked_it_is_not_said_that_it_was(serve: Serve) -> None:
    url = serve(lambda *_: (200, '{"payments": 0, "q": {"n": 0}}'))
    result = ServiceCalls(url, SECRETS).settle(SETTLE, NoPsp(), 20, lambda: False)
    assert (result["settled"], result["asked"]) == (True, "service")


def test_where_nobody_can_be_asked_it_is_not_known_whether_the_system_settled() -> None:
    calls = ServiceCalls("http://127.0.0.1:1", SECRETS)
    result = calls.settle(None, NoPsp(), 0.3, lambda: False)
    assert (result["settled"], result["asked"], result["pending"]) == (None, "nobody", {})


def test_a_psp_that_is_never_quiet_for_long_is_not_settled() -> None:
    class Restless(QuietPsp):
        def pending(self) -> Mapping[str, int]:
            self.left += 1
            return {"in_flight": int(self.left % 3 == 0)}

    calls = ServiceCalls("http://127.0.0.1:1", SECRETS)
    assert calls.settle(None, Restless(), 1.2, lambda: False)["settled"] is False


def test_reconcile_gives_the_answer_or_says_what_failed(serve: Serve) -> None:
    url = serve(lambda method, path, _: (200, json.dumps({"run": 1, "path": f"{method} {path}"})))
    answer, remedied = ServiceCalls(url, SECRETS).reconcile(Job("POST /reconcile"))
    assert (answer["path"], remedied) == ("POST /reconcile", None)
    with pytest.raises(ServiceCallFailed, match="POST /reconcile"):
        ServiceCalls("http://127.0.0.1:1", SECRETS).reconcile(Job("POST /reconcile"))


def test_reconcile_tells_what_it_changed_by_the_counter_that_the_system_file_names(
    serve: Serve,
) -> None:
    url = serve(lambda *_: (200, '{"result": {"finished": 3}}'))
    job = Job("POST /reconcile", remedied="result.finished")
    assert ServiceCalls(url, SECRETS).reconcile(job)[1] == 3
    with pytest.raises(ServiceCallFailed, match="reconcile: the answer has no counter 'changed'"):
        ServiceCalls(url, SECRETS).reconcile(Job("POST /reconcile", remedied="changed"))
