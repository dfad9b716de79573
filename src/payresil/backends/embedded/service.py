"""One instance of the service, started as its system file says."""

from __future__ import annotations

import difflib
import http.client
import re
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from payresil.backends.embedded.program import Program, callers_environment, ready_ports
from payresil.backends.ports import LOOPBACK, HeldPort
from payresil.core.protocols import EnvironmentBroke
from payresil.core.system import ServiceStart

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_ASK_S = 2.0

#: No proxy of the caller's environment between here and loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def filled(template: str, values: Mapping[str, str], where: str) -> str:
    """`template` with every ``{name}`` replaced.

    Raises:
        EnvironmentBroke: when there is no such value; says which there are.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            near = difflib.get_close_matches(name, values, n=1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(values)}"
            raise EnvironmentBroke(f"{where}: nothing is called {{{name}}}; {hint}")
        return values[name]

    return _PLACEHOLDER.sub(value, template)


def refuse_unknown(flaw: str | None, start: ServiceStart) -> None:
    """Raise `EnvironmentBroke` for a flaw that the system has no switch for."""
    if flaw is not None and start.flaw_variable is None and flaw not in start.flaws:
        raise EnvironmentBroke(
            f"the flaw {flaw!r} cannot be switched on: the system file names no flaw_variable "
            "and no such flaw"
        )


def told(start: ServiceStart, values: Mapping[str, str], flaw: str | None) -> dict[str, str]:
    """The environment that an instance is given, and what switches its flaw on.

    Raises:
        EnvironmentBroke: when a template names what there is not.
    """
    known = start.flaws.get(flaw or "")
    templates = {**start.environment, **(known.environment if known else {})}
    environment = {
        name: filled(text, values, f"service.environment.{name}")
        for name, text in templates.items()
    }
    if flaw is not None and start.flaw_variable is not None and known is None:
        environment[start.flaw_variable] = flaw
    return environment


class Service:
    """One instance. A service without ``{ready_file}`` in its command is given a free port."""

    def __init__(
        self, start: ServiceStart, values: Mapping[str, str], ready_file: Path, *, flaw: str | None
    ) -> None:
        """`values` are what the templates may name, but for ``port`` and ``ready_file``.

        Raises:
            EnvironmentBroke: when a flaw is asked of a system that has none.
        """
        if start.form != "command":
            raise EnvironmentBroke(
                f"the system file starts the service from its {start.form}, which this backend "
                "cannot do: give it a command, or choose another backend"
            )
        refuse_unknown(flaw, start)
        self._start = start
        self._values = {**values, "python": sys.executable, "host": LOOPBACK}
        self._ready_file = ready_file
        self._flaw = flaw
        self._says_its_port = any("{ready_file}" in part for part in start.command)

    def program(self, port: int) -> Program:
        """How to start it; on `port` unless that is 0."""
        self._ready_file.unlink(missing_ok=True)
        number = port if port or self._says_its_port else _free_port()
        values = {**self._values, "port": str(number), "ready_file": str(self._ready_file)}
        env = callers_environment()
        for name in self._switches():
            env.pop(name, None)  # set or unset here, whatever it is where payresil was called
        env.update(told(self._start, values, self._flaw))
        return Program(
            argv=tuple(filled(part, values, "service.command") for part in self._start.command),
            env=env,
            port_when_ready=lambda _pid: self._port_when_ready(number),
            folder=None if self._start.folder is None else Path(self._start.folder),
        )

    def _switches(self) -> Iterator[str]:
        """Every variable that switches a flaw on."""
        if self._start.flaw_variable is not None:
            yield self._start.flaw_variable
        for flaw in self._start.flaws.values():
            yield from flaw.environment

    def _port_when_ready(self, number: int) -> int | None:
        if self._says_its_port:
            served = ready_ports(self._ready_file)
            if served is None:
                return None
            number = served["port"]
        path = self._start.alive or self._start.ready
        return number if _answers_200(f"http://{LOOPBACK}:{number}{path}") else None


def _free_port() -> int:
    """A port that was free a moment ago; the service may not share it with one that holds it."""
    port = HeldPort()
    port.release()
    return port.number


def _answers_200(url: str) -> bool:
    try:
        with _opener.open(url, timeout=_ASK_S) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):  # not yet: refused, reset, or an error status
        return False
