"""What each fault does to an environment, in which it heals, and what YAML may say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from payresil.core.problems import InvalidScenario
from payresil.core.protocols import Environment, EnvironmentBroke, Toxic
from payresil.core.registry import faults
from payresil.core.schema import parameters_of
from payresil.core.topology import Link, Node, SelectorError, Topology
from payresil.core.values import Duration, Share, Size
from payresil.engine.scenario_file import load_scenario
from payresil.faults.psp_bounds import ENDPOINTS
from stub_psp.dialects.stripe.dialect import StripeDialect


class FakeEnvironment:
    """Remembers what was done to it, in order."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        nodes = ("a/service.1", "a/service.2", "a/db", "psp")
        links = ("a/service.1->a/db", "a/service.2->a/db")
        self.topology = Topology(tuple(map(Node.parse, nodes)), tuple(map(Link.parse, links)))
        self.links = self.psp = self.nodes = self.networks = self.limits = self
        self.refuses: str | None = None

    @contextmanager
    def apply(
        self, selector: str, toxics: Sequence[Toxic], *, down: bool = False
    ) -> Iterator[None]:
        self.done.append((selector, tuple(toxics), down))
        yield
        self.done.append("healed")

    @contextmanager
    def rule(self, rule: Mapping[str, Any]) -> Iterator[str]:
        self.done.append(dict(rule))
        yield str(rule["id"])
        self.done.append("healed")

    def kill(self, node: Node) -> None:
        self._do("kill", node)

    def stop(self, node: Node) -> None:
        self._do("stop", node)

    def start(self, node: Node) -> None:
        self._do("start", node)

    def pause(self, node: Node) -> None:
        self._do("pause", node)

    def resume(self, node: Node) -> None:
        self._do("resume", node)

    @contextmanager
    def disconnect(self, node: Node) -> Iterator[None]:
        self._do("disconnect", node)
        try:
            yield
        finally:
            self._do("connect", node)

    @contextmanager
    def memory(self, node: Node, limit_bytes: int) -> Iterator[None]:
        self._do(f"memory {limit_bytes}", node)
        try:
            yield
        finally:
            self._do("memory all", node)

    @contextmanager
    def cpu(self, node: Node, cores: float) -> Iterator[None]:
        self._do(f"cpu {cores}", node)
        try:
            yield
        finally:
            self._do("cpu all", node)

    def _do(self, what: str, node: Node) -> None:
        if str(node) == self.refuses:
            raise EnvironmentBroke(f"{node} refuses")
        self.done.append(f"{what} {node}")


@pytest.fixture
def environment() -> FakeEnvironment:
    return FakeEnvironment()


def inject(environment: FakeEnvironment, name: str, **parameters: Any) -> Any:
    """What the fault did, first when injected and then in all."""
    with faults.get(name).call(cast(Environment, environment), **parameters):
        injected = list(environment.done)
    return injected, environment.done


@pytest.mark.parametrize(
    ("name", "parameters", "toxics", "down"),
    [
        (
            "latency",
            {"delay": Duration(0.2), "jitter": Duration(0.05), "direction": "both"},
            [
                Toxic("latency", "upstream", {"latency": 200, "jitter": 50}),
                Toxic("latency", "downstream", {"latency": 200, "jitter": 50}),
            ],
            False,
        ),
        (
            "latency",
            {"delay": Duration(1)},
            [Toxic("latency", "downstream", {"latency": 1000, "jitter": 0})],
            False,
        ),
        (
            "partition",
            {},
            [
                Toxic("timeout", "upstream", {"timeout": 0}),
                Toxic("timeout", "downstream", {"timeout": 0}),
            ],
            False,
        ),
        (
            "one_way_partition",
            {"direction": "downstream"},
            [Toxic("timeout", "downstream", {"timeout": 0})],
            False,
        ),
        (
            "one_way_partition",
            {"direction": "upstream"},
            [Toxic("timeout", "upstream", {"timeout": 0})],
            False,
        ),
        ("refused", {}, [], True),
        ("reset", {}, [Toxic("reset_peer", "upstream", {"timeout": 0})], False),
        (
            "reset",
            {"after": Duration(0.1)},
            [Toxic("reset_peer", "upstream", {"timeout": 100})],
            False,
        ),
        ("lost_answers", {}, [Toxic("reset_peer", "downstream", {"timeout": 0})], False),
        (
            "lost_answers",
            {"how": "close"},
            [Toxic("limit_data", "downstream", {"bytes": 0})],
            False,
        ),
        (
            "lost_answers",
            {"how": "close", "let_by": Size(4000)},
            [Toxic("limit_data", "downstream", {"bytes": 4000})],
            False,
        ),
        (
            "bandwidth",
            {"per_second": Size(64_000), "direction": "upstream"},
            [Toxic("bandwidth", "upstream", {"rate": 64})],
            False,
        ),
    ],
)
def test_faults_of_links(
    environment: FakeEnvironment,
    name: str,
    parameters: dict[str, Any],
    toxics: list[Toxic],
    down: bool,
) -> None:
    injected, done = inject(environment, name, link="service->db", **parameters)
    assert injected == [("service->db", tuple(toxics), down)]
    assert done[1:] == ["healed"]


SCENARIO = """
name: x
claim: y
system: refpay
workload: {rate: 50/s, duration: 40s, journeys: {impatient: 1}}
faults:
  - {at: 10s, duration: 8s, FAULT}
checks: [idempotency]
"""


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("bandwidth: {link: service->db, per_second: 499B}", "read '499B', expected 1KB at least"),
        ("bandwidth: {link: service->db, per_second: 1KB}", None),
        ("lost_answers: {link: service->db, let_by: 2KB}", "read '2KB', expected how: close besid"),
        ("lost_answers: {link: service->db, let_by: 2KB, how: close}", None),
        ("psp_errors: {share: 50%, status: 200}", "read '200', expected the HTTP status of an err"),
        ("psp_errors: {share: 50%, status: 600}", "read '600', expected the HTTP status of an err"),
        ("psp_errors: {share: 50%, status: 400}", None),
        ("psp_errors: {share: 0%}", "read '0%', expected more than 0%"),
        ("psp_wrong_answers: {share: 50%, status: 399}", "read '399', expected the HTTP status of"),
        ("psp_wrong_answers: {share: 50%, status: 599}", None),
        ("psp_errors: {share: 50%, endpoint: foo.bar}", "read 'foo.bar', expected an endpoint of "),
        ("psp_lost_answers: {share: 50%, endpoint: foo*}", "read 'foo*', expected an endpoint of "),
        ("psp_lost_requests: {share: 50%, endpoint: refund}", "read 'refund', expected an endpoi"),
        (
            "psp_lost_requests: {share: 50%, how: hang, hang: 11m}",
            "read '11m', expected 10m at mos",
        ),
        ("psp_slow: {delay: 601s}", "read '601s', expected 10m at most"),
        ("psp_slow: {delay: 1s, endpoint: refunds.create}", None),
        ("psp_slow: {delay: 1s, endpoint: '*'}", None),
    ],
)
def test_what_a_fault_cannot_use_is_told_when_the_scenario_is_loaded(
    tmp_path: Path, fault: str, problem: str | None
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO.replace("FAULT", fault))
    if problem is None:
        assert load_scenario(path).faults
        return
    with pytest.raises(InvalidScenario) as caught:
        load_scenario(path)
    (found,) = caught.value.problems
    assert problem in str(found)
    assert (found.where.line, found.where.column) > (7, 29)  # the value, not the step


def test_the_endpoints_of_rules_are_those_of_the_psp() -> None:
    assert set(ENDPOINTS) == StripeDialect().endpoints


@pytest.mark.parametrize(
    ("name", "parameters", "point", "endpoint", "action"),
    [
        (
            "psp_lost_answers",
            {},
            "after_commit_lost",
            "payment_intents.create",
            {"how": "reset"},
        ),
        (
            "psp_lost_answers",
            {"how": "hang", "hang": Duration(2), "endpoint": "refunds.create"},
            "after_commit_lost",
            "refunds.create",
            {"how": "hang", "hang_ms": 2000},
        ),
        (
            "psp_errors",
            {"status": 503},
            "before_commit",
            "payment_intents.*",
            {"how": "status", "status": 503},
        ),
        (
            "psp_wrong_answers",
            {"store": True},
            "after_commit_wrong",
            "payment_intents.create",
            {"how": "status", "status": 500, "store": True},
        ),
        (
            "psp_lost_requests",
            {},
            "before_commit",
            "payment_intents.*",
            {"how": "reset"},
        ),
        (
            "psp_lost_requests",
            {"how": "hang", "hang": Duration(2), "endpoint": "refunds.create"},
            "before_commit",
            "refunds.create",
            {"how": "hang", "hang_ms": 2000},
        ),
        (
            "psp_slow",
            {"delay": Duration(0.4), "endpoint": "*"},
            "before_commit",
            "*",
            {"how": "delay", "delay_ms": 400},
        ),
    ],
)
def test_faults_of_the_psp(
    environment: FakeEnvironment,
    name: str,
    parameters: dict[str, Any],
    point: str,
    endpoint: str,
    action: dict[str, Any],
) -> None:
    injected, done = inject(environment, name, share=Share(0.3), fault_id=f"{name}.2", **parameters)
    assert injected == [
        {
            "id": f"{name}.2",
            "point": point,
            "match": {"endpoint": endpoint},
            "share": 0.3,
            "action": action,
        }
    ]
    assert done[1:] == ["healed"]


def test_the_psp_may_take_every_refund(environment: FakeEnvironment) -> None:
    injected, done = inject(environment, "psp_unchecked_refunds", fault_id="taken")
    assert injected == [
        {
            "id": "taken",
            "point": "unchecked",
            "match": {"endpoint": "refunds.create"},
            "action": {"how": "accept"},
        }
    ]
    assert done[1:] == ["healed"]


def test_a_slow_psp_is_slow_for_everybody_unless_a_share_is_given(
    environment: FakeEnvironment,
) -> None:
    injected, _ = inject(environment, "psp_slow", delay=Duration(1), fault_id="slow")
    assert injected[0]["share"] == 1


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("crash", "kill", "start"),
        ("pause", "pause", "resume"),
        ("restart", "stop", "start"),
        ("disconnect", "disconnect", "connect"),
    ],
)
def test_faults_of_nodes_reach_every_node_they_name(
    environment: FakeEnvironment, name: str, begin: str, end: str
) -> None:
    injected, done = inject(environment, name, node="service")
    assert injected == [f"{begin} a/service.1", f"{begin} a/service.2"]
    assert sorted(done[2:]) == [f"{end} a/service.1", f"{end} a/service.2"]


@pytest.mark.parametrize(
    ("name", "parameter", "limit", "all_of_it"),
    [
        ("memory_limit", {"limit": Size(64e6)}, "memory 64000000", "memory all"),
        ("cpu_limit", {"share": Share(0.2)}, "cpu 0.2", "cpu all"),
    ],
)
def test_limits_reach_every_node_they_name(
    environment: FakeEnvironment,
    name: str,
    parameter: dict[str, Any],
    limit: str,
    all_of_it: str,
) -> None:
    injected, done = inject(environment, name, node="service", **parameter)
    assert injected == [f"{limit} a/service.1", f"{limit} a/service.2"]
    assert sorted(done[2:]) == [f"{all_of_it} a/service.1", f"{all_of_it} a/service.2"]


@pytest.mark.parametrize("name", ["crash", "pause", "restart", "disconnect"])
def test_a_node_fault_that_fails_half_way_heals_what_it_did(
    environment: FakeEnvironment, name: str
) -> None:
    environment.refuses = "a/service.2"
    with pytest.raises(EnvironmentBroke, match="refuses"):
        inject(environment, name, node="service")
    assert len(environment.done) == 2
    assert all("a/service.1" in each for each in environment.done)


@pytest.mark.parametrize("name", ["crash", "pause", "restart"])
def test_a_node_that_is_not_there_is_an_error(environment: FakeEnvironment, name: str) -> None:
    with pytest.raises(SelectorError, match="matches no node"):
        inject(environment, name, node="b/db")


@pytest.mark.parametrize("member", faults.members(), ids=lambda member: member.name)
def test_every_fault_has_a_claim_evidence_and_a_schema(member: Any) -> None:
    assert member.claim.endswith(".")
    assert callable(member.traits["evidence"])
    assert set(member.traits["needs"]) <= {
        "links",
        "psp_rules",
        "nodes",
        "networks",
        "limits",
        "regions",
    }
    assert "fault_id" not in {field.name for field in parameters_of(member.call)}
