"""Entry point of ``python -m payresil.toxiproxy``."""

from __future__ import annotations

import sys

from payresil.toxiproxy.options import parse


def main() -> int:
    """Parse first and import the server after, so that a usage error answers at once."""
    options = parse(sys.argv[1:])
    from payresil.toxiproxy.server import run

    return run(options)


if __name__ == "__main__":
    sys.exit(main())
