"""Faults and remedies of regions: refused where they cannot work, with the place that says it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from payresil.core.problems import InvalidScenario
from payresil.core.scenario import Scenario
from payresil.engine.explain import explain
from payresil.engine.lints import lint
from payresil.engine.plan_digest import plan_digest
from payresil.engine.scenario_file import load_scenario
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

SCENARIO = """\
name: x
claim: y
system: refpay-two-regions
workload: {rate: 50/s, duration: 40s, journeys: {checkout: 1, impatient: 1}, timeout: 2s}
faults:
  - {at: 10s, duration: 8s, region_loss: {region: a}}
remedies:
  - {at: 0s, failover: {to: b}}
checks:
  - idempotency
  - recovery: {rto: 15s}
"""

Load = Callable[..., Scenario]


@pytest.fixture(autouse=True, scope="module")
def own_members() -> None:
    """Here the real faults, remedies and checkers are named."""


@pytest.fixture
def load(write: Callable[..., Path]) -> Load:
    def load_changed(*changes: tuple[str, str]) -> Scenario:
        text = SCENARIO
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return load_scenario(write(text))

    return load_changed


def warnings(scenario: Scenario) -> tuple[str, ...]:
    system = load_system(scenario.system.name)
    return lint(scenario, system, topology_of(system))


def problems(scenario: Scenario) -> list[str]:
    """Without the folder of the file."""
    with pytest.raises(InvalidScenario) as caught:
        warnings(scenario)
    return [f"{each.where}: {each}".rsplit("/", 1)[-1] for each in caught.value.problems]


def test_a_sound_rehearsal_has_no_warnings(load: Load) -> None:
    assert warnings(load()) == ()


def test_remedies_and_faults_of_regions_need_regions(load: Load) -> None:
    found = problems(load(("system: refpay-two-regions", "system: refpay")))
    assert found == [
        "scenario.yaml:6:5: read region_loss on refpay, expected a system of several regions",
        "scenario.yaml:8:5: read failover on refpay, expected a system of several regions",
    ]


@pytest.mark.parametrize(
    "fault",
    [
        "replication_lag: {standby: db, delay: 1s}",
        "replication_pause: {standby: db}",
        "region_partition: {region: a, others: [b]}",
        "standby_loss: {node: db}",
        "archive_loss",
        "witness_loss",
    ],
)
def test_every_fault_of_regions_is_refused_where_there_is_one(load: Load, fault: str) -> None:
    changes = ("system: refpay-two-regions", "system: refpay"), ("region_loss: {region: a}", fault)
    (found, _) = problems(load(*changes))
    assert found.startswith("scenario.yaml:6:5: read ")
    assert f"{fault.split(':')[0]} on refpay, expected a system of several regions" in found


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("region: a", "region: c", "6:5: read 'c', expected a region: a, b, w"),
        (
            "region_loss: {region: a}",
            "region_partition: {region: a, others: [bb]}",
            "6:5: read 'bb', expected a region, or what is outside of any: a, b, operator, psp, "
            "router, w",
        ),
        (
            "region_loss: {region: a}",
            "region_partition: {region: a, others: [b, ruter, psp]}",
            "6:5: read 'ruter', expected a region, or what is outside of any: a, b, operator, psp, "
            "router, w (did you mean router?)",
        ),
        ("to: b", "to: z", "8:5: read 'z', expected a region that takes payments: a, b"),
        ("to: b", "to: w", "8:5: read 'w', expected a region that takes payments: a, b"),
        (
            "failover: {to: b}",
            "deploy: {region: w}",
            "8:5: read 'w', expected a region that takes payments: a, b",
        ),
        ("failover: {to: b}", "failback: {to: q}", "8:5: read 'q', expected a region that takes"),
    ],
)
def test_a_region_that_there_is_not(load: Load, old: str, new: str, problem: str) -> None:
    (found,) = problems(load((old, new)))
    assert problem in found


def test_a_partition_needs_a_link_to_cut(load: Load) -> None:
    fault = "region_partition: {region: w, others: [psp, router]}"
    (found,) = problems(load(("region_loss: {region: a}", fault)))
    assert found == (
        "scenario.yaml:6:5: read psp, router, to which region w has no link, "
        "expected others that it has links to: a, b, operator"
    )


def test_one_link_is_enough_for_a_partition(load: Load) -> None:
    fault = "region_partition: {region: w, others: [psp, a]}"
    assert warnings(load(("region_loss: {region: a}", fault))) == ()


ACTIVE = (
    "read failover to a, which takes payments at 0s, expected another region, or a later time "
    "than that of a remedy that leads to another one"
)


@pytest.mark.parametrize(
    ("remedies", "places"),
    [
        ("{at: 0s, failover: {to: a}}", ["8:5"]),
        ("{at: 0s, failover: {to: a}}\n  - {at: 9s, failover: {to: b}}", ["8:5"]),
        ("{at: 0s, failover: {to: b}}\n  - {at: 0s, failover: {to: a}}", ["9:5"]),
        ("{at: 0s, failover: {to: b}}\n  - {at: 1s, failover: {to: a}}", []),
        ("{at: 1s, failover: {to: a}}\n  - {at: 0s, failover: {to: b}}", []),
        ("{at: 0s, failback: {to: b}}\n  - {at: 5s, failover: {to: a}}", []),
    ],
)
def test_the_first_failover_is_not_to_the_region_that_takes_payments(
    load: Load, remedies: str, places: list[str]
) -> None:
    scenario = load(("{at: 0s, failover: {to: b}}", remedies))
    if not places:
        assert warnings(scenario) == ()
        return
    assert problems(scenario) == [f"scenario.yaml:{place}: {ACTIVE}" for place in places]


@pytest.mark.parametrize(
    ("restore", "most"),
    [
        ("{at: 10s, restore: {ago: 1h}}", "12s"),
        ("{at: 0s, restore: {ago: 2001ms}}", "2s"),
        ("{at: 1s, confirm: 3s, restore: {ago: 7s}}", "6s"),
        ("{at: 10s, restore: {ago: 12s}}", None),
        ("{at: 1s, confirm: 3s, restore: {ago: 6s}}", None),
        ("{at: 0s, restore}", None),
    ],
)
def test_nothing_is_restored_to_before_there_was_a_backup(
    load: Load, restore: str, most: str | None
) -> None:
    both = f"{{at: 0s, failover: {{to: b}}}}\n  - {restore}"
    scenario = load(("{at: 0s, failover: {to: b}}", both))
    if most is None:
        assert warnings(scenario) == ()
        return
    (found,) = problems(scenario)
    assert found.startswith("scenario.yaml:9:5: read ago ")
    assert found.endswith(
        f"when the system has run for {most}, expected at most {most}, or a later restore"
    )


@pytest.mark.parametrize(
    ("fault", "read"),
    [
        ("standby_loss: {node: a/db}", "a/db"),
        ("standby_loss: {node: db}", "db"),
        ("replication_pause: {standby: a/db}", "a/db"),
        ("replication_lag: {standby: a/service.1, delay: 1s}", "a/service.1"),
    ],
)
def test_a_standby_is_no_primary_and_no_other_node(load: Load, fault: str, read: str) -> None:
    with pytest.raises(InvalidScenario) as caught:
        warnings(load(("region_loss: {region: a}", fault)))
    assert str(caught.value.problems[-1]).endswith(
        f"read {read!r}, expected a standby, a/db.2, b/db; for a/db, the primary, crash, partition "
        "or latency"
    )


@pytest.mark.parametrize(
    "fault", ["standby_loss: {node: b/db}", "replication_pause: {standby: b/db}"]
)
def test_a_standby_is_one(load: Load, fault: str) -> None:
    assert warnings(load(("region_loss: {region: a}", fault))) == ()


@pytest.mark.parametrize(
    ("fault", "only"), [("archive_loss", "w/archive"), ("witness_loss", "w/witness")]
)
def test_there_is_one_archive_and_one_witness(load: Load, fault: str, only: str) -> None:
    with pytest.raises(InvalidScenario, match=f"expected {only}, or leave it out"):
        load(("region_loss: {region: a}", f"{fault}: {{node: a/db}}"))
    assert warnings(load(("region_loss: {region: a}", f"{fault}: {{node: {only}}}"))) == ()


def test_the_third_place_can_be_lost(load: Load) -> None:
    assert warnings(load(("region: a", "region: w"))) == ()


def test_a_name_that_no_region_can_have_is_refused_when_it_is_read(load: Load) -> None:
    with pytest.raises(InvalidScenario, match="8:29: read 'B!', expected the name of a region suc"):
        load(("to: b", "to: B!"))


def test_all_that_cannot_work_is_told_at_once(load: Load) -> None:
    changes = ("region: a", "region: c"), ("to: b", "to: w")
    assert len(problems(load(*changes))) == 2


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("at: 0s", "at: 40s", ":8:5: failover starts at 40s, after the last customer (40s)"),
        (
            "failover: {to: b}",
            "degrade_to_async",
            ":6:5: region_loss takes region a, which takes the payments, and no failover has "
            "region b take over",
        ),
        (
            "rto: 15s",
            "rto: 1s",
            ":11:5: recovery wants rto 1s, and failover is decided 1s after the failure",
        ),
        ("at: 0s, ", "at: 0s, confirm: 20s, ", "rto 15s, and failover is decided 21s after the"),
    ],
)
def test_what_would_prove_nothing_is_warned_of(
    load: Load, old: str, new: str, warning: str
) -> None:
    (found,) = warnings(load((old, new)))
    assert warning in found


@pytest.mark.parametrize(
    "change",
    [
        ("at: 0s", "at: 39s"),
        ("rto: 15s", "rto: 1500ms"),
        ("at: 0s, ", "at: 0s, confirm: 13s, "),
        ("region: a}}", "region: b}}"),
    ],
)
def test_what_may_prove_something_is_not(load: Load, change: tuple[str, str]) -> None:
    assert warnings(load(change)) == ()


def test_the_loss_of_the_other_region_needs_no_failover(load: Load) -> None:
    assert (
        warnings(load(("region: a", "region: b"), ("at: 0s, failover: {to: b}", "at: 9s, restore")))
        == ()
    )


def test_a_standby_fault_tells_of_itself_beside_others(load: Load) -> None:
    also = (
        "region_loss: {region: a}}\n  - {at: 10s, duration: 8s, replication_pause: {standby: b/db}}"
    )
    assert warnings(load(("region_loss: {region: a}}", also))) == ()


def test_nobody_needs_to_wait_for_a_slow_standby(load: Load) -> None:
    slow = "replication_lag: {standby: b/db, delay: 1s}"
    assert warnings(load(("region_loss: {region: a}", slow))) == ()


# --- what is explained, and what is replayed -------------------------------------------------


def explained(scenario: Scenario) -> list[str]:
    system = load_system(scenario.system.name)
    return explain(scenario, system, topology_of(system)).splitlines()


def test_remedies_are_explained(load: Load) -> None:
    second = "failover: {to: b}}\n  - {at: 20s, confirm: 4s, failover: {to: a, detect_after: 3s}}"
    lines = explained(load(("failover: {to: b}}", second)))
    assert "Regions   a takes payments, b stands by; asynchronous replication" in lines
    at = lines.index("  at 0s, automatic: failover (to b, detect_after 1s)")
    assert lines[at + 1] == (
        "      The region `to` takes over when the active one has not served for `detect_after`."
    )
    assert (
        lines[at + 2]
        == "  at 20s, confirmed by a person after 4s: failover.2 (to a, detect_after 3s)"
    )
    assert any(line.endswith("~ recovering  : remedy, on watch or at work") for line in lines)
    assert all(line == line.rstrip() for line in lines)
    assert max(map(len, lines)) <= 100


def test_a_remedy_is_on_watch_from_its_time_to_the_end(load: Load) -> None:
    late = "failover: {to: b}}\n  - {at: 99s, restore}\n  - {at: 10s, failback: {to: a}}"
    lines = explained(load(("failover: {to: b}}", late)))
    rows = {
        name: next(line for line in lines if line.startswith(f"  {name} "))
        for name in ("region_loss", "failover", "failback", "restore")
    }
    assert abs(rows["failback"].index(":") - rows["region_loss"].index("#")) <= 1
    assert rows["failover"].index(":") < rows["failback"].index(":")
    assert rows["restore"].count(":") == 1
    assert len({len(rows[name]) for name in ("failover", "failback", "restore")}) == 1


def test_without_remedies_nothing_is_said_of_them(load: Load) -> None:
    text = "\n".join(explained(load(("remedies:\n  - {at: 0s, failover: {to: b}}\n", ""))))
    assert "remedy" not in text


def test_a_plan_has_a_digest_of_its_remedies_only_where_there_are_some(load: Load) -> None:
    without = plan_digest(load(("remedies:\n  - {at: 0s, failover: {to: b}}\n", "")))
    assert set(without) == {"seed", "arrivals", "faults"}
    plain = plan_digest(load())
    assert {name: plain[name] for name in without} == without
    digests = {
        plan_digest(load(change))["remedies"]
        for change in (
            ("at: 0s", "at: 0s"),
            ("at: 0s", "at: 1s"),
            ("at: 0s,", "at: 0s, confirm: 0s,"),
            ("to: b}", "to: a}"),
            ("to: b}", "to: b, detect_after: 2s}"),
            ("failover:", "failback:"),
        )
    }
    assert len(digests) == 6
    assert plan_digest(load()) == plain


def test_the_digest_of_faults_is_what_it_was_before_there_were_remedies(load: Load) -> None:
    written = '[["region_loss", "region_loss", "10s", "8s", {"how": "dies", "region": "a"}]]'
    assert plan_digest(load())["faults"] == hashlib.sha256(written.encode()).hexdigest()


def test_data_loss_without_an_objective_says_what_is_missing(load: Load) -> None:
    with pytest.raises(InvalidScenario, match="read no rpo, expected at least one objective: rpo"):
        load(("recovery: {rto: 15s}", "data_loss"))
