"""``python -m payresil.refpay``: one instance of the reference payment service."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from payresil.refpay.flaws import UnknownFlawError, describe, load
from payresil.refpay.settings import SettingsError, read_settings


def main() -> int:
    """The exit status: 0 after SIGTERM, 2 for settings that cannot be used."""
    options = _parser().parse_args()
    if options.list_flaws:
        print(json.dumps(describe(), indent=2))
        return 0
    try:
        settings = read_settings(os.environ)
        policies = load(settings.flaw)
    except (SettingsError, UnknownFlawError) as error:
        return _usage(str(error))
    from payresil.refpay.server import serve  # only now: the rest is quick without it

    try:
        serve(settings, policies, options.host, options.port, options.ready_file)
    except OSError as error:
        return _usage(f"cannot listen on {options.host}:{options.port}: {error.strerror}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m payresil.refpay", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="written with the port once it serves")
    parser.add_argument("--list-flaws", action="store_true", help="print the flaws as JSON")
    return parser


def _usage(message: str) -> int:
    print(f"refpay: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
