"""The PSP fails before it does anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.values import Share
from payresil.faults.psp_bounds import psp_bounds
from payresil.faults.psp_evidence import psp_touched


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return psp_touched(run, window, "before_commit", "errors_answered")


@fault(evidence=_evidence, needs=("psp_rules",), bounds=psp_bounds)
@contextmanager
def psp_errors(
    environment: Environment,
    share: Share,
    endpoint: str = "payment_intents.*",
    status: int = 500,
    *,
    fault_id: str,
) -> Iterator[None]:
    """The PSP answers with an error and has done nothing.

    Of the requests to `endpoint` (``*`` at its end matches any ending), `share` are answered with
    the HTTP `status`, 400 to 599. The caller cannot tell a 500 of this kind from one that came
    after the money had moved.
    """
    rule = {
        "id": fault_id,
        "point": "before_commit",
        "match": {"endpoint": endpoint},
        "share": float(share),
        "action": {"how": "status", "status": status},
    }
    with environment.psp.rule(rule):
        yield
