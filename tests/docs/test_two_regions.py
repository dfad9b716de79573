"""What the page on two regions shows and names is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from payresil.core import registry
from payresil.core.schema import parameters_of
from payresil.core.schemas import SCHEMAS
from payresil.core.system import Lease
from payresil.engine.keeping import OWN_COLUMNS, SNAPSHOT_TABLES
from payresil.engine.scenario_file import load_scenario
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "two-regions.md").read_text()
SYSTEM = load_system("refpay-two-regions")
SCENARIOS = {
    file.stem: scenario
    for file in sorted((ROOT / "scenarios" / "rehearsal").glob("*.yaml"))
    if (scenario := load_scenario(file)).system.name == SYSTEM.name
}
FAULTS = [
    name
    for name in registry.faults.names()
    if "regions" in registry.faults.get(name).traits["needs"]
]
FLAWS = [
    flaw
    for flaw, exposure in SYSTEM.service.exposed_by.items()
    if Path(exposure.scenario).stem in SCENARIOS
]


def rows(first: str) -> list[str]:
    """Rows of tables whose first cell begins so."""
    return re.findall(rf"^\| {re.escape(first)}.*$", PAGE, re.MULTILINE)


def test_the_scenario_shown_is_the_file() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown == (ROOT / "scenarios" / "rehearsal" / "region-loss-sync.yaml").read_text()


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_regions_is_told_with_what_it_is_given(name: str) -> None:
    assert any(rows(f"`{name}: {{")), name


@pytest.mark.parametrize("name", registry.remedies.names())
def test_every_remedy_is_told_with_its_parameters(name: str) -> None:
    told = rows(f"`{name}: {{")
    assert len(told) == 1
    for field in parameters_of(registry.remedies.get(name).call):
        assert f"{field.name}: " in told[0]
    for step in re.findall(r"\*\*(\w+)", told[0]):
        assert step in (registry.remedies.get(name).call.__doc__ or "")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_told_with_its_replication(name: str) -> None:
    (told,) = rows(f"{name} |")
    replication = SCENARIOS[name].system.replication or SYSTEM.replication
    assert told.split(" | ")[1].startswith(replication)


@pytest.mark.parametrize("flaw", FLAWS)
def test_every_flaw_of_regions_is_told_with_what_catches_it(flaw: str) -> None:
    exposure = SYSTEM.service.exposed_by[flaw]
    (told,) = rows(f"`{flaw}` |")
    assert f"| `{exposure.check}` | {Path(exposure.scenario).stem} |" in told


def test_every_key_of_the_system_file_is_told() -> None:
    for name in Lease.__dataclass_fields__:
        assert rows(f"`lease.{name}` |")
    for name in SNAPSHOT_TABLES:
        (told,) = rows(f"`snapshots.{name}` |")
        for column in set(SCHEMAS[name].names) - set(OWN_COLUMNS):
            assert re.search(rf"\b{column}\b", told), column
    for name in ("regions", "replication", "epoch_header", "service.alive"):
        assert rows(f"`{name}")


def test_there_are_as_many_links_as_it_says() -> None:
    (said,) = re.findall(r"There are (\d+), listed", PAGE)
    assert int(said) == len(topology_of(SYSTEM).links)


@pytest.mark.parametrize("file", re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE))
def test_every_link_leads_somewhere(file: str) -> None:
    assert (ROOT / "docs" / file).exists()


@pytest.mark.parametrize("file", re.findall(r"payresil run (\S+)", PAGE))
def test_every_scenario_that_is_run_is_there(file: str) -> None:
    assert (ROOT / file).is_file()
