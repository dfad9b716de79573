"""What the service needs to know, read from the environment once, at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from payresil.refpay.books.urls import one_host_each
from payresil.refpay.lease.held import MARGIN_MS

#: Settings without a default, with what they must look like.
_REQUIRED = {
    "DATABASE_URL": "postgresql://user@host:port/database",
    "PSP_URL": "http://host:port",
    "PSP_API_KEY": "the PSP's secret key",
    "WEBHOOK_SECRET": "the secret that signs the PSP's webhooks",
    "API_TOKEN": "the customers' bearer token",
    "ADMIN_TOKEN": "the operators' bearer token",
}


class SettingsError(ValueError):
    """A setting is missing or cannot be used; the message says which and what to do."""


@dataclass(frozen=True)
class Settings:
    """Settings of one instance. Times are milliseconds; secrets stay out of ``repr``.

    With a ``witness_url`` the instance acts only while its region holds the lease there, for
    ``region_lease_ms`` from one renewal to the next; without one it acts whenever it runs.
    ``fingerprint_key`` keys the digest of request bodies, so that what is stored cannot be
    searched for a card number; all instances of a service must share it.
    """

    database_url: str = field(repr=False)
    psp_url: str
    psp_api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    api_token: str = field(repr=False)
    admin_token: str = field(repr=False)
    fingerprint_key: str = field(repr=False)
    instance: str
    region: str
    witness_url: str | None = field(repr=False)
    region_lease_ms: int
    renew_every_ms: int
    flaw: str | None
    psp_timeout_ms: int
    psp_attempts: int
    psp_deadline_ms: int
    breaker_failures: int
    breaker_open_ms: int
    db_timeout_ms: int
    db_connections: int
    resolve_every_ms: int
    hold_card_ms: int
    relay_every_ms: int
    reconcile_max_remedies: int
    reconcile_max_minor: int

    @property
    def lease_ms(self) -> int:
        """How long a request has a payment to itself: longer than it may take to answer."""
        return self.psp_deadline_ms + 2 * self.db_timeout_ms


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables.

    Raises SettingsError naming every variable that is missing or malformed.
    """
    problems = [
        f"{name} is not set ({what})"
        for name, what in _REQUIRED.items()
        if not environment.get(name)
    ]
    problems += _bad_urls(environment)
    numbers = _read_numbers(environment, problems)
    if numbers["lease_ms"] <= numbers["renew_every_ms"] + MARGIN_MS:
        problems.append(
            f"LEASE_MS must be more than RENEW_EVERY_MS and a margin of {MARGIN_MS} ms, or no"
            " renewal would come in time"
        )
    if problems:
        raise SettingsError("; ".join(problems))
    instance = environment.get("INSTANCE") or "a/service.1"
    return Settings(
        database_url=environment["DATABASE_URL"],
        psp_url=environment["PSP_URL"].rstrip("/"),
        psp_api_key=environment["PSP_API_KEY"],
        webhook_secret=environment["WEBHOOK_SECRET"],
        api_token=environment["API_TOKEN"],
        admin_token=environment["ADMIN_TOKEN"],
        fingerprint_key=environment.get("FINGERPRINT_KEY") or environment["API_TOKEN"],
        instance=instance,
        region=environment.get("REGION") or instance.split("/")[0],
        witness_url=environment.get("WITNESS_URL") or None,
        region_lease_ms=numbers["lease_ms"],
        renew_every_ms=numbers["renew_every_ms"],
        flaw=environment.get("FLAW") or None,
        psp_timeout_ms=numbers["psp_timeout_ms"],
        psp_attempts=numbers["psp_attempts"],
        psp_deadline_ms=numbers["psp_deadline_ms"],
        breaker_failures=numbers["breaker_failures"],
        breaker_open_ms=numbers["breaker_open_ms"],
        db_timeout_ms=numbers["db_timeout_ms"],
        db_connections=numbers["db_connections"],
        resolve_every_ms=numbers["resolve_every_ms"],
        hold_card_ms=numbers["hold_card_ms"],
        relay_every_ms=numbers["relay_every_ms"],
        reconcile_max_remedies=numbers["reconcile_max_remedies"],
        reconcile_max_minor=numbers["reconcile_max_minor"],
    )


#: Settings that are numbers, with their defaults.
_NUMBERS = {
    "psp_timeout_ms": 1000,  # one request to the PSP
    "psp_attempts": 3,  # requests to the PSP while a caller waits
    "psp_deadline_ms": 2500,  # all of them together
    "breaker_failures": 10,  # failures in a row that open the circuit
    "breaker_open_ms": 500,
    "db_timeout_ms": 1500,
    "db_connections": 8,
    "resolve_every_ms": 300,
    "hold_card_ms": 60_000,  # how long an unsent card waits, in memory, for the PSP
    "relay_every_ms": 250,
    "reconcile_max_remedies": 5000,  # a run that would do more is stopped for a human
    "reconcile_max_minor": 100_000_000,
    "lease_ms": 2000,  # of the region, at the witness
    "renew_every_ms": 400,
}


def _read_numbers(environment: Mapping[str, str], problems: list[str]) -> dict[str, int]:
    """Every number, with the default where what is given is a problem."""
    numbers = dict(_NUMBERS)
    for name, default in _NUMBERS.items():
        text = environment.get(name.upper()) or str(default)
        if text.isdecimal() and int(text) > 0:
            numbers[name] = int(text)
        else:
            problems.append(f"{name.upper()} must be a whole number above 0, not {text!r}")
    return numbers


_POSTGRES = ("postgresql", "postgres")
#: What each URL must look like, and its schemes.
_URLS = {
    "DATABASE_URL": (_REQUIRED["DATABASE_URL"], _POSTGRES),
    "PSP_URL": (_REQUIRED["PSP_URL"], ("http", "https")),
    "WITNESS_URL": (_REQUIRED["DATABASE_URL"], _POSTGRES),
}


def _bad_urls(environment: Mapping[str, str]) -> list[str]:
    """The values are not shown: they may hold a password."""
    return [
        f"{name} must look like {example}"
        for name, (example, schemes) in _URLS.items()
        if (text := environment.get(name)) and not _is_url(text, schemes)
    ]


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    """Whether it is a URL with a host, or several, and one of these schemes."""
    try:
        every = [urlsplit(one) for one in one_host_each(text)]
        # Reading a port checks it.
        return all(one.scheme in schemes and one.hostname and one.port != 0 for one in every)
    except ValueError:
        return False
