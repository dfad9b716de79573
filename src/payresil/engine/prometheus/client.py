"""The one place where the package ``prometheus-api-client`` is used."""

from __future__ import annotations

import ast
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import prometheus_api_client
import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

_TIMEOUT_S = 10
#: Prometheus answers with at most 11,000 moments of a series.
_MOST_MOMENTS = 10_000


class Unanswered(Exception):
    """Prometheus gave no usable answer; says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """The moments that a query is asked for, in whole seconds of Prometheus' clock."""

    start_s: int
    end_s: int
    step_s: int

    @classmethod
    def between(cls, start_s: float, end_s: float) -> Span:
        """Every second, or as often as Prometheus allows over a time this long."""
        start, end = math.floor(start_s), max(math.floor(start_s), math.floor(end_s))
        return cls(start, end, max(1, math.ceil((end - start) / _MOST_MOMENTS)))


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: its labels, and its value at each moment that it has one."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]


class PrometheusClient:
    """Asks one Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the web must not get between us
        # By the package's name: it loads this, and all that it needs, only when it is named.
        self._connect = prometheus_api_client.PrometheusConnect(
            self.url,
            session=self._session,
            timeout=_TIMEOUT_S,
            retry=Retry(total=2, backoff_factor=0.1),
        )

    def close(self) -> None:
        """Give its connections back."""
        self._connect.close()

    def last_moment(self) -> Span:
        """The present, to try a query."""
        return Span.between(time.time(), time.time())

    def range(self, query: str, span: Span) -> list[Series]:
        """What a query comes to at every moment of a span.

        Raises:
            Unanswered: when it is refused, or nobody answers.
        """
        start, end = (datetime.fromtimestamp(s, UTC) for s in (span.start_s, span.end_s))
        try:
            found = self._connect.custom_query_range(query, start, end, str(span.step_s))
            return [_series(each) for each in found]
        except _NO_ANSWER as error:
            raise Unanswered(_reason(error)) from error

    def clock_ahead_s(self) -> float:
        """By how much its clock is ahead of this machine's.

        Raises:
            Unanswered: when nobody answers.
        """
        before_s = time.time()
        try:
            its_s = float(self._connect.custom_query("time()")[1])
        except _NO_ANSWER as error:
            raise Unanswered(_reason(error)) from error
        return its_s - (before_s + time.time()) / 2

    def alert_rules(self) -> dict[str, str | None]:
        """Every alert that it has a rule for, and why the rule cannot be evaluated, if so.

        The package has no call for it.

        Raises:
            Unanswered: when it does not say: others that speak its language may not know.
        """
        try:
            answer = self._session.get(
                f"{self.url}/api/v1/rules", params={"type": "alert"}, timeout=_TIMEOUT_S
            )
            answer.raise_for_status()
            groups = answer.json()["data"]["groups"]
            return {
                rule["name"]: rule.get("lastError") or None
                for group in groups
                for rule in group["rules"]
            }
        except _NO_ANSWER as error:
            raise Unanswered(_reason(error)) from error


#: What the package and `requests` raise, and what an answer of another shape does.
_NO_ANSWER = (
    requests.RequestException,
    PrometheusApiClientException,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
)


def _series(found: Any) -> Series:
    values = tuple((float(at_s), float(value)) for at_s, value in found["values"])
    return Series({str(k): str(v) for k, v in found["metric"].items()}, values)


def _reason(error: Exception) -> str:
    """Prometheus' own words, which the package wraps: ``… (b'{"error": "…"}')``."""
    text = str(error)
    if isinstance(error, PrometheusApiClientException):
        try:
            body: bytes = ast.literal_eval(text[text.index("(") + 1 : -1])
            return str(json.loads(body)["error"])
        except (SyntaxError, ValueError, KeyError, TypeError):
            return text
    if isinstance(error, requests.RequestException):
        return text
    return f"an answer that is none of Prometheus' ({type(error).__name__}: {text})"
