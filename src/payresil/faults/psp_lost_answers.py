"""The PSP commits, and its answer is lost."""

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
    return psp_touched(run, window, "after_commit_lost", "answers_lost")


@fault(evidence=_evidence, needs=("psp_rules",), bounds=psp_bounds)
@contextmanager
def psp_lost_answers(
    environment: Environment,
    share: Share,
    endpoint: str = "payment_intents.create",
    how: How = "reset",
    hang: Duration = Duration(10),  # noqa: B008 - a value, never changed
    *,
    fault_id: str,
) -> Iterator[None]:
    """The PSP does what it was asked to do, and its answer never arrives.

    Of the requests to `endpoint` (``*`` at its end matches any ending), `share` are touched: the
    connection is reset, closed in order, or says nothing for `hang` and is closed then. Which ones
    is drawn from the seed. Open connections to other requests live on.
    """
    with silent(environment, fault_id, "after_commit_lost", share, endpoint, how, hang):
        yield
