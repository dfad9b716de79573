"""One customer of the system that the doctor looks at, who sees every answer as it came."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from payresil.core.mapping import Answer, build, classify, unanswered
from payresil.core.protocols import Endpoints, Secrets
from payresil.core.system import System

_TIMEOUT_S = 10.0
_POLL_S = 0.1
#: How long a payment may be under way.
FINAL_S = 15.0
_SHOWN = 200
_HIDDEN = "…"


class OutOfRequests(Exception):
    """The budget of an attached system is spent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, and what the mapping makes of it."""

    request: str  # method and path, for people
    answer: Answer
    headers: Mapping[str, str]
    body: str  # with secrets taken out, and not longer than a glance
    fields: tuple[str, ...]  # the names at the top of a JSON object

    @property
    def came(self) -> str:
        """What came back, in words."""
        if self.answer.status is None:
            return f"{self.request} got no answer ({self.answer.error})"
        return f"{self.request} answered {self.answer.status} {self.body}".rstrip()


class Caller:
    """Sends the operations of a system file, as customers do."""

    def __init__(
        self, system: System, endpoints: Endpoints, secrets: Secrets, budget: int | None = None
    ) -> None:
        """`budget` is how many requests may be sent; None: as many as it takes."""
        self._system = system
        self._base_url = endpoints.customers
        self._secrets = secrets
        self._left = budget
        self._session = requests.Session()
        self._session.trust_env = False
        if endpoints.ca_file is not None:
            self._session.verify = str(endpoints.ca_file)

    def has(self, operation: str) -> bool:
        """Whether the system file describes it."""
        return operation in self._system.api.operations

    def ask(self, operation: str, intent: str, *, key: str | None = None, **values: Any) -> Heard:
        """Send one request, and say what came of it.

        Raises:
            MappingError: when a placeholder has no value.
            OutOfRequests: when the budget is spent.
        """
        secrets = self._secrets
        filled = {
            "intent": intent,
            "amount_minor": 1250,
            "currency": "eur",
            "capture": "automatic",
            "card_number": secrets.card_numbers[0],
            "card_exp_month": 12,
            "card_exp_year": 2034,
            "card_cvc": secrets.card_cvc,
            "api_token": secrets.api_token,
            **values,
        }
        request = build(self._system.api, operation, filled, key=key)
        name = f"{request.method} {self._without_secrets(request.path)}"
        self._spend()
        try:
            reply = self._session.request(
                request.method,
                self._base_url + request.path,
                headers=request.headers,
                data=request.body,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return Heard(name, unanswered(_why(error)), {}, "", ())
        headers = {each.lower(): value for each, value in reply.headers.items()}
        answer = classify(self._system.api, operation, reply.status_code, headers, reply.content)
        return Heard(name, answer, headers, self._glance(reply.text), _names(reply))

    def final(self, payment: str, intent: str, states: Container[str] | None = None) -> Heard:
        """Read a payment until its state is final, or one of `states`, for a while."""
        end_s = time.monotonic() + FINAL_S
        while True:
            heard = self.ask("read", intent, payment=payment)
            settled = heard.answer.outcome == "ok"
            if (settled and (states is None or heard.answer.state in states)) or (
                time.monotonic() > end_s
            ):
                return heard
            time.sleep(_POLL_S)

    def _spend(self) -> None:
        if self._left is not None:
            if self._left <= 0:
                raise OutOfRequests
            self._left -= 1

    def _glance(self, text: str) -> str:
        words = " ".join(self._without_secrets(text).split())
        return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}{_HIDDEN}"

    def _without_secrets(self, text: str) -> str:
        for _, value in self._secrets.values():
            text = text.replace(value, _HIDDEN)
        return text


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the certificate is not one that ca_file vouches for"
    if isinstance(error, requests.Timeout):
        return f"nothing came within {_TIMEOUT_S:g} s"
    if isinstance(error, requests.ConnectionError):
        return "refused" if "refused" in str(error) else "the connection broke"
    return type(error).__name__


def _names(reply: requests.Response) -> tuple[str, ...]:
    try:
        content = reply.json()
    except ValueError:
        return ()
    return tuple(map(str, content)) if isinstance(content, dict) else ()
