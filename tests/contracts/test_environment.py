"""What every backend promises of an environment; a new backend joins in conftest."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import ssl
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from payresil.core.protocols import EnvironmentBroke, Toxic
from payresil.core.topology import Node

Until = Callable[[Callable[[], object]], None]
Fresh = Callable[..., AbstractContextManager[Any]]

SILENCE = [Toxic("timeout", stream, {"timeout": 0}) for stream in ("upstream", "downstream")]


def node(name: str) -> Node:
    return Node.parse(name)


def both_answer(up: Any) -> bool:
    return {up.ask("/who") for _ in range(4)} == {
        ("a/service.1", "a/service.1"),
        ("a/service.2", "a/service.2"),
    }


def seen_by(up: Any, path: str) -> dict[str, str]:
    """What each instance says of what it reaches."""
    answers: dict[str, str] = {}
    while len(answers) < 2:
        text, instance = up.ask(path)
        assert instance, text
        answers[instance] = text
    return answers


# --- up -------------------------------------------------------------------------------------


def test_customers_reach_every_instance_over_tls(up: Any) -> None:
    assert Counter(up.ask("/who")[0] for _ in range(8)) == {"a/service.1": 4, "a/service.2": 4}
    with pytest.raises(urllib.error.URLError) as refused:
        urllib.request.urlopen(f"{up.environment.endpoints.customers}/who", timeout=5)
    assert isinstance(refused.value.reason, ssl.SSLCertVerificationError)


def test_instances_reach_the_database_and_the_psp(up: Any) -> None:
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}
    assert seen_by(up, "/psp") == {"a/service.1": "ok", "a/service.2": "ok"}


def test_the_harness_reaches_what_it_needs_not_through_a_link(up: Any) -> None:
    endpoints = up.environment.endpoints
    with (
        up.environment.links.apply("service->db", [], down=True),
        up.environment.links.apply("customers->router", [], down=True),
    ):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{endpoints.admin}/readyz", timeout=5) as answer:
            assert answer.status == 200
        assert asyncio.run(_one(endpoints.books)) == 1


async def _one(url: str) -> int:
    client = await asyncpg.connect(url, timeout=10)
    try:
        return int(await client.fetchval("select 1"))
    finally:
        await client.close()


def test_every_node_is_reported_started_and_has_a_log(up: Any) -> None:
    named = {str(each) for each in up.environment.topology.nodes} - {"customers"}
    assert named <= set(up.pids())
    for name in named:
        assert (up.assembly.logs / f"{name.replace('/', '.')}.log").exists()


def test_instances_have_metrics(up: Any) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for name in ("a/service.1", "a/service.2"):
        with opener.open(up.environment.endpoints.metrics[name], timeout=5) as answer:
            assert answer.read() == b"tiny_up 1\n"


def test_what_it_can_do_is_said(up: Any) -> None:
    assert up.environment.capabilities == {"links", "psp_rules", "nodes"}


# --- links ----------------------------------------------------------------------------------


def test_the_customers_link_can_be_cut(up: Any) -> None:
    with up.environment.links.apply("customers->router", [], down=True):
        assert up.ask("/who")[0] == "ConnectionRefusedError"
    assert both_answer(up)


def test_the_link_to_the_balancer_can_be_cut(up: Any) -> None:
    with up.environment.links.apply("router->lb", [], down=True):
        assert up.ask("/who")[0] == "502"
    assert both_answer(up)


def test_an_instance_that_cannot_be_reached_is_left_out_and_comes_back(
    up: Any, until: Until
) -> None:
    with up.environment.links.apply("lb->service.1", [], down=True):
        until(lambda: {up.ask("/who")[0] for _ in range(4)} == {"a/service.2"})
    until(lambda: both_answer(up))


def test_the_link_to_the_database_can_be_silenced_for_one_instance(up: Any) -> None:
    with up.environment.links.apply("service.1->db", SILENCE):
        assert seen_by(up, "/db") == {"a/service.1": "TimeoutError", "a/service.2": "ok"}
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}


def test_the_link_to_the_psp_can_be_slow(up: Any) -> None:
    slow = Toxic("latency", "downstream", {"latency": 300, "jitter": 0})
    with up.environment.links.apply("service->psp", [slow]):
        started = time.monotonic()
        assert up.ask("/psp")[0] == "ok"
        assert time.monotonic() - started >= 0.3


def test_webhooks_come_through_their_link(up: Any, until: Until) -> None:
    psp = up.environment.psp
    taken = _webhooks(up)
    with up.environment.links.apply("psp->router", [], down=True):
        assert paid(up)
        until(lambda: any(row["attempt"] == 1 for row in psp.truth("psp_events")))
        assert _webhooks(up) == taken
        assert psp.pending()["webhooks"] >= 1
    until(lambda: _webhooks(up) > taken and psp.pending()["webhooks"] == 0)


def _webhooks(up: Any) -> int:
    return sum(int(count) for count in seen_by(up, "/webhooks").values())


def test_faults_overlap_and_heal_in_any_order(up: Any) -> None:
    first = up.environment.links.apply("service.1->db", SILENCE)
    second = up.environment.links.apply("service->db", [], down=True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert seen_by(up, "/db")["a/service.1"] == "ConnectionRefusedError"
    second.__exit__(None, None, None)
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}


def test_heal_takes_everything_away(up: Any) -> None:
    up.environment.links.apply("service->db", [], down=True).__enter__()
    up.environment.nodes.pause(node("a/service.2"))
    up.environment.psp.rule(_lost_answers("contract-heal")).__enter__()
    up.environment.heal()
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}
    assert paid(up)


# --- the PSP --------------------------------------------------------------------------------


def _lost_answers(rule_id: str) -> dict[str, Any]:
    return {
        "id": rule_id,
        "point": "after_commit_lost",
        "match": {"endpoint": "payment_intents.create"},
        "action": {"how": "reset"},
    }


def paid(up: Any) -> bool:
    """Have an instance pay at the PSP; whether it got its answer."""
    return bool(up.ask("/pay")[0] == "ok")


def test_an_answer_of_the_psp_can_be_lost(up: Any) -> None:
    psp = up.environment.psp
    before = len(list(psp.truth("psp_charges")))
    with psp.rule(_lost_answers("contract.2")) as rule_id:
        assert rule_id == "contract.2"
        assert not paid(up)
    assert len(list(psp.truth("psp_charges"))) == before + 1
    touched = [row for row in psp.truth("psp_attempts") if row["rule"] == "contract.2"]
    assert [row["point"] for row in touched] == ["after_commit_lost"]


def test_a_rule_outlives_a_crash_of_the_psp(up: Any) -> None:
    with up.environment.psp.rule(_lost_answers("contract.crash")):
        up.environment.nodes.kill(node("psp"))
        up.environment.nodes.start(node("psp"))
        assert not paid(up)
    assert paid(up)


# --- nodes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a/service.1", "a/db", "psp", "a/lb", "router"])
def test_a_node_that_was_killed_comes_back_where_it_was(up: Any, until: Until, name: str) -> None:
    before = up.pids()[name]
    up.environment.nodes.kill(node(name))
    assert not Path(f"/proc/{before}").exists()
    up.environment.check()  # it was told to
    up.environment.nodes.start(node(name))
    assert up.pids()[name] != before
    until(lambda: both_answer(up))
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}
    assert seen_by(up, "/psp") == {"a/service.1": "ok", "a/service.2": "ok"}
    whats = [what for kind, of, what, _ in up.events if kind == "node" and of == name]
    assert whats[-2:] == ["killed", "started"]


def test_a_paused_node_keeps_its_connections_and_says_nothing(up: Any) -> None:
    up.environment.nodes.pause(node("a/db"))
    assert seen_by(up, "/db") == {"a/service.1": "TimeoutError", "a/service.2": "TimeoutError"}
    up.environment.check()
    up.environment.nodes.resume(node("a/db"))
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}


def test_customers_are_no_node_to_be_killed(up: Any) -> None:
    with pytest.raises(EnvironmentBroke, match="customers"):
        up.environment.nodes.kill(node("customers"))


# --- down -----------------------------------------------------------------------------------


def test_a_node_that_dies_by_itself_is_told(fresh: Fresh, until: Until) -> None:
    with fresh() as up:
        pid = up.pids()["a/service.2"]
        os.kill(pid, signal.SIGSEGV)
        until(lambda: ("node", "a/service.2", "exited") in [event[:3] for event in up.events])
        with pytest.raises(EnvironmentBroke, match=r"a/service\.2 ended by itself"):
            up.environment.check()
        gone = list(up.pids().values())
        log = up.assembly.logs / "a.db.log"
        work = up.assembly.work
        assert log.exists()
    assert not any(Path(f"/proc/{each}").exists() for each in gone)
    assert not work.exists()


def test_what_breaks_inside_is_what_is_raised_and_everything_ends(fresh: Fresh) -> None:
    with pytest.raises(ZeroDivisionError), fresh() as up:  # noqa: PT012 - the state matters
        pids = up.pids()
        up.environment.links.apply("service->db", [], down=True).__enter__()
        up.environment.nodes.pause(node("a/service.1"))
        os.kill(pids["toxiproxy"], signal.SIGKILL)
        raise ZeroDivisionError
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())


def test_a_service_that_ends_at_start_is_told_with_its_last_words(fresh: Fresh) -> None:
    with (
        pytest.raises(EnvironmentBroke, match=r"(?s)a/service.1 ended.*no flaw is called typo"),
        fresh(flaw="typo"),
    ):
        pytest.fail("it came up")


def test_a_service_that_is_not_there_is_named(fresh: Fresh, system: Any) -> None:
    start = dataclasses.replace(system.service, command=("/no/such/service",))
    with (
        pytest.raises(EnvironmentBroke, match=r"a/service\.1 cannot be started.*/no/such/service"),
        fresh(system=dataclasses.replace(system, service=start)),
    ):
        pytest.fail("it came up")


def test_no_log_and_no_event_holds_a_secret(up: Any) -> None:
    assert paid(up)
    both_answer(up)
    said = json.dumps(up.events, default=str)
    logs = "".join(log.read_text() for log in up.assembly.logs.iterdir())
    for name, secret in up.assembly.secrets.values():
        assert secret not in said, name
        assert secret not in logs, name
