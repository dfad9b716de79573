"""The PSP takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Result
from payresil.core.run import Run
from payresil.core.values import Duration, Share
from payresil.faults.evidence import duration_ns, parameters
from payresil.faults.psp_bounds import psp_bounds
from payresil.faults.psp_evidence import psp_took, psp_touched


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    yield from psp_touched(run, window, "before_commit", "requests_held")
    yield from psp_took(run, window, duration_ns(parameters(run, window)["delay"]))


@fault(evidence=_evidence, needs=("psp_rules",), bounds=psp_bounds)
@contextmanager
def psp_slow(
    environment: Environment,
    delay: Duration,
    share: Share = Share(1),  # noqa: B008 - a value, never changed
    endpoint: str = "payment_intents.*",
    *,
    fault_id: str,
) -> Iterator[None]:
    """The PSP does what it is asked to do later, whether the caller still waits or not.

    Of the requests to `endpoint` (``*`` at its end matches any ending), `share` are begun only
    after `delay`; until then their idempotency keys are in use, and asking again is a conflict. A
    request that waits when the fault heals waits on.
    """
    rule = {
        "id": fault_id,
        "point": "before_commit",
        "match": {"endpoint": endpoint},
        "share": float(share),
        "action": {"how": "delay", "delay_ms": delay.ms},
    }
    with environment.psp.rule(rule):
        yield
