"""Stripe's API, version 1: authentication, routing, validation, headers, errors."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from functools import lru_cache
from hashlib import sha256
from urllib.parse import unquote

import msgspec

from stub_psp.dialects.stripe import (
    charges,
    errors,
    events,
    forms,
    objects,
    payment_intents,
    refunds,
    webhook_endpoints,
)
from stub_psp.dialects.stripe.errors import ApiError
from stub_psp.dialects.stripe.operations import Operation, Values
from stub_psp.dialects.stripe.parameters import Schema
from stub_psp.dialects.stripe.signature import sign
from stub_psp.engine.values import Kind, PaymentObject, RefusedError
from stub_psp.exchange import Answer, Call, InvalidError, Marks, Request
from stub_psp.execution import Execution
from stub_psp.idempotency import MAX_KEY
from stub_psp.store.events import Event

_KEY = re.compile(r"sk_test_[A-Za-z0-9_]{1,200}", re.ASCII)


class StripeDialect:
    """``reference_field`` names the metadata that carries the merchant's reference."""

    def __init__(self, reference_field: str = "merchant_reference") -> None:
        self._reference_field = reference_field
        self._operations = {
            operation.route: operation
            for operation in (
                *payment_intents.operations(reference_field),
                *charges.OPERATIONS,
                *refunds.OPERATIONS,
                *events.OPERATIONS,
                *webhook_endpoints.OPERATIONS,
                Operation("account.retrieve", "GET account", Schema({}), _account),
            )
        }
        self.endpoints = frozenset(o.name for o in self._operations.values())

    def authenticate(self, request: Request) -> str:
        """Any ``sk_test_…`` is good; each has an account of its own."""
        given = request.headers.get(b"authorization", b"")
        key = _key_in(given)
        if key is None or not _KEY.fullmatch(key):
            message = (
                "Invalid API Key provided. Use one that begins with sk_test_."
                if given
                else "You did not provide an API key. Use Bearer authorization with one that"
                " begins with sk_test_."
            )
            raise ApiError(401, message)
        return account_of(key)

    def read(self, request: Request, account: str) -> Call:
        key = _idempotency_key(request)
        operation, id_ = self._find(request)
        if operation is None:
            error = ApiError(404, f"Unrecognized request URL ({request.method}: {request.path}).")
            raise InvalidError(error.answer, None, key)
        try:
            pairs = _parameters(request)
            if key is not None and len(key) > MAX_KEY:
                raise ApiError(400, f"Idempotency keys are at most {MAX_KEY} characters long.")
            values = operation.read(forms.tree(pairs))
        except ApiError as error:
            cut = key[:MAX_KEY] if key else None
            raise InvalidError(error.answer, operation.name, cut) from error
        return Call(
            account=account,
            endpoint=operation.name,
            path=request.path,
            pairs=pairs,
            key=key if request.method == "POST" else None,
            version=request.headers.get(b"stripe-version"),
            run=lambda execution: _run(operation, execution, id_, values),
            reference=values.get("metadata", {}).get(self._reference_field),
            subject=operation.subject(id_, values) if operation.subject else None,
        )

    def _find(self, request: Request) -> tuple[Operation | None, str]:
        parts = request.path.split("/")
        if len(parts) < 3 or parts[0] or parts[1] != "v1":
            return None, ""
        resource, rest = parts[2], parts[3:]
        whole = f"{request.method} {'/'.join(parts[2:])}"
        if whole in self._operations:  # lists, creations, and names like search
            return self._operations[whole], ""
        if not rest or not rest[0]:
            return None, ""
        route = "/".join([f"{request.method} {resource}", ":id", *rest[1:]])
        return self._operations.get(route), unquote(rest[0])

    def headers(self, marks: Marks) -> list[tuple[bytes, bytes]]:
        version = marks.version if marks.version is not None else objects.VERSION.encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"request-id", marks.request.encode()),
            (b"stripe-version", version),
        ]
        if marks.key is not None:
            headers.append((b"idempotency-key", marks.key.encode("latin-1", "replace")))
        if marks.original is not None:
            headers.append((b"original-request", marks.original.encode()))
            headers.append((b"idempotent-replayed", b"true"))
        if marks.should_retry is not None:
            headers.append((b"stripe-should-retry", b"true" if marks.should_retry else b"false"))
        return headers

    def mismatch(self, key: str) -> Answer:
        return ApiError(
            400,
            "Keys for idempotent requests can only be used with the same parameters they were"
            f" first used with. Try using a key other than '{key}' if you meant to execute a"
            " different request.",
            type_="idempotency_error",
        ).answer

    def in_use(self, key: str) -> Answer:
        return ApiError(
            409,
            "There is currently another in-progress request using this Idempotent Key (that"
            " probably means you submitted twice, and the other request is still going"
            f" through): {key}. Please try again later.",
            code="idempotency_key_in_use",
            type_="idempotency_error",
        ).answer

    def failure(self, status: int) -> Answer:
        return errors.failure(status)

    def event_name(self, kind: Kind) -> str:
        return events.NAMES[kind]

    def snapshot(self, subject: PaymentObject) -> bytes:
        return objects.snapshot(subject)

    def event_body(self, event: Event, pending: int) -> bytes:
        return objects.event_json(event, pending)

    def event_headers(self, body: bytes, secret: str, now_s: int) -> dict[str, str]:
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(body, secret, now_s),
            "User-Agent": "Stripe/1.0 (stub_psp)",
        }


def _run(operation: Operation, execution: Execution, id_: str, values: Values) -> Answer:
    try:
        result = operation.run(execution, id_, values)
    except RefusedError as refusal:
        raise errors.from_refusal(refusal) from refusal
    return Answer(200, result) if isinstance(result, bytes) else result


def _account(execution: Execution, id_: str, values: Values) -> bytes:
    return msgspec.json.encode({"id": execution.account, "object": "account", "type": "standard"})


def _idempotency_key(request: Request) -> str | None:
    return request.headers.get(b"idempotency-key", b"").decode("latin-1") or None


def _parameters(request: Request) -> list[tuple[str, str]]:
    if request.method in ("GET", "DELETE"):
        return forms.pairs(request.query)
    kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if request.body and kind not in (b"", b"application/x-www-form-urlencoded"):
        raise ApiError(400, "Invalid request: the body must be application/x-www-form-urlencoded.")
    return forms.pairs(request.body) + forms.pairs(request.query)


def _key_in(authorization: bytes) -> str | None:
    scheme, _, credentials = authorization.decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(credentials, validate=True).decode("ascii").partition(":")[0]
        except (Base64Error, UnicodeDecodeError):
            return None
    return None


@lru_cache(maxsize=1024)
def account_of(api_key: str) -> str:
    """The account behind an API key: made from its hash, so the key itself is kept nowhere."""
    return "acct_" + sha256(api_key.encode()).hexdigest()[:16]
