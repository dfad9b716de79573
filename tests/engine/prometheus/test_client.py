"""Answers of Prometheus, and of what is none, through the package."""

from __future__ import annotations

import time

import pytest

from payresil.engine.prometheus.client import PrometheusClient, Span, Unanswered

RANGE = "/api/v1/query_range"
RULES = "/api/v1/rules"


def matrix(*series):
    return 200, {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}


def test_a_span_is_in_whole_seconds_and_never_too_long() -> None:
    assert Span.between(1.9, 4.2) == Span(1, 4, 1)
    assert Span.between(5.0, 4.0) == Span(5, 5, 1)
    long = Span.between(0, 200_000)
    assert (long.end_s - long.start_s) / long.step_s <= 11_000


def test_values_with_their_labels(pretended) -> None:
    found = {"metric": {"node": "psp"}, "values": [[1, "0.5"], [2, "NaN"], [3, "+Inf"]]}
    client = PrometheusClient(pretended({RANGE: matrix(found)}) + "/")
    (series,) = client.range("up", client.last_moment())
    assert series.labels == {"node": "psp"}
    assert [str(value) for _, value in series.values] == ["0.5", "nan", "inf"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, {"status": "error", "error": "parse error: it's bad"}), "parse error: it's bad"),
        ((500, "broken"), "500"),
        ((200, "<html>"), "line 1"),
        ((200, {"data": {"result": [{"values": 1}]}}), "none of Prometheus'"),
        ((200, []), "none of Prometheus'"),
    ],
)
def test_what_is_no_answer(pretended, answer, words) -> None:
    client = PrometheusClient(pretended({RANGE: answer}))
    with pytest.raises(Unanswered) as caught:
        client.range("up", client.last_moment())
    assert words in str(caught.value)


def test_nobody_answers() -> None:
    with pytest.raises(Unanswered, match="refused"):
        PrometheusClient("http://127.0.0.1:1").clock_ahead_s()


def test_a_clock_that_is_ahead(pretended) -> None:
    its = {"data": {"result": [time.time() + 60, str(time.time() + 60)]}}
    client = PrometheusClient(pretended({"/api/v1/query": (200, its)}))
    assert client.clock_ahead_s() == pytest.approx(60, abs=5)


def test_alerts_that_there_are_rules_for(pretended) -> None:
    rules = [{"name": "Down"}, {"name": "Slow", "lastError": "bad"}]
    answer = 200, {"data": {"groups": [{"rules": rules}, {"rules": []}]}}
    client = PrometheusClient(pretended({RULES: answer}))
    assert client.alert_rules() == {"Down": None, "Slow": "bad"}


def test_one_that_has_no_rules_to_show(pretended) -> None:
    with pytest.raises(Unanswered, match="404"):
        PrometheusClient(pretended({})).alert_rules()
