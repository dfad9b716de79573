"""Takes the faults of a run off somebody else's Toxiproxy when the harness dies.

    python -m payresil.backends.attached.guard HOST PORT PREFIX DISABLED PROXY…

DISABLED is the file of `DisabledProxies`. It waits for SIGTERM, which the supervisor sends to every
process when the harness is gone, and also at an orderly end, when nothing is left to do: a proxy
that others have disabled meanwhile stays so.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from payresil.backends.attached.borrowed_proxies import BorrowedProxies
from payresil.backends.attached.disabled_proxies import DisabledProxies
from payresil.backends.proxies import PackageProxies
from payresil.core.protocols import EnvironmentBroke


def main(arguments: Sequence[str]) -> int:
    """Guard the proxies; the exit status: 1 when one could not be healed."""
    host, port, prefix, disabled, *names = arguments
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    theirs = PackageProxies(host, int(port))
    proxies = BorrowedProxies(
        theirs, {name: name for name in names}, prefix, DisabledProxies(Path(disabled))
    )
    print("guarding", flush=True)
    signal.sigwait({signal.SIGTERM})
    status = 0
    for name in names:
        try:
            for toxic_name in proxies.state(name).toxics:
                proxies.remove(name, toxic_name)
            proxies.enable(name, True)
        except EnvironmentBroke as error:
            print(f"not healed: {error}", flush=True)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
