"""The command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from stub_psp.webhooks.couriers import Settings
from stub_psp.webhooks.schedule import DEFAULT_DELAYS_S, Schedule

TOKEN = "STUB_PSP_CONTROL_TOKEN"


class Options(Struct, frozen=True):
    host: str
    port: int
    control_host: str
    control_port: int
    data: Path | None  # None keeps everything in memory
    ready_file: Path | None
    seed: int
    reference_field: str
    reference_prefix: str
    epoch_header: str | None
    insecure_control: bool
    webhooks: Settings


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; a mistake in it ends the process with status 2, as argparse does."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.webhook_ca is not None and not given.webhook_ca.is_file():
        parser.error(f"--webhook-ca {given.webhook_ca}: no such file")
    return Options(
        host=given.host,
        port=given.port,
        control_host=given.control_host or given.host,
        control_port=given.control_port,
        data=given.data,
        ready_file=given.ready_file,
        seed=given.seed,
        reference_field=given.reference_field,
        reference_prefix=given.reference_prefix,
        epoch_header=given.epoch_header,
        insecure_control=given.insecure_control,
        webhooks=Settings(
            schedule=Schedule(given.webhook_delays, given.webhook_give_up_s),
            timeout_s=given.webhook_timeout_s,
            concurrency=given.webhook_concurrency,
            ca_file=given.webhook_ca,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stub_psp",
        description="A stub payment service provider that speaks Stripe's API.",
        epilog=f"The control plane's token comes in the environment as {TOKEN}.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address of the API")
    parser.add_argument("--port", type=_port, default=0, help="port of the API, 0 for a free one")
    parser.add_argument("--control-host", help="address of the control plane, as --host if unset")
    parser.add_argument("--control-port", type=_port, default=0)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, metavar="DIR", help="folder for what must survive")
    where.add_argument("--memory", action="store_true", help="keep nothing")
    parser.add_argument("--ready-file", type=Path, help="JSON with the ports, once it serves")
    parser.add_argument("--seed", type=int, default=0, help="decides the shares of fault rules")
    parser.add_argument(
        "--reference-field",
        default="merchant_reference",
        help="metadata that holds the merchant's reference",
    )
    parser.add_argument(
        "--reference-prefix",
        default="",
        metavar="PREFIX",
        help="beginning of references that is left out of draws, as it differs from run to run",
    )
    parser.add_argument(
        "--epoch-header",
        type=_header,
        metavar="NAME",
        help="request header with the epoch it was sent in, a whole number, for the god view",
    )
    parser.add_argument(
        "--insecure-control", action="store_true", help="serve the control plane without a token"
    )
    parser.add_argument("--webhook-ca", type=Path, metavar="FILE", help="CA of https endpoints")
    parser.add_argument("--webhook-timeout-s", type=_positive, default=10.0)
    parser.add_argument("--webhook-concurrency", type=int, default=16, help="for each endpoint")
    parser.add_argument(
        "--webhook-delays",
        type=_delays,
        default=DEFAULT_DELAYS_S,
        metavar="S,S,…",
        help="seconds after the first, second, … failure; the last one repeats",
    )
    parser.add_argument("--webhook-give-up-s", type=_positive, default=3 * 86_400.0)
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _header(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a header's name: letters, digits and -")
    return text


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _delays(text: str) -> tuple[float, ...]:
    return tuple(_positive(part) for part in text.split(","))
