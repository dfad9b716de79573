"""What callers send, checked while it is decoded."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from payresil.refpay.psp.answer import Json

Minor = Annotated[int, Meta(gt=0, le=99_999_999)]
Reference = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:/-]{1,128}$")]
Currency = Annotated[str, Meta(pattern=r"^[a-z]{3}$")]
Token = Annotated[str, Meta(pattern=r"^pm_[A-Za-z0-9_]{1,100}$")]


class Card(Struct, forbid_unknown_fields=True):
    """A card as its holder typed it. It goes to the PSP and nowhere else."""

    number: Annotated[str, Meta(pattern=r"^[0-9]{12,19}$")]
    exp_month: Annotated[int, Meta(ge=1, le=12)]
    exp_year: Annotated[int, Meta(ge=2000, le=2100)]
    cvc: Annotated[str, Meta(pattern=r"^[0-9]{3,4}$")]

    def __repr__(self) -> str:
        return "Card(…)"


class PaymentBody(Struct, forbid_unknown_fields=True):
    """``POST /payments``: exactly one of ``card`` and ``payment_method``."""

    reference: Reference
    amount_minor: Minor
    currency: Currency
    card: Card | None = None
    payment_method: Token | None = None
    capture: Literal["automatic", "manual"] = "automatic"

    def method(self) -> Json:
        """The PSP's parameters for how it is paid."""
        if self.card is None:
            return {"payment_method": self.payment_method}
        return {"payment_method_data": {"type": "card", "card": msgspec.to_builtins(self.card)}}


class AmountBody(Struct, forbid_unknown_fields=True):
    """``POST /payments/{id}/refunds`` and ``…/capture``: all there is, unless it says less."""

    amount_minor: Minor | None = None


class CancelBody(Struct, forbid_unknown_fields=True):
    """``POST /payments/{id}/cancel``: nothing to say."""


Body = TypeVar("Body", PaymentBody, AmountBody, CancelBody)


class BodyError(Exception):
    """The body cannot be used; the message says why without quoting it."""


_payment = msgspec.json.Decoder(PaymentBody)
_amount = msgspec.json.Decoder(AmountBody)
_cancel = msgspec.json.Decoder(CancelBody)


def read_payment(raw: bytes) -> PaymentBody:
    """Raises BodyError."""
    body = _decoded(_payment, raw)
    if (body.card is None) == (body.payment_method is None):
        raise BodyError("send exactly one of card and payment_method")
    return body


def read_amount(raw: bytes) -> AmountBody:
    """Raises BodyError."""
    return _decoded(_amount, raw or b"{}")


def read_cancel(raw: bytes) -> CancelBody:
    """Raises BodyError."""
    return _decoded(_cancel, raw or b"{}")


def _decoded(decoder: msgspec.json.Decoder[Body], raw: bytes) -> Body:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:  # names the field and the type, not the value
        raise BodyError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BodyError("the body is not JSON") from None


def fingerprint(key: str, operation: str, body: Struct) -> bytes:
    """A keyed digest of what was asked: two requests are the same if theirs are.

    Keyed, so that a card number cannot be found from it by trying them all (PCI DSS 3.5.1.1).
    """
    secret = hashlib.sha256(key.encode()).digest()
    content = operation.encode() + b"\n" + msgspec.json.encode(body)
    return hashlib.blake2b(content, key=secret, digest_size=16).digest()
