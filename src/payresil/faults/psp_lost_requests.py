"""The PSP never does what it is asked to do, and does not say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.values import Duration, Share
from payresil.faults.psp_bounds import psp_bounds
from payresil.faults.psp_evidence import psp_touched
from payresil.faults.psp_silence import How, silent


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    return psp_touched(run, window, "before_commit", "requests_lost")


@fault(evidence=_evidence, needs=("psp_rules",), bounds=psp_bounds)
@contextmanager
def psp_lost_requests(
    environment: Environment,
    share: Share,
    endpoint: str = "payment_intents.*",
    how: How = "reset",
    hang: Duration = Duration(10),  # noqa: B008 - a value, never changed
    *,
    fault_id: str,
) -> Iterator[None]:
    """The PSP does nothing of what it was asked to do, and gives no answer.

    Of the requests to `endpoint` (``*`` at its end matches any ending), `share` are touched: the
    connection is reset, closed in order, or says nothing for `hang` and is closed then. To the
    caller it looks just as when the answer alone is lost. Open connections to other requests live
    on.
    """
    with silent(environment, fault_id, "before_commit", share, endpoint, how, hang):
        yield
