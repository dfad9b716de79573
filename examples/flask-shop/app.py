"""A small web shop: orders paid by card through Stripe, books in SQLite. Start: python app.py"""

from __future__ import annotations

import hmac
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import stripe
from books import Books, Refused
from flask import Flask, Response, abort, jsonify, request
from till import Till
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

REQUIRED = ("PSP_URL", "PSP_API_KEY", "WEBHOOK_SECRET", "ADMIN_TOKEN", "DATABASE")


def create_app(settings: Mapping[str, str]) -> Flask:
    """The shop as a WSGI application."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20
    books = Books(settings["DATABASE"])
    till = Till(
        books, settings["PSP_URL"], settings["PSP_API_KEY"], fixed=settings.get("FIXED") == "1"
    )

    @app.post("/orders")
    def order() -> tuple[Response, int]:
        placed, new = books.place(_key(), _wanted())
        if placed["status"] == "pending":
            till.charge(placed)
        return _answer(books.order(placed["id"]), new)

    @app.get("/orders/<id_>")
    def show(id_: str) -> Response:
        return jsonify(_shown(books.order(id_) or abort(404, "no such order")))

    @app.get("/orders")
    def find() -> Response:
        found = books.orders_of(request.args.get("reference", ""))
        return jsonify(orders=[_shown(each) for each in found or abort(404, "no such order")])

    @app.post("/orders/<id_>/refunds")
    def refund(id_: str) -> tuple[Response, int]:
        if books.order(id_) is None:
            abort(404, "no such order")
        asked, new = books.ask_refund(_key(), id_, _positive(_body(), "amount"))
        if asked["status"] == "pending":
            till.refund(asked)
        made = books.refund(asked["id"])
        status = {"done": 201 if new else 200, "pending": 202, "failed": 422}[made["status"]]
        return jsonify(order=id_, refund=made["id"], status=made["status"]), status

    @app.post("/stripe/webhook")
    def webhook() -> tuple[str, int]:
        signature = request.headers.get("Stripe-Signature", "")
        try:
            stripe.Webhook.construct_event(request.data, signature, settings["WEBHOOK_SECRET"])
        except (ValueError, stripe.SignatureVerificationError):
            abort(400, "not signed by Stripe")
        books.take_event(_body())
        return "", 204

    @app.get("/internal/open")
    def still_open() -> Response:
        _admin(settings["ADMIN_TOKEN"])
        return jsonify(orders=len(books.open_orders()), refunds=len(books.open_refunds()))

    @app.post("/internal/reconcile")
    def reconcile() -> Response:
        _admin(settings["ADMIN_TOKEN"])
        return jsonify(till.finish_open())

    @app.get("/healthz")
    def health() -> str:
        books.ping()
        return "ok\n"

    @app.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int]:
        return jsonify(error=str(error)), 422

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.description), error.code or 500

    return app


def _answer(order: dict[str, Any] | None, new: bool) -> tuple[Response, int]:
    assert order is not None  # orders are never deleted
    statuses = {"paid": 201 if new else 200, "pending": 202, "declined": 402, "failed": 402}
    return jsonify(_shown(order)), statuses[order["status"]]


def _shown(order: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "reference", "status", "total", "refunded", "currency")
    return {name: order[name] for name in names}


def _body() -> dict[str, Any]:
    body = request.get_json()
    if not isinstance(body, dict):
        abort(400, "expected a JSON object")
    return body


def _wanted() -> dict[str, Any]:
    body = _body()
    wanted: dict[str, Any] = {"total": _positive(body, "total")}
    for name in ("reference", "currency", "payment_token"):
        wanted[name] = body.get(name)
        if not isinstance(wanted[name], str) or not wanted[name]:
            abort(400, f"{name}: expected a text")
    return wanted


def _positive(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if type(value) is not int or value < 1:
        abort(400, f"{name}: expected a whole number of minor units above 0")
    return value


def _key() -> str:
    return request.headers.get("Idempotency-Key") or abort(400, "Idempotency-Key is missing")


def _admin(token: str) -> None:
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        abort(401, "staff only")


def main() -> None:
    """Serve until SIGTERM."""
    missing = [name for name in REQUIRED if not os.environ.get(name)]
    if missing:
        sys.exit(f"flask-shop: set {', '.join(missing)}")
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel("WARNING")
    logging.getLogger("stripe").setLevel("ERROR")
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "5000"))
    server = make_server(host, port, create_app(os.environ), threaded=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"flask-shop: serving on http://{host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
