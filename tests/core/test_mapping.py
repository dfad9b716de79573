"""Templates to requests, answers to outcomes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.mapping import (
    BODY_LIMIT,
    TEXT_LIMIT,
    Answer,
    MappingError,
    build,
    classify,
    unanswered,
)
from payresil.core.system import Api, Operation

API = Api(
    headers={"Authorization": "Bearer {api_token}", "X-Fixed": "yes"},
    key_header="Idempotency-Key",
    replay_header="Idempotent-Replayed",
    region_header="X-Region",
    instance_header="X-Instance",
    final={"succeeded": "succeeded", "refused": "declined", "authorized": "authorized"},
    pending=("processing", "in_review"),
    operations={
        "create": Operation(
            "POST /payments",
            {
                "reference": "{intent}",
                "amount": "{amount_minor}",
                "note": "for {intent} in {currency}",
                "nested": {"list": ["{capture}", "fixed", 7, None, True]},
            },
            payment="id",
            state="state",
        ),
        "read": Operation("GET /payments/{payment}", payment="id", state="state"),
        "find": Operation("GET /payments?reference={intent}", payment="data.0.id",
                          state="data.0.state"),
        "cancel": Operation("POST /payments/{payment}/cancel", {}),
        "deep": Operation("GET /deep", payment="a.b.id", state="a.b.state"),
    },
)  # fmt: skip
VALUES: dict[str, Any] = {
    "api_token": "tok",
    "intent": "run-1",
    "amount_minor": 1250,
    "currency": "eur",
    "capture": True,
    "payment": "pay_1",
}


def body_of(operation: str, **values: Any) -> Any:
    return json.loads(build(API, operation, {**VALUES, **values}).body)


class TestBuild:
    def test_method_path_and_headers(self) -> None:
        request = build(API, "create", VALUES, key="k1")
        assert (request.method, request.path) == ("POST", "/payments")
        assert request.headers == {
            "Authorization": "Bearer tok",
            "X-Fixed": "yes",
            "Idempotency-Key": "k1",
            "Content-Type": "application/json",
        }

    def test_no_key_header_without_a_key(self) -> None:
        assert "Idempotency-Key" not in build(API, "read", VALUES).headers

    def test_no_body_no_content_type(self) -> None:
        request = build(API, "read", VALUES)
        assert request.body == b""
        assert "Content-Type" not in request.headers

    def test_an_empty_object_is_a_body(self) -> None:
        assert build(API, "cancel", VALUES).body == b"{}"

    @pytest.mark.parametrize("value", [0, 1250, 10**15, True, False, None, 1.5, "x", [1], {"a": 1}])
    def test_a_value_that_is_one_placeholder_keeps_its_type(self, value: Any) -> None:
        found = body_of("create", amount_minor=value)["amount"]
        assert found == value
        assert type(found) is type(value)

    def test_a_placeholder_within_text_becomes_text(self) -> None:
        assert body_of("create")["note"] == "for run-1 in eur"

    def test_nested_and_fixed_values(self) -> None:
        assert body_of("create")["nested"] == {"list": [True, "fixed", 7, None, True]}

    @pytest.mark.parametrize(
        ("payment", "path"),
        [
            ("pay_1", "/payments/pay_1"),
            ("a/b", "/payments/a%2Fb"),
            ("a b?c#d", "/payments/a%20b%3Fc%23d"),
            ("é", "/payments/%C3%A9"),
            ("../x", "/payments/..%2Fx"),
            ("{intent}", "/payments/%7Bintent%7D"),
            (7, "/payments/7"),
            ("a%2Fb", "/payments/a%252Fb"),
            ("x\r\ny", "/payments/x%0D%0Ay"),
        ],
    )
    def test_path_values_are_percent_encoded(self, payment: Any, path: str) -> None:
        assert build(API, "read", {**VALUES, "payment": payment}).path == path

    def test_query_values_are_percent_encoded(self) -> None:
        path = build(API, "find", {**VALUES, "intent": "a&b=c"}).path
        assert path == "/payments?reference=a%26b%3Dc"

    @given(st.text())
    def test_path_values_come_back(self, payment: str) -> None:
        if any("\ud800" <= character <= "\udfff" for character in payment):
            return
        path = build(API, "read", {**VALUES, "payment": payment}).path
        assert path.isascii()
        assert "/" not in path.removeprefix("/payments/")
        assert unquote(path.removeprefix("/payments/")) == payment

    def test_a_missing_value_is_named(self) -> None:
        with pytest.raises(
            MappingError, match=r"body of create.*\{amount_minor\}.*there are.*intent"
        ):
            build(API, "create", {"intent": "x", "api_token": "t"})

    def test_a_missing_value_in_the_path_is_named(self) -> None:
        with pytest.raises(MappingError, match=r"request of read: no value .* \{payment\}"):
            build(API, "read", {"api_token": "t"})

    def test_a_missing_value_in_a_header_is_named(self) -> None:
        with pytest.raises(MappingError, match=r"header Authorization: no value .*\{api_token\}"):
            build(API, "read", {"payment": "x"})

    def test_no_value_is_told_by_the_error(self) -> None:
        with pytest.raises(MappingError) as raised:
            build(API, "create", {"api_token": "SECRET"})
        assert "SECRET" not in str(raised.value)

    def test_an_unknown_operation_lists_the_known_ones(self) -> None:
        with pytest.raises(MappingError, match=r"no operation 'refund'.*cancel, create"):
            build(API, "refund", VALUES)

    @pytest.mark.parametrize(
        "line", ["POST", "/payments", "BREW /pot", "GET payments", "GET /a b", ""]
    )
    def test_a_request_that_is_none_is_refused(self, line: str) -> None:
        with pytest.raises(MappingError, match="no request"):
            build(Api({"x": Operation(line)}), "x", {})

    def test_a_lower_case_method_is_understood(self) -> None:
        assert build(Api({"x": Operation("get  /a")}), "x", {}).method == "GET"

    @pytest.mark.parametrize("bad", ["a\r\nX: y", "a\nb", "a\rb"])
    def test_headers_cannot_be_smuggled(self, bad: str) -> None:
        with pytest.raises(MappingError, match="line break"):
            build(API, "read", {**VALUES, "api_token": bad})
        with pytest.raises(MappingError, match="line break"):
            build(API, "read", VALUES, key=bad)

    def test_braces_that_are_no_placeholder_stay(self) -> None:
        api = Api({"x": Operation("POST /x", {"a": "{not one}", "b": "{}", "c": "{Upper}"})})
        assert json.loads(build(api, "x", {}).body) == {"a": "{not one}", "b": "{}", "c": "{Upper}"}


def answer(status: int, content: Any = None, operation: str = "create", **kind: Any) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return classify(API, operation, status, kind.pop("headers", {}), body, **kind)


FINAL = [("succeeded", "succeeded"), ("refused", "declined"), ("authorized", "authorized")]
CERTAIN = [400, 401, 403, 404, 422]
OTHER_4XX = [405, 406, 408, 409, 410, 411, 412, 413, 415, 418, 423, 425, 426, 428, 431, 451, 499]
FIVE = [500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 521, 522, 523, 524, 530, 599]


class TestOutcome:
    @pytest.mark.parametrize("status", [200, 201, 203, 206, 402])
    @pytest.mark.parametrize(("word", "state"), FINAL)
    def test_a_final_state_is_ok(self, status: int, word: str, state: str) -> None:
        found = answer(status, {"id": "p", "state": word})
        assert (found.outcome, found.state, found.payment) == ("ok", state, "p")
        assert not found.pending

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 402])
    @pytest.mark.parametrize(
        "word", ["processing", "in_review", "invented", "SUCCEEDED", "declined"]
    )
    def test_any_other_state_is_unknown(self, status: int, word: str) -> None:
        found = answer(status, {"id": "p", "state": word})
        assert (found.outcome, found.state) == ("unknown", word)
        assert found.pending == (word in API.pending and status != 402)

    @pytest.mark.parametrize(("word", "state"), FINAL)
    def test_202_is_never_final(self, word: str, state: str) -> None:
        assert answer(202, {"state": word}).outcome == "unknown"

    @pytest.mark.parametrize("status", CERTAIN)
    @pytest.mark.parametrize(
        "content", [None, {}, {"state": "succeeded"}, {"state": "processing"}, b"<"]
    )
    @pytest.mark.parametrize("earlier", [False, True])
    def test_certain_statuses_fail(self, status: int, content: Any, earlier: bool) -> None:
        assert answer(status, content, earlier_unknown=earlier).outcome == "fail"

    @pytest.mark.parametrize(
        "status", OTHER_4XX + FIVE + [100, 101, 0, -1, 300, 301, 302, 304, 307, 999]
    )
    @pytest.mark.parametrize("content", [None, {"state": "succeeded"}, {"state": "refused"}, b""])
    def test_every_other_status_is_unknown(self, status: int, content: Any) -> None:
        assert answer(status, content).outcome == "unknown"

    @pytest.mark.parametrize(("earlier", "outcome"), [(False, "fail"), (True, "unknown")])
    def test_429_is_certain_only_when_nothing_earlier_is_unknown(
        self, earlier: bool, outcome: str
    ) -> None:
        assert answer(429, {"error": "slow down"}, earlier_unknown=earlier).outcome == outcome

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"null", b"[]", b'"succeeded"', b"succeeded", b"<html>", b"\xff\xfe",
            b'{"state":', b'{"state": null}', b'{"state": 7}', b'{"state": {"state": "succeeded"}}',
            b'{"state": ""}', b'{"State": "succeeded"}', b'{"data": {"state": "succeeded"}}',
            b"[" * 100_000, b'{"a":' * 50_000, b"1e999999", b'{"state": "succeeded"} trailing',
            b'{"state": "\\ud800"}', b"\x00" * 100, b'{"state": ["in_review"]}', b"NaN",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("status", [200, 201, 402, 500])
    def test_a_body_without_a_state_is_unknown(self, status: int, body: bytes) -> None:
        assert answer(status, body).outcome == "unknown"

    def test_a_huge_body_is_not_read(self) -> None:
        body = json.dumps({"state": "succeeded", "pad": "x" * BODY_LIMIT}).encode()
        assert answer(200, body).outcome == "unknown"

    def test_without_a_state_path_the_status_is_the_answer(self) -> None:
        assert answer(200, {}, "cancel").outcome == "ok"
        assert answer(204, b"", "cancel").outcome == "ok"
        assert answer(202, {}, "cancel").outcome == "unknown"
        assert answer(402, {}, "cancel").outcome == "unknown"
        assert answer(500, {}, "cancel").outcome == "unknown"

    def test_the_system_file_may_call_other_statuses_certain(self) -> None:
        api = Api({"x": Operation("GET /", state="state")}, final={"done": "done"},
                  certain=(402, 409, 503, 200))  # fmt: skip
        assert classify(api, "x", 409, {}, b"").outcome == "fail"
        assert classify(api, "x", 503, {}, b"").outcome == "fail"
        assert classify(api, "x", 402, {}, b"").outcome == "fail"
        assert classify(api, "x", 402, {}, b'{"state": "done"}').outcome == "ok"
        assert classify(api, "x", 404, {}, b"").outcome == "unknown"
        assert classify(api, "x", 200, {}, b"").outcome == "unknown"

    def test_a_state_that_is_final_and_pending_is_pending(self) -> None:
        api = Api({"x": Operation("GET /", state="state")}, final={"s": "s"}, pending=("s",))
        found = classify(api, "x", 200, {}, b'{"state": "s"}')
        assert (found.outcome, found.pending) == ("unknown", True)

    @pytest.mark.parametrize(
        "error", ["timeout", "reset", "closed", "tls", "malformed", "abandoned"]
    )
    def test_no_answer_is_unknown(self, error: str) -> None:
        assert unanswered(error) == Answer("unknown", error=error)

    def test_a_refused_connection_is_certain(self) -> None:
        assert unanswered("refused").outcome == "fail"


class TestWhatElseAnAnswerSays:
    def test_dotted_paths_and_list_indexes(self) -> None:
        assert answer(200, {"data": [{"id": "p", "state": "succeeded"}]}, "find").payment == "p"
        assert answer(200, {"a": {"b": {"id": 9, "state": "succeeded"}}}, "deep").payment == "9"
        assert answer(200, {"data": []}, "find").outcome == "unknown"
        assert answer(200, {"data": {"0": {"id": "p"}}}, "find").payment == "p"

    @pytest.mark.parametrize("value", [True, 1.5, {}, [], None, "", 10**30])
    def test_an_id_of_another_kind_is_none(self, value: Any) -> None:
        assert answer(200, {"id": value, "state": "succeeded"}).payment is None

    @pytest.mark.parametrize(
        ("headers", "replayed"),
        [
            ({}, False),
            ({"idempotent-replayed": "true"}, True),
            ({"idempotent-replayed": "1"}, True),
            ({"idempotent-replayed": "False"}, False),
            ({"idempotent-replayed": ""}, False),
            ({"idempotent-replayed": ["true", "true"]}, True),
        ],
    )
    def test_replayed(self, headers: dict[str, Any], replayed: bool) -> None:
        assert answer(200, {"state": "succeeded"}, headers=headers).replayed is replayed

    def test_not_told_whether_replayed(self) -> None:
        assert classify(Api({"x": Operation("GET /")}), "x", 200, {}, b"").replayed is None

    def test_region_and_instance(self) -> None:
        found = answer(500, b"", headers={"x-region": "a", "x-instance": "a/service.2"})
        assert (found.region, found.instance, found.status) == ("a", "a/service.2", 500)

    def test_names_are_cut(self) -> None:
        found = answer(200, {"id": "x" * 10_000, "state": "y" * 10_000})
        assert found.payment == "x" * TEXT_LIMIT
        assert found.state == "y" * TEXT_LIMIT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
STATES = st.sampled_from(["succeeded", "refused", "processing", "x"]) | JSON
HOSTILE = (
    st.binary()
    | JSON.map(lambda content: json.dumps(content).encode())
    | st.fixed_dictionaries({"state": STATES, "id": JSON}).map(
        lambda content: json.dumps(content).encode()
    )
)


@settings(max_examples=400, deadline=None)
@given(
    status=st.integers(-10, 1100),
    body=HOSTILE,
    headers=st.dictionaries(
        st.sampled_from(["idempotent-replayed", "x-region", "x-instance", "other"]), JSON
    ),
    operation=st.sampled_from(sorted(API.operations)),
    earlier=st.booleans(),
)
def test_classify_is_total_and_careful(
    status: int, body: bytes, headers: dict[str, Any], operation: str, earlier: bool
) -> None:
    found = classify(API, operation, status, headers, body, earlier_unknown=earlier)
    for text in (found.state, found.payment, found.region, found.instance):
        assert text is None or (text.encode() and len(text) <= TEXT_LIMIT)
    if found.outcome == "ok":
        assert 200 <= status < 300 or status == 402
        assert operation == "cancel" or found.state in API.final.values()
    if found.outcome == "fail":
        assert status in API.certain or (status == 429 and not earlier)
    if status >= 500:
        assert found.outcome == "unknown"


@given(st.sampled_from(["succeeded", "refused"]), st.integers(200, 299))
def test_an_earlier_unknown_never_makes_an_answer_more_certain(word: str, status: int) -> None:
    content = {"state": word}
    plain = answer(status, content)
    assert answer(status, content, earlier_unknown=True) == plain


class TestFollowing:
    API = Api(
        {"create": Operation("POST /p", {}, "id", "state", "links.self"),
         "read": Operation("GET /p/{payment}")},
        final={"done": "succeeded"}, pending=("open",),
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("url", "path"),
        [("/p/1", "/p/1"), ("https://elsewhere.test/p/1?x=2", "/p/1?x=2"), ("p/1", None),
         ("", None), (7, None), ("/p 1", None), ("/p\r\nX: y", None), ("http://[", None),
         ("//elsewhere.test", None), ("/é", None)],
    )  # fmt: skip
    def test_only_the_path_of_where_an_answer_points_to_is_followed(
        self, url: object, path: str | None
    ) -> None:
        body = json.dumps({"id": "1", "state": "open", "links": {"self": url}}).encode()
        answer = classify(self.API, "create", 202, {}, body)
        assert (answer.follow, answer.pending) == (path, True)
        if path is not None:
            assert build(self.API, "read", {"payment": "1"}, follow=path).path == path

    def test_without_it_the_path_is_the_one_of_the_system_file(self) -> None:
        assert build(self.API, "read", {"payment": "1"}, follow=None).path == "/p/1"
