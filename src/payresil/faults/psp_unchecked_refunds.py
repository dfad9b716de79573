"""The PSP refunds whatever it is asked to refund."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Environment, Window
from payresil.core.registry import fault
from payresil.core.results import Doubt, Measure, Result
from payresil.core.run import Run
from payresil.faults.evidence import end_of

#: Payments of which customers had asked for more back than they paid, the last of it while the
#: fault was active; an operation asked for again is no second refund.
_ASKED_BEYOND = """
with paid as (select intent, max(amount_minor) as minor from attempts
              where operation = 'pay' and kind = 'create' group by intent),
     asked as (select intent, operation, max(amount_minor) as minor,
                      bool_or(coalesce(done_ns, sent_ns) >= $start) as meanwhile
               from attempts where kind = 'refund' and sent_ns <= $stop
               group by intent, operation),
     sums as (select intent, sum(minor) as minor from asked group by intent
              having bool_or(meanwhile))
select count(*) from sums join paid using (intent) where sums.minor > paid.minor
"""


def _evidence(run: Run, window: Window) -> Iterator[Result]:
    """Whether the service has its own limit shows only when somebody goes beyond it.

    And whether the PSP has lost its limit, only when it is asked for a refund.
    """
    bounds = {"start": window.start_ns, "stop": end_of(window)}
    row = run.sql.execute(_ASKED_BEYOND, bounds).fetchone()
    asked_beyond = row[0] if row else 0
    yield Measure("payments_asked_back_beyond", asked_beyond)
    taken = run.one(
        "select count(*) from psp_attempts where rule = ? and point = 'unchecked'", [window.fault]
    )
    yield Measure("refunds_taken_unchecked", taken)
    yield Measure(
        "charges_refunded_beyond",
        run.one("select count(*) from psp_charges where refunded_minor > captured_minor"),
    )
    if not asked_beyond:
        yield Doubt(
            f"nobody asked for more of a payment back than was paid while {window.fault} was "
            "active, so the PSP's limit was never missed; have customers ask for too much"
        )
    if not taken:
        yield Doubt(
            f"no refund reached the PSP while {window.fault} was active: whether its limit is "
            "missed was not put to the test"
        )


@fault(evidence=_evidence, needs=("psp_rules",))
@contextmanager
def psp_unchecked_refunds(environment: Environment, *, fault_id: str) -> Iterator[None]:
    """The PSP takes every refund, also of more than was captured.

    As PSPs do that check a refund only later: a service that leaves the limit to its PSP gives away
    money. What was refunded beyond the limit stays refunded when the fault heals.
    """
    rule = {
        "id": fault_id,
        "point": "unchecked",
        "match": {"endpoint": "refunds.create"},
        "action": {"how": "accept"},
    }
    with environment.psp.rule(rule):
        yield
