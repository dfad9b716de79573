"""What every backend promises of an environment; a new backend joins in conftest."""

from __future__ import annotations

import asyncio
import dataclasses
import json
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
from payresil.core.registry import faults
from payresil.core.topology import Node
from payresil.core.values import Duration, Share, Size
from stub_psp.rules.book import draw

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
    limits = {"limits"} if up.backend == "docker" else set()
    assert up.environment.capabilities == {"links", "psp_rules", "nodes", "networks"} | limits


# --- links ----------------------------------------------------------------------------------


def test_the_customers_link_can_be_cut(up: Any) -> None:
    with up.environment.links.apply("customers->router", [], down=True):
        refused = {"ConnectionRefusedError"}
        closed = {"SSLEOFError", "SSLZeroReturnError", "ConnectionResetError"}
        assert up.ask("/who")[0] in (closed if up.published else refused)
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


def test_answers_to_webhooks_can_be_lost_on_connections_that_are_made_meanwhile(
    up: Any, until: Until
) -> None:
    psp = up.environment.psp
    until(lambda: psp.pending()["webhooks"] == 0)
    taken, heard = _webhooks(up), _heard(up)
    let_by = {"how": "close", "let_by": Size(2000)}  # a handshake, and hardly an answer more
    with faults.get("lost_answers").call(up.environment, link="psp->router", **let_by):
        assert all(paid(up) for _ in range(20))
        until(lambda: psp.pending()["webhooks"] == 0)
    assert _webhooks(up) - taken > _heard(up) - heard > 0


def _heard(up: Any) -> int:
    return sum(row["delivered"] for row in up.environment.psp.truth("psp_events"))


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


@pytest.mark.parametrize(
    ("fault", "parameters", "served"),
    [
        ("reset", {}, False),
        ("lost_answers", {}, True),
        ("lost_answers", {"how": "close"}, True),
        ("one_way_partition", {"direction": "upstream"}, False),
        ("one_way_partition", {"direction": "downstream"}, True),
        ("partition", {}, False),
    ],
)
def test_faults_of_a_link_differ_in_what_was_done_when_no_answer_came(
    up: Any, fault: str, parameters: dict[str, Any], served: bool
) -> None:
    psp = up.environment.psp
    before = len(list(psp.truth("psp_charges")))
    with faults.get(fault).call(up.environment, link="service->psp", **parameters):
        assert not paid(up)
    assert len(list(psp.truth("psp_charges"))) == before + served
    assert paid(up)


def test_what_the_psp_lost_before_it_began_was_never_done(up: Any) -> None:
    psp = up.environment.psp
    before = len(list(psp.truth("psp_charges")))
    lost = faults.get("psp_lost_requests").call
    with lost(up.environment, share=Share(1), fault_id="lost-requests"):
        assert not paid(up)
    assert len(list(psp.truth("psp_charges"))) == before
    (row,) = (row for row in psp.truth("psp_attempts") if row["rule"] == "lost-requests")
    assert (row["point"], row["answered_mono_ns"]) == ("before_commit", None)


def test_a_slow_psp_shows_how_long_it_took(up: Any) -> None:
    slow = faults.get("psp_slow").call
    with slow(up.environment, delay=Duration(0.3), fault_id="slow"):
        assert paid(up)
    (row,) = (row for row in up.environment.psp.truth("psp_attempts") if row["rule"] == "slow")
    assert row["answered_mono_ns"] - row["received_mono_ns"] >= 295_000_000


def test_two_runs_with_one_seed_lose_the_answers_of_the_same_payments(up: Any) -> None:
    """The reference of the tests is `contract-1`, and `contract` is the run: 1 is drawn."""
    rule = {**_lost_answers("drawn"), "share": 0.5}
    with up.environment.psp.rule(rule):
        answered = [paid(up) for _ in range(12)]
    assert answered == [draw(7, "drawn", "1", n) >= 0.5 for n in range(12)]


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


@pytest.mark.parametrize("name", ["a/service.1", "a/db", "psp", "a/lb", "router"])
def test_a_node_that_was_stopped_in_order_comes_back_where_it_was(
    up: Any, until: Until, name: str
) -> None:
    before = up.pids()[name]
    up.environment.nodes.stop(node(name))
    assert not Path(f"/proc/{before}").exists()
    up.environment.check()  # it was told to
    up.environment.nodes.start(node(name))
    assert up.pids()[name] != before
    until(lambda: both_answer(up))
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}
    assert seen_by(up, "/psp") == {"a/service.1": "ok", "a/service.2": "ok"}
    whats = [what for kind, of, what, _ in up.events if kind == "node" and of == name]
    assert whats[-2:] == ["stopped", "started"]
    assert "killed" not in whats[whats.index("started", -4) :]


def test_a_paused_node_keeps_its_connections_and_says_nothing(up: Any) -> None:
    up.environment.nodes.pause(node("a/db"))
    assert seen_by(up, "/db") == {"a/service.1": "TimeoutError", "a/service.2": "TimeoutError"}
    up.environment.check()
    up.environment.nodes.resume(node("a/db"))
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}


def test_a_node_that_is_cut_off_reaches_nobody_and_comes_back(up: Any, until: Until) -> None:
    cut_off = faults.get("disconnect").call
    with cut_off(up.environment, node="a/service.2"), cut_off(up.environment, node="service.2"):
        until(lambda: {up.ask("/who")[0] for _ in range(4)} == {"a/service.1"})
        assert up.ask("/db")[0] == "ok"
        up.environment.check()
    until(lambda: both_answer(up))
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}
    assert seen_by(up, "/psp") == {"a/service.1": "ok", "a/service.2": "ok"}
    whats = [what for kind, of, what, _ in up.events if (kind, of) == ("node", "a/service.2")]
    assert whats[-2:] == ["disconnected", "connected"]


def test_a_database_that_is_cut_off_is_missed_by_everybody(up: Any) -> None:
    with up.environment.networks.disconnect(node("a/db")):
        assert "ok" not in seen_by(up, "/db").values()
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}


def test_heal_connects_what_was_cut_off(up: Any, until: Until) -> None:
    up.environment.networks.disconnect(node("a/db")).__enter__()
    up.environment.heal()
    assert seen_by(up, "/db") == {"a/service.1": "ok", "a/service.2": "ok"}


def test_a_node_can_be_limited_where_that_is_offered(up: Any, until: Until) -> None:
    if "limits" not in up.environment.capabilities:
        with pytest.raises(EnvironmentBroke, match="cannot be limited"):
            faults.get("cpu_limit").call(up.environment, node="psp", share=Share(0.5)).__enter__()
        return
    with (
        faults.get("cpu_limit").call(up.environment, node="service.1", share=Share(0.1)),
        faults.get("memory_limit").call(up.environment, node="service.1", limit=Size(200e6)),
    ):
        assert both_answer(up)
    assert both_answer(up)
    whats = [what for kind, of, what, _ in up.events if (kind, of) == ("node", "a/service.1")]
    assert {"memory_limited", "cpu_limited", "memory_lifted", "cpu_lifted"} <= set(whats)


def test_customers_are_no_node_to_be_killed(up: Any) -> None:
    with pytest.raises(EnvironmentBroke, match="customers"):
        up.environment.nodes.kill(node("customers"))


# --- down -----------------------------------------------------------------------------------


def test_a_node_that_dies_by_itself_is_told(fresh: Fresh, until: Until) -> None:
    with fresh() as up:
        up.murder("a/service.2")
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
        up.murder("toxiproxy")
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
    words = r"(?s)a/service\.1 (cannot be started|ended).*/no/such/service"
    with (
        pytest.raises(EnvironmentBroke, match=words),
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
