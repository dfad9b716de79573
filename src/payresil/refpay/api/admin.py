"""``/admin``: for operators, with a token of their own."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from payresil.refpay.api.answers import answer, refuse
from payresil.refpay.api.requests import check_operator
from payresil.refpay.books.settling import count_in_flight


async def in_flight(request: Request) -> Response:
    """``GET /admin/in-flight``: all zero when nothing is unknown and everything is sent."""
    service = check_operator(request)
    return answer(200, asdict(await count_in_flight(service.database)))


async def reconcile(request: Request) -> Response:
    """``POST /admin/reconcile``: compare with the PSP and repair; 409 while another does."""
    service = check_operator(request)
    # Loaded with the first use: a start should not pay for it.
    from payresil.refpay.reconcile.job import BusyError, IncompleteError, run

    try:
        report = await run(service)
    except BusyError:
        return refuse(409, "in_flight", "a reconciliation is running")
    except IncompleteError as error:
        return refuse(502, "psp_unavailable", f"nothing was changed: {error}")
    return answer(200, report)
