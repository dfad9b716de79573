"""The stack, up: a payment goes through it, faults and money are seen, alerts fire."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import wiring

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

PROJECT = f"payresil-test-{os.getpid()}"
PORTS = ("CUSTOMERS", "TOXIPROXY", "ADMIN", "BOOKS", "PSP_CONTROL", "PROMETHEUS")
STEPS = {"certificates", "wiring"}
PAYMENTS = 40

#: Queries of the dashboard that have an answer only while something is wrong.
ONLY_IN_TROUBLE = ("payresil_fault_active", 'ALERTS{alertstate="firing"}')


@dataclass
class Stack:
    """The stack of ``docker-compose.yml``, played by the project's own image."""

    run: Callable[..., str]
    ca: ssl.SSLContext
    addresses: dict[tuple[str, int], str] = field(default_factory=dict)

    def compose(self, *arguments: str) -> str:
        return compose(self.run, *arguments)

    def address(self, service: str, port: int) -> str:
        if (service, port) not in self.addresses:
            found = self.compose("port", service, str(port)).split()[-1]
            self.addresses[service, port] = found
        return self.addresses[service, port]

    def pay(self, reference: str, timeout_s: float = 10.0) -> tuple[int, dict[str, Any], str]:
        """Status, body and instance of one payment, on a fresh connection."""
        host, _, port = self.address("toxiproxy", 20001).partition(":")
        connection = http.client.HTTPSConnection(
            host, int(port), context=self.ca, timeout=timeout_s
        )
        card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
        body = {"reference": reference, "amount_minor": 1200, "currency": "eur", "card": card}
        headers = {
            "Authorization": "Bearer rehearsal-api-token",
            "Idempotency-Key": f"{reference}-pay",
            "Content-Type": "application/json",
        }
        try:
            connection.request("POST", "/payments", json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), answer.headers["X-Instance"]
        finally:
            connection.close()

    def prometheus(self, path: str, **query: str) -> Any:
        url = f"http://{self.address('prometheus', 9090)}/api/v1/{path}"
        return wiring.ask(f"{url}?{urllib.parse.urlencode(query)}")["data"]

    def found(self, query: str) -> list[Any]:
        result: list[Any] = self.prometheus("query", query=query)["result"]
        return result

    def firing(self) -> set[str]:
        alerts = self.prometheus("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}


def compose(run: Callable[..., str], *arguments: str) -> str:
    environment = {**os.environ, **{f"{name}_PORT": "0" for name in PORTS}}
    own = ("--env-file", "containers/own-image.env", "--profile", "observe")
    return run("docker-compose", "--project-name", PROJECT, *own, *arguments, env=environment)


def states(run: Callable[..., str]) -> dict[str, dict[str, Any]]:
    """State of every container of the stack, by service."""
    ids = compose(run, "ps", "-aq").split()
    return {
        one["Config"]["Labels"]["com.docker.compose.service"]: one["State"]
        for one in json.loads(run("docker", "inspect", *ids))
    }


def settled(run: Callable[..., str]) -> bool:
    """Whether everything serves that should, and every step has ended well."""
    found = states(run)
    for service in STEPS:
        if found[service]["Status"] == "exited":
            assert found[service]["ExitCode"] == 0, compose(run, "logs", service)
    done = all(found[service]["Status"] == "exited" for service in STEPS)
    serving = [state for service, state in found.items() if service not in STEPS]
    return done and all(state["Health"]["Status"] == "healthy" for state in serving)


@pytest.fixture(scope="module")
def stack(
    run: Callable[..., str],
    image: str,
    until: Callable[[Callable[[], object]], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    run("containers/prometheus-image.sh")
    try:
        compose(run, "up", "--detach", "prometheus", "watcher", "lb", "router", "wiring",
                "service-1", "service-2")  # fmt: skip
        until(lambda: settled(run))
        file = tmp_path_factory.mktemp("stack") / "ca.pem"
        psp = compose(run, "ps", "-q", "psp").strip()
        run("docker", "cp", f"{psp}:/certificates/ca/ca.pem", str(file))
        yield Stack(run, ssl.create_default_context(cafile=str(file)))
    finally:
        compose(run, "down", "--volumes", "--timeout", "5")


@pytest.fixture(scope="module")
def paid(stack: Stack) -> set[str]:
    """Customers have paid; which instances answered.

    Some at a time: one after the other, each payment would take turns with its own webhook, and
    always meet the same instance.
    """
    with ThreadPoolExecutor(4) as customers:
        answers = list(customers.map(stack.pay, [f"paid-{n}" for n in range(PAYMENTS)]))
    assert {(status, payment["state"]) for status, payment, _ in answers} == {(201, "succeeded")}
    return {instance for _, _, instance in answers}


def test_payments_go_through_and_are_spread(paid: set[str]) -> None:
    assert paid == {"a/service.1", "a/service.2"}


def test_every_webhook_comes_back_through_the_ingress(
    stack: Stack, paid: set[str], until: Callable[[Callable[[], object]], None]
) -> None:
    def delivered() -> bool:
        url = f"http://{stack.address('psp', 12112)}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        wanted = 'stub_psp_webhook_attempts_total{outcome="delivered"} '
        counts = [int(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)]
        return counts == [PAYMENTS]

    until(delivered)


def test_the_auditor_reads_the_books_and_changes_nothing(stack: Stack, paid: set[str]) -> None:
    url = f"postgresql://auditor:rehearsal-auditor@{stack.address('db', 5432)}/payments"

    async def audit() -> int:
        connection = await asyncpg.connect(url)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("delete from payments")
            count: int = await connection.fetchval("select count(*) from payments")
            return count
        finally:
            await connection.close()

    assert asyncio.run(audit()) >= PAYMENTS


def test_the_service_settles_and_reconciles(stack: Stack, paid: set[str]) -> None:
    url = f"http://{stack.address('service-1', 8080)}/admin"
    report = wiring.ask(f"{url}/reconcile", "rehearsal-admin-token", {})
    assert report["breaks"] == []
    assert report["examined"] > 0
    in_flight = wiring.ask(f"{url}/in-flight", "rehearsal-admin-token")
    assert set(in_flight.values()) == {0}


def test_prometheus_scrapes_every_node(
    stack: Stack, until: Callable[[Callable[[], object]], None]
) -> None:
    def health() -> dict[str, str]:
        targets = stack.prometheus("targets")["activeTargets"]
        return {target["labels"]["node"]: target["health"] for target in targets}

    until(lambda: set(health().values()) == {"up"})
    assert health().keys() == {
        *("router", "a/lb", "a/service.1", "a/service.2", "psp", "watcher", "prometheus")
    }


def test_every_query_of_the_dashboard_has_an_answer(
    stack: Stack,
    paid: set[str],
    queries: list[str],
    until: Callable[[Callable[[], object]], None],
) -> None:
    asked = [query for query in queries if query not in ONLY_IN_TROUBLE]
    assert len(asked) > 20
    unanswered = set(asked)

    def answered() -> bool:
        unanswered.difference_update({query for query in unanswered if stack.found(query)})
        return not unanswered

    try:
        until(answered)
    except AssertionError:
        pytest.fail(f"no answer to {sorted(unanswered)}")


def test_a_fault_on_a_link_is_felt_and_seen_while_it_lasts(
    stack: Stack, paid: set[str], until: Callable[[Callable[[], object]], None]
) -> None:
    toxics = f"http://{stack.address('toxiproxy', 8474)}/proxies/customers--router"
    wiring.ask(toxics, body={"enabled": False})
    with pytest.raises((OSError, http.client.HTTPException)):
        stack.pay("refused-1")
    seen = 'payresil_fault_active{target="customers--router", fault="refused"}'
    until(lambda: stack.found(seen))
    wiring.ask(toxics, body={"enabled": True})
    assert stack.pay("refused-1")[0] == 201
    until(lambda: not stack.found(seen))


def test_the_stack_can_be_brought_up_again_as_it_is(stack: Stack, paid: set[str]) -> None:
    stack.compose("up", "--detach", "certificates", "wiring")
    stack.compose("start", "wiring")
    wiring_id = stack.compose("ps", "-aq", "wiring").split()[-1]
    stack.run("docker", "wait", wiring_id)
    assert ", as before" in stack.run("docker", "logs", "--tail", "1", wiring_id)
    assert stack.pay("again-1")[0] == 201


def test_an_instance_that_is_killed_raises_an_alert_and_payments_go_on(
    stack: Stack, paid: set[str], until: Callable[[Callable[[], object]], None]
) -> None:
    assert "NodeDown" not in stack.firing()
    stack.compose("kill", "service-2")
    until(lambda: "NodeDown" in stack.firing())
    assert stack.pay("one-less-1")[::2] == (201, "a/service.1")
    stack.compose("start", "service-2")
    until(lambda: "NodeDown" not in stack.firing())
