"""Command line of the server."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from payresil.toxiproxy.lease import MAX_TTL_MS, MIN_TTL_MS

DEFAULT_PORT = 8474


@dataclass(frozen=True)
class Options:
    """How the process was asked to run; ``port`` 0 takes a free one."""

    host: str
    port: int
    seed: int
    config: Path | None
    ready_file: Path | None
    lease_ttl_ms: int | None


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port, expected 0..65535")
    return port


def _ttl_ms(text: str) -> int:
    ttl_ms = int(text)
    if not MIN_TTL_MS <= ttl_ms <= MAX_TTL_MS:
        raise argparse.ArgumentTypeError(f"expected {MIN_TTL_MS}..{MAX_TTL_MS} milliseconds")
    return ttl_ms


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m payresil.toxiproxy",
        description="A Toxiproxy-compatible TCP proxy for testing behaviour under bad networks.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address of the API (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port of the API, 0 for any (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, help="draws toxicity and jitter; random and logged when left out"
    )
    parser.add_argument("--config", type=Path, help="JSON array of proxies, as for POST /populate")
    parser.add_argument(
        "--ready-file", type=Path, help='write {"port": N, "seed": N} there once it serves'
    )
    parser.add_argument(
        "--lease-ttl-ms",
        type=_ttl_ms,
        help="arm a lease at start: without POST /lease in this time every proxy is reset",
    )
    return parser


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; a wrong one ends the process with status 2 and says why."""
    read = _parser().parse_args(arguments)
    return Options(
        host=read.host,
        port=read.port,
        seed=secrets.randbits(32) if read.seed is None else read.seed,
        config=read.config,
        ready_file=read.ready_file,
        lease_ttl_ms=read.lease_ttl_ms,
    )
