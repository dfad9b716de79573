"""A request and its answer, as every layer above HTTP sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from stub_psp.engine.values import Kind, PaymentObject

if TYPE_CHECKING:
    from stub_psp.execution import Execution
    from stub_psp.store.events import Event

Pairs = list[tuple[str, str]]


class Request(Struct, frozen=True):
    """What HTTP delivered. Header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes


class Answer(Struct, frozen=True):
    status: int
    body: bytes


class RejectedError(Exception):
    """The request ends here with this answer, and has changed nothing."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class InvalidError(RejectedError):
    """RejectedError before execution began: never stored under a key. Names what was called."""

    def __init__(self, answer: Answer, endpoint: str | None, key: str | None) -> None:
        super().__init__(answer)
        self.endpoint = endpoint
        self.key = key


class Call(Struct, frozen=True):
    """A request that passed authentication and validation, ready to run."""

    account: str
    endpoint: str  # payment_intents.create, …
    path: str
    pairs: Pairs  # parameters as sent, for the fingerprint
    key: str | None  # idempotency key, None for methods that are idempotent by themselves
    version: bytes | None  # API version asked for
    run: Callable[[Execution], Answer]  # or raises RejectedError, and then has written nothing
    reference: str | None = None  # merchant reference in the parameters
    subject: tuple[Literal["intents", "charges", "refunds"], str] | None = None


class Marks(Struct, frozen=True):
    """What an answer says about itself, apart from its content."""

    request: str
    key: str | None = None
    original: str | None = None  # the first request, where this is a replay
    version: bytes | None = None
    should_retry: bool | None = None


class Announcer(Protocol):
    """Puts what happened into a dialect's words."""

    def event_name(self, kind: Kind) -> str: ...

    def snapshot(self, subject: PaymentObject) -> bytes: ...


class Dialect(Announcer, Protocol):
    """How one PSP's API looks from outside; everything below it is common."""

    #: Every endpoint by name, as fault rules name them.
    endpoints: frozenset[str]

    def authenticate(self, request: Request) -> str:
        """Give the account, or raise RejectedError."""
        ...

    def read(self, request: Request, account: str) -> Call:
        """Validate, or raise InvalidError."""
        ...

    def headers(self, marks: Marks) -> list[tuple[bytes, bytes]]: ...

    def mismatch(self, key: str) -> Answer: ...

    def in_use(self, key: str) -> Answer: ...

    def failure(self, status: int) -> Answer:
        """An error that carries no information, as a broken PSP gives."""
        ...

    def event_body(self, event: Event, pending: int) -> bytes: ...

    def event_headers(self, body: bytes, secret: str, now_s: int) -> dict[str, str]: ...
