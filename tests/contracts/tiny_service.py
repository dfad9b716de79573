"""The smallest service that reaches everything a service reaches; for tests of environments.

GET /db and /psp say whether they can be reached, GET /pay makes a payment at the PSP, GET /who
says which instance answers, GET /eat uses a lot of memory, POST /webhooks/psp takes a webhook and
GET /webhooks counts them.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import signal
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

TIMEOUT_S = 1.0
EATEN = 300_000_000
PAYMENT = (
    "amount=500&currency=eur&confirm=true&payment_method=pm_card_visa"
    "&payment_method_types[]=card&metadata[merchant_reference]=contract-1"
)
webhooks = 0


def reach_database() -> str:
    """Ask whether TLS is spoken, as every client of PostgreSQL may: it says N."""
    url = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
    try:
        with socket.create_connection((url.hostname, url.port), TIMEOUT_S) as database:
            database.settimeout(TIMEOUT_S)
            database.sendall(bytes.fromhex("0000000804d2162f"))
            return "ok" if database.recv(1) == b"N" else "closed"
    except OSError as error:
        return type(error).__name__


def reach_psp(form: str | None = None) -> str:
    """Ask for the payments there are, or make one."""
    request = urllib.request.Request(
        f"{os.environ['PSP_URL']}/v1/payment_intents",
        data=None if form is None else form.encode(),
        headers={"Authorization": f"Bearer {os.environ['PSP_API_KEY']}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return "ok" if answer.status == 200 else str(answer.status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answers: dict[str, Callable[[], str]] = {
            "/readyz": lambda: "ok",
            "/who": lambda: os.environ["NODE"],
            "/db": reach_database,
            "/psp": reach_psp,
            "/pay": lambda: reach_psp(PAYMENT),
            "/webhooks": lambda: str(webhooks),
            "/eat": lambda: str(len(bytes(EATEN) + b"x")),
            "/metrics": lambda: "tiny_up 1",
        }
        self.reply(answers[self.path]())

    def do_POST(self) -> None:
        global webhooks
        self.rfile.read(int(self.headers["Content-Length"]))
        webhooks += 1
        self.reply("ok")

    def reply(self, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Instance", os.environ["NODE"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    flaw = os.environ.get("TINY_FLAW")
    if flaw is not None:
        sys.exit(f"no flaw is called {flaw}")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    host, port, ready_file = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    with http.server.ThreadingHTTPServer((host, port), Handler) as server:
        draft = ready_file.with_suffix(".draft")
        draft.write_text(json.dumps({"port": server.server_port}))
        draft.rename(ready_file)
        server.serve_forever()


if __name__ == "__main__":
    main()
