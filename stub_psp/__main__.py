"""``python -m stub_psp``"""

from __future__ import annotations

import os
import sys

import uvloop

from stub_psp import options
from stub_psp.log import capture_libraries
from stub_psp.server import ListenError
from stub_psp.store.database import StoreError
from stub_psp.stub import run


def main() -> int:
    chosen = options.parse(sys.argv[1:])
    # Taken out of the environment, so that nothing that may print it still finds it there.
    token = os.environ.pop(options.TOKEN, None)
    if not token and not chosen.insecure_control:
        print(f"stub_psp: set {options.TOKEN}, or say --insecure-control", file=sys.stderr)
        return 2
    capture_libraries()
    try:
        uvloop.run(run(chosen, None if chosen.insecure_control else token))
    except (ListenError, StoreError) as error:
        print(f"stub_psp: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
