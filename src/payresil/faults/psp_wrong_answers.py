"""The PSP commits, and says that it failed."""

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
    return psp_touched(run, window, "after_commit_wrong", "wrong_answers")


@fault(evidence=_evidence, needs=("psp_rules",), bounds=psp_bounds)
@contextmanager
def psp_wrong_answers(
    environment: Environment,
    share: Share,
    endpoint: str = "payment_intents.create",
    status: int = 500,
    store: bool = False,
    *,
    fault_id: str,
) -> Iterator[None]:
    """The PSP does what it was asked to do, and answers that it failed.

    Of the requests to `endpoint` (``*`` at its end matches any ending), `share` are answered with
    the HTTP `status`, 400 to 599. With `store` the wrong answer is kept as the result of the
    idempotency key, as Stripe keeps its 500s: asking again with that key says the same again.
    """
    rule = {
        "id": fault_id,
        "point": "after_commit_wrong",
        "match": {"endpoint": endpoint},
        "share": float(share),
        "action": {"how": "status", "status": status, "store": store},
    }
    with environment.psp.rule(rule):
        yield
