"""The routes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from payresil.refpay.api import admin, operations, payments, probes, webhooks
from payresil.refpay.api.answers import refuse
from payresil.refpay.api.edge import Edge
from payresil.refpay.work.service import Service

#: In the order of how often they are asked for.
_ROUTES = [
    Route("/payments", payments.create_payment, methods=["POST"]),
    Route("/webhooks/psp", webhooks.receive_event, methods=["POST"]),
    Route("/payments/{id}", payments.get_payment, methods=["GET"]),
    Route("/payments", payments.find_payments, methods=["GET"]),
    Route("/readyz", probes.readiness, methods=["GET"]),
    Route("/healthz", probes.health, methods=["GET"]),
    Route("/metrics", probes.metrics, methods=["GET"]),
    Route("/payments/{id}/refunds", operations.create_refund, methods=["POST"]),
    Route("/payments/{id}/capture", operations.capture_payment, methods=["POST"]),
    Route("/payments/{id}/cancel", operations.cancel_payment, methods=["POST"]),
    Route("/refunds/{id}", operations.get_operation, methods=["GET"]),
    Route("/captures/{id}", operations.get_operation, methods=["GET"]),
    Route("/cancels/{id}", operations.get_operation, methods=["GET"]),
    Route("/admin/in-flight", admin.in_flight, methods=["GET"]),
    Route("/admin/reconcile", admin.reconcile, methods=["POST"]),
]


def build_app(service: Service) -> ASGIApp:
    router = Router(_ROUTES, redirect_slashes=False, default=_no_such_place)
    return Edge(router, service)


async def _no_such_place(scope: Scope, receive: Receive, send: Send) -> None:
    response: Response = refuse(404, "not_found", f"nothing at {Request(scope).url.path}")
    await response(scope, receive, send)
