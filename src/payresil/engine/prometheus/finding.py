"""Which Prometheus watches a run: one that was named, else one that can be started here."""

from __future__ import annotations

import shutil
from urllib.parse import urlsplit

from payresil.core.attachment import Attached
from payresil.core.problems import shown
from payresil.core.scenario import Scenario
from payresil.engine.prometheus.questions import questions_of
from payresil.engine.refusal import Refusal

_HOW_TO_GET_ONE = (
    "put one on PATH (apt-get install prometheus), name one that watches the system with "
    "--prometheus URL, or under `prometheus` in the attach file"
)
#: What a check that needs a Prometheus says where there was none.
NONE_THERE = f"no Prometheus watched this run: {_HOW_TO_GET_ONE}"


def named_address(prometheus: str | None, attached: Attached | None) -> str | None:
    """The address of the one that was named for a run, on the command line or to attach to."""
    if prometheus is not None:
        return prometheus
    return None if attached is None else attached.file.prometheus


def asks_prometheus(scenario: Scenario, prometheus: str | None, attached: Attached | None) -> bool:
    """Whether checks will ask one, and none was named for them."""
    return bool(questions_of(scenario)) and named_address(prometheus, attached) is None


def missing_prometheus(
    scenario: Scenario, prometheus: str | None, attached: Attached | None, *, brought: bool = False
) -> tuple[str, ...]:
    """That checks will ask a Prometheus where there is none, in words for the report.

    `brought` says that the backend brings one along.
    """
    if not asks_prometheus(scenario, prometheus, attached) or brought or prometheus_program():
        return ()
    return (
        f"there is no Prometheus, so the checks that ask one decide nothing: {_HOW_TO_GET_ONE}",
    )


def prometheus_program() -> str | None:
    """Where the program is; None when there is none on PATH."""
    return shutil.which("prometheus")


def refuse_address(url: str) -> None:
    """Raise `Refusal` for what cannot be the address of a Prometheus."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise Refusal(f"--prometheus: {shown(url)} is no address such as http://127.0.0.1:9090")
    if parts.username is not None or parts.password is not None:
        # Not shown: run folders and reports hold the address, too.
        raise Refusal("--prometheus: an address without a user and a password is needed")
