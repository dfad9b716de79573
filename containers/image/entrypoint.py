"""The entry point of the image: ``ROLE [OPTIONS…]``. It becomes the program that plays the role.

Where PAYRESIL_ROLE names the role, everything given is options: so this image can stand in for one
whose own entry point takes options alone. An option that is given comes after the role's own, and
wins. What was started is left in /run/payresil, for the health check.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import cluster

#: Where a container says what it plays and, once it serves, on which ports.
RUN = Path("/run/payresil")
ROLE_FILE, READY_FILE = RUN / "role", RUN / "ready.json"

#: What must survive a restart of the container.
_STATE = Path("/var/lib/payresil")
_HERE = Path(__file__).parent

#: Every interface: nothing of this is published but what the caller publishes.
_HOST = "0.0.0.0"

#: CPU is what is short where a whole system shares a machine: as payresil starts Caddy itself.
_CADDY_GO = {"GOGC": "800", "GOMAXPROCS": "1"}

USAGE = 2


def _module(name: str, *options: str) -> list[str]:
    # -P: what lies in the working folder is no module of ours.
    return [sys.executable, "-P", "-m", name, *options]


def _server(name: str, port: int, *options: str) -> list[str]:
    where = ("--host", _HOST, "--port", str(port), "--ready-file", str(READY_FILE))
    return _module(name, *where, *options)


def _service(options: Sequence[str]) -> list[str]:
    return [*_server("payresil.refpay", 8080), *options]


def _psp(options: Sequence[str]) -> list[str]:
    argv = _server("stub_psp", 12111, "--control-port", "12112")
    if not {"--data", "--memory"} & {option.partition("=")[0] for option in options}:
        argv += ["--data", str(_STATE / "psp")]
    return [*argv, *options]


def _toxiproxy(options: Sequence[str]) -> list[str]:
    return [*_server("payresil.toxiproxy", 8474), *options]


def _caddy(options: Sequence[str]) -> list[str]:
    for name, value in _CADDY_GO.items():
        os.environ.setdefault(name, value)
    return ["caddy", *options]


def _postgres(options: Sequence[str]) -> list[str]:
    return cluster.server(cluster.prepared(os.environ, RUN), RUN, options)


def _locust_worker(options: Sequence[str]) -> list[str]:
    return _module("payresil.workloads.generator", *options)


def _payresil(options: Sequence[str]) -> list[str]:
    return ["payresil", *options]


def _script(name: str) -> Callable[[Sequence[str]], list[str]]:
    return lambda options: [sys.executable, str(_HERE / f"{name}.py"), *options]


#: Role → the program that plays it. The last three serve the stack of docker-compose.yml.
ROLES: Mapping[str, Callable[[Sequence[str]], list[str]]] = {
    "service": _service,
    "psp": _psp,
    "toxiproxy": _toxiproxy,
    "caddy": _caddy,
    "postgres": _postgres,
    "locust-worker": _locust_worker,
    "payresil": _payresil,
    "certificates": _script("certificates"),
    "wiring": _script("wiring"),
    "watcher": _script("watcher"),
}


def chosen(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, Sequence[str]]:
    """The role and its options.

    Raises:
        ValueError: when there is no such role; says which there are.
    """
    role, options = environment.get("PAYRESIL_ROLE"), arguments
    if not role:
        if not arguments:
            raise ValueError(f"say which role to play: {', '.join(ROLES)}")
        role, *options = arguments
    if role not in ROLES:
        raise ValueError(f"there is no role {role!r}; there are {', '.join(ROLES)}")
    return role, options


def main() -> NoReturn:
    """Become the role's program; ends with 2 for what cannot be played."""
    try:
        role, options = chosen(sys.argv[1:], os.environ)
        READY_FILE.unlink(missing_ok=True)
        ROLE_FILE.write_text(role)
        argv = ROLES[role](options)
        sys.stdout.flush()
        os.execvp(argv[0], argv)
    except (ValueError, cluster.ClusterError) as error:
        _refuse(str(error))
    except OSError as error:
        hint = f"; a read-only container needs a tmpfs at {RUN}" if error.filename else ""
        _refuse(f"{error.filename}: {error.strerror}{hint}")


def _refuse(reason: str) -> NoReturn:
    print(f"payresil image: {reason}", file=sys.stderr)
    sys.exit(USAGE)


if __name__ == "__main__":
    main()
