from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from payresil.core import registry
from payresil.core.scenario import Scenario
from payresil.core.system import System
from payresil.core.topology import Topology
from payresil.engine.lints import lint
from payresil.engine.sample_size import phase_seconds
from payresil.engine.scenario_file import InvalidScenario, load_scenario

SCENARIO = """
name: x
claim: y
system: refpay
workload: {rate: 50/s, duration: 40s, journeys: {impatient: 1}, timeout: 2s}
faults:
  - {at: 10s, duration: 8s, lost_answers}
checks:
  - idempotency
  - availability: {steady: 99%}
"""

Load = Callable[..., Scenario]


@pytest.fixture
def load(write: Callable[..., Path]) -> Load:
    def load_changed(old: str = "", new: str = "") -> Scenario:
        assert old in SCENARIO
        return load_scenario(write(SCENARIO.replace(old, new) if old else SCENARIO))

    return load_changed


def test_a_sound_experiment_has_no_warnings(load: Load, system: System, topology: Topology) -> None:
    assert lint(load(), system, topology) == ()


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("at: 10s", "at: 40s", "lost_answers starts at 40s, after the last customer (40s)"),
        ("duration: 8s", "duration: 50s", "lost_answers lasts 50s, longer than the run (40s)"),
        ("duration: 8s", "duration: 31s", "lost_answers goes on until 41s, beyond the last custo"),
        ("duration: 8s", "duration: 28s", "2s of traffic are left after lost_answers heals, too"),
        ("at: 10s", "at: 1s", "lost_answers starts at 1s, so availability have no steady phase"),
        ("impatient", "checkout", "idempotency is checked, but no customer tries again (checkout)"),
        ("50/s", "30/s", "availability cannot decide steady 99%: about 300 payments are due whil"),
        (
            "lost_answers",
            "latency: {link: service->psp, latency: 1s, jitter: 500ms}",
            "customers wait 2s for an answer, longer than every injected delay (at most 1500ms)",
        ),
    ],
)
def test_each_weakness_is_named(
    load: Load, system: System, topology: Topology, old: str, new: str, warning: str
) -> None:
    found = lint(load(old, new), system, topology)
    assert any(warning in line for line in found)
    assert all(line.split(": ")[0].rsplit(":", 2)[0].endswith("scenario.yaml") for line in found)


def test_a_delay_that_a_time_out_notices_is_fine(
    load: Load, system: System, topology: Topology
) -> None:
    scenario = load("lost_answers", "latency: {link: service->psp, latency: 3s}")
    assert lint(scenario, system, topology) == ()


def test_a_delay_that_sets_the_stage_for_another_fault_is_fine(
    load: Load, system: System, topology: Topology
) -> None:
    crash = (
        "latency: {link: service->psp, latency: 1s}}\n  - {at: 12s, duration: 9s, crash: {node: db}"
    )
    assert lint(load("lost_answers", crash), system, topology) == ()


def test_a_fault_on_webhooks_that_nobody_listens_to(
    load: Load, system: System, topology: Topology
) -> None:
    scenario = load("lost_answers", "latency: {link: psp->router, latency: 3s}")
    assert lint(scenario, system, topology) == ()
    (warning,) = lint(scenario, replace(system, webhook_path=None), topology)
    assert "no traffic uses psp->router, so latency cannot bite" in warning


@pytest.mark.parametrize(
    ("first", "second", "alone"),
    [
        ("10s, duration: 8s, crash: {node: db}", "16s, duration: 4s, lost_answers", {}),
        (
            "10s, duration: 8s, crash: {node: db}",
            "10500ms, duration: 8s, lost_answers",
            {"crash": "500ms"},
        ),
        ("10s, duration: 8s, crash: {node: db}", "11s, duration: 8s, lost_answers", {}),
        ("10s, duration: 200ms, crash: {node: db}", "15s, duration: 1s, lost_answers", {}),
        ("10s, duration: 2s, crash: {node: db}", "8s, duration: 1s, lost_answers", {}),
        (
            "10s, duration: 2s, crash: {node: db}",
            "8s, duration: 1100ms, lost_answers",
            {"crash": "900ms"},
        ),
        (
            "10s, duration: 2s, crash: {node: db}",
            "10s, duration: 2s, storm: {links: [psp->router]}",
            {},
        ),
        (
            "10s, duration: 2s, crash: {node: db}",
            "10s, duration: 2s, storm: {links: [service->db]}",
            {"crash": "0s", "storm": "0s"},
        ),
    ],
)
def test_a_fault_that_is_never_alone_cannot_be_told_from_others(
    load: Load,
    system: System,
    topology: Topology,
    first: str,
    second: str,
    alone: dict[str, str],
) -> None:
    found = lint(
        load("10s, duration: 8s, lost_answers}", f"{first}}}\n  - {{at: {second}}}"),
        system,
        topology,
    )
    found = tuple(line for line in found if "at a stretch" in line)
    assert len(found) == len(alone)
    for line, (fault, stretch) in zip(found, alone.items(), strict=True):
        assert f"{fault} is active for {stretch} at a stretch apart from other faults" in line


@pytest.mark.parametrize(
    ("second", "warned"),
    [
        ("{at: 15s, duration: 8s, crash: {node: service.1}}", True),
        ("{at: 8s, duration: 3s, crash: {node: a/service.1}}", True),
        ("{at: 15s, duration: 8s, crash: {node: service.2}}", False),
        ("{at: 18s, duration: 8s, crash: {node: service.1}}", False),
    ],
)
def test_a_node_that_is_held_already_cannot_be_held_again(
    load: Load, system: System, topology: Topology, second: str, warned: bool
) -> None:
    first = "crash: {node: service.1}" if "service.2" in second else "crash: {node: service}"
    found = lint(load("lost_answers}", f"{first}}}\n  - {second}"), system, topology)
    assert any("a/service.1 is held by crash" in line for line in found) == warned


def test_customers_are_no_node_to_be_held(load: Load, system: System, topology: Topology) -> None:
    with pytest.raises(
        InvalidScenario, match=r"yaml:7:5: read 'customers', expected a node of the sys"
    ):
        lint(load("lost_answers", "crash: {node: customers}"), system, topology)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (
            "latency: {link: servce->psp, latency: 3s}",
            "read 'servce->psp', expected a link of this",
        ),
        ("latency: {link: psp->service, latency: 3s}", "expected a link of this topology"),
        (
            "crash: {node: service.9}",
            "read 'service.9', expected a node of this topology: customer",
        ),
        ("crash: {node: b/db}", "read 'b/db', expected a node of this topology"),
        ("storm: {links: [service->psp, x->y]}", "read 'x->y', expected a link of this topology"),
    ],
)
def test_a_selector_that_matches_nothing_is_an_error(
    load: Load, system: System, topology: Topology, fault: str, problem: str
) -> None:
    with pytest.raises(InvalidScenario) as caught:
        lint(load("lost_answers", fault), system, topology)
    (found,) = caught.value.problems
    assert str(found.where).endswith("scenario.yaml:7:5")
    assert problem in str(found)


def test_the_nearest_link_is_offered(load: Load, system: System, topology: Topology) -> None:
    scenario = load("lost_answers", "latency: {link: servce->psp, latency: 3s}")
    with pytest.raises(InvalidScenario, match=r"did you mean service->psp\?"):
        lint(scenario, system, topology)


def test_a_check_that_needs_books_the_system_does_not_show(
    load: Load, system: System, topology: Topology
) -> None:
    scenario = load("- idempotency", "- double_entry")
    assert lint(scenario, system, topology) == ()
    with pytest.raises(InvalidScenario, match="expected the table books_entries under `books`"):
        lint(scenario, replace(system, books={}), topology)


def test_a_check_that_needs_another_topology(
    load: Load, system: System, topology: Topology
) -> None:
    with pytest.raises(InvalidScenario, match="rpo on refpay, expected a topology with a replica"):
        lint(load("- idempotency", "- rpo"), system, topology)


def test_a_journey_that_needs_what_the_system_cannot_do(
    load: Load, system: System, topology: Topology
) -> None:
    scenario = load("journeys: {impatient: 1}", "journeys: {impatient: 1, returns: 2}")
    assert lint(scenario, system, topology) == ()
    operations = {name: system.api.operations[name] for name in ("create", "read")}
    with pytest.raises(InvalidScenario) as caught:
        lint(scenario, replace(system, api=replace(system.api, operations=operations)), topology)
    (found,) = caught.value.problems
    assert str(found.where).endswith("scenario.yaml:5:64")
    assert str(found).endswith(
        "read returns on refpay, expected the operation refund under `api.operations` "
        "in the system file"
    )


def test_a_journey_whose_author_misspelt_a_need(
    load: Load, system: System, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = replace(registry.journeys.get("returns"), traits={"retries": True, "needs": ("refnd",)})
    monkeypatch.setitem(registry.journeys._members, "returns", odd)
    with pytest.raises(InvalidScenario, match=r"not 'refnd' \(did you mean refund\?\)"):
        lint(load("impatient", "returns"), system, topology)


def test_a_check_whose_author_misspelt_a_need(
    load: Load, system: System, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = registry.checkers.get("idempotency")
    odd = replace(member, traits={**member.traits, "needs": ("atempts",)})
    monkeypatch.setitem(registry.checkers._members, "idempotency", odd)
    with pytest.raises(InvalidScenario, match=r"not 'atempts' \(did you mean attempts\?\)"):
        lint(load(), system, topology)


def test_how_long_each_phase_lasts(load: Load) -> None:
    assert phase_seconds(load()) == {"steady": 10.0, "faulted": 8.0, "recovering": 22.0}
    overlapping = load(
        "lost_answers}", "lost_answers}\n  - {at: 15s, duration: 10s, crash: {node: db}}"
    )
    assert phase_seconds(overlapping) == {"steady": 10.0, "faulted": 15.0, "recovering": 15.0}
    late = load("at: 10s", "at: 35s")
    assert phase_seconds(late) == {"steady": 35.0, "faulted": 5.0, "recovering": 0.0}


@pytest.mark.parametrize(
    ("check", "undecided"),
    [
        ("availability: {steady: 99%}", False),
        ("availability: {steady: 99.9%}", True),
        ("availability: {steady: 100%}", False),
        ("availability: {faulted: 50%}", False),
        ("latency: {p50: 1s}", False),
        ("latency: {p99: 1s, phase: faulted}", False),
        ("latency: {p99: 1s, phase: steady}", False),
    ],
)
def test_objectives_that_so_few_payments_cannot_decide(
    load: Load, system: System, topology: Topology, check: str, undecided: bool
) -> None:
    warnings = lint(load("availability: {steady: 99%}", check), system, topology)
    assert any("cannot decide" in warning for warning in warnings) == undecided
