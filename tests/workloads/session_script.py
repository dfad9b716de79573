"""Sends payments through Locust's client, one for each mode of the shop, and prints the replies.

A process of its own, because importing Locust patches the standard library.

    python session_script.py URL CA_FILE MODE…
"""

from __future__ import annotations

import json
import sys
import time

from locust.env import Environment

from payresil.core.mapping import Request
from payresil.workloads.customers import Customer, SessionTransport


def main() -> None:
    """One line of JSON a mode."""
    url, ca_file, *modes = sys.argv[1:]
    Customer.host = url
    if ca_file:
        Customer.ssl_context_factory(ca_file)
    transport = SessionTransport(Customer(Environment(user_classes=[Customer])).client)
    control = SessionTransport(Customer(Environment(user_classes=[Customer])).client)
    for mode in modes:
        control.send(Request("POST", "/control", {}, json.dumps({"mode": mode}).encode()), 5.0)
        body = json.dumps({"reference": f"r%2F1/{mode}"}).encode()
        headers = {"Idempotency-Key": mode, "Content-Type": "application/json"}
        begun = time.monotonic()
        reply = transport.send(Request("POST", "/pay%2Fments?a=%26", headers, body), 0.3)
        print(json.dumps({
            "mode": mode,
            "status": reply.status,
            "error": reply.error,
            "body": reply.body.decode(),
            "replayed": reply.headers.get("idempotent-replayed"),
            "waited": time.monotonic() - begun >= 0.3,
        }))  # fmt: skip
    print(json.dumps(control.send(Request("GET", "/control", {}, b""), 5.0).body.decode()))


if __name__ == "__main__":
    main()
