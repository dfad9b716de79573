"""System files of two regions, and files that say only in what they differ from another one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from payresil.core.problems import InvalidScenario
from payresil.core.system import Lease, Regions, System
from payresil.engine.system_file import check_start, list_flaws, load_system, system_path

BASE = """\
name: mine
reference_field: order
service:
  command: [./serve, --port, "{port}"]
  environment: {DB: "{database_url}", LOG: info}
  ready: /ready
  folder: here
api:
  operations:
    create: {request: POST /pay}
    read: {request: "GET /pay/{payment}"}
"""

REGIONS = """\
name: mine-twice
based_on: base.yaml
regions: {active: north, standby: south}
service:
  alive: /alive
  environment: {WITNESS: "{witness_url}"}
lease: {schema: create, state: select 1, take: select $1, history: select 2}
snapshots: {snapshots: select 1, commits: select 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "regions.yaml").write_text(REGIONS)
    return tmp_path


def refused(path: Path) -> list[str]:
    with pytest.raises(InvalidScenario) as caught:
        load_system(path)
    return [str(each).removeprefix(f"{path.parent}/") for each in caught.value.problems]


def changed(folder: Path, old: str, new: str) -> Path:
    assert old in REGIONS
    path = folder / "regions.yaml"
    path.write_text(REGIONS.replace(old, new))
    return path


# --- based on another file -------------------------------------------------------------------


def test_mappings_are_merged_key_by_key_and_the_rest_is_replaced(folder: Path) -> None:
    system = load_system(folder / "regions.yaml")
    assert system.name == "mine-twice"
    assert system.reference_field == "order"
    assert system.regions == Regions("north", "south")
    assert system.lease == Lease("create", "select 1", "select $1", "select 2")
    assert system.service.ready == "/ready"
    assert system.service.alive == "/alive"
    assert system.service.environment == {
        "DB": "{database_url}",
        "LOG": "info",
        "WITNESS": "{witness_url}",
    }
    assert set(system.api.operations) == {"create", "read"}


def test_a_list_is_replaced_as_a_whole(folder: Path) -> None:
    text = REGIONS.replace("service:\n", "service:\n  command: [./other]\n")
    (folder / "regions.yaml").write_text(text)
    assert load_system(folder / "regions.yaml").service.command == ("./other",)


def test_the_base_stays_as_it_was(folder: Path) -> None:
    before = load_system(folder / "base.yaml")
    load_system(folder / "regions.yaml")
    assert load_system(folder / "base.yaml") == before
    assert before.regions is None


def test_a_path_belongs_to_the_file_that_gives_it(folder: Path) -> None:
    deeper = folder / "deeper"
    (deeper / "there").mkdir(parents=True)
    path = deeper / "regions.yaml"
    path.write_text(REGIONS.replace("base.yaml", "../base.yaml"))
    assert load_system(path).service.folder == str(folder / "here")
    path.write_text(path.read_text().replace("  alive: /alive", "  folder: there"))
    assert load_system(path).service.folder == str(deeper / "there")


def test_a_problem_has_the_place_of_the_file_that_says_it(folder: Path) -> None:
    (folder / "base.yaml").write_text(BASE.replace("ready: /ready", "ready: ready"))
    path = changed(folder, "alive: /alive", "alive: alive")
    assert refused(path) == [
        "base.yaml:6:10: read 'ready', expected a path such as /readyz",
        "regions.yaml:5:10: read 'alive', expected a path such as /readyz",
    ]


def test_an_unknown_key_of_the_base_has_its_place(folder: Path) -> None:
    (folder / "base.yaml").write_text(BASE + "wrong: 1\n")
    (found,) = refused(folder / "regions.yaml")
    assert found.startswith("base.yaml:12:1: read the key 'wrong'")


def test_the_word_means_nothing_deeper_in_a_file(folder: Path) -> None:
    path = changed(folder, "environment: {", "environment: {based_on: base.yaml, ")
    assert load_system(path).service.environment["based_on"] == "base.yaml"


def test_three_layers(folder: Path) -> None:
    path = folder / "third.yaml"
    path.write_text("name: third\nbased_on: regions.yaml\nservice: {environment: {LOG: debug}}\n")
    system = load_system(path)
    assert (system.name, system.service.environment["LOG"]) == ("third", "debug")
    assert system.service.environment["WITNESS"] == "{witness_url}"
    assert system.service.alive == "/alive"


@pytest.mark.parametrize("base", ["gone.yaml", "refpai"])
def test_a_base_that_there_is_not(folder: Path, base: str) -> None:
    found = refused(changed(folder, "base.yaml", base))
    assert any(each.startswith(f"regions.yaml:2:11: read '{base}'") for each in found)
    assert not any("the key 'based_on'" in each for each in found)


@pytest.mark.parametrize(
    ("first", "second"), [("regions.yaml", "base.yaml"), ("./regions.yaml", "")]
)
def test_a_file_based_on_itself_is_refused(folder: Path, first: str, second: str) -> None:
    path = changed(folder, "based_on: base.yaml", f"based_on: {second or first}")
    (folder / "base.yaml").write_text(BASE + f"based_on: {first}\n")
    assert any("a file that is not based on this" in each for each in refused(path))


@pytest.mark.parametrize("base", ["[base.yaml]", "{base: yaml}", "''", "~"])
def test_a_base_that_is_no_name_is_refused_with_its_place(folder: Path, base: str) -> None:
    found = refused(changed(folder, "base.yaml", base))
    assert any(each.startswith("regions.yaml:2:11: read ") for each in found), found
    assert not any("the key 'based_on'" in each for each in found)


# --- what two regions need -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (REGIONS.splitlines()[-2], "", "3:10: read no lease, expected lease, the SQL"),
        (REGIONS.splitlines()[-1], "", "3:10: read no snapshots, expected snapshots, a SELECT for"),
        ("snapshots: {snap", "snapshots: {snip", "8:13: read the key 'snipshots', expected one of"),
        ("standby: south", "standby: north", "3:35: read 'north', expected another region than `a"),
        ("active: north", "active: w", "3:19: read 'w', expected a short name in lower case, and"),
        ("active: north", "active: North", "3:19: read 'North', expected a short name"),
        ("active: north", "active: a/b", "3:19: read 'a/b', expected a short name"),
        ("active: north", "active: ''", "3:19: read '', expected a short name"),
        ("take: select $1", "take: select 1", "7:48: read no $1, expected $1, which stands for"),
        ("schema: create", "schema: ' '", "7:17: read nothing, expected SQL over the witness's"),
        ("alive: /alive", "alive: alive", "5:10: read 'alive', expected a path"),
    ],
)
def test_what_regions_need_is_named(folder: Path, old: str, new: str, problem: str) -> None:
    found = refused(changed(folder, old, new))
    assert any(each.startswith(f"regions.yaml:{problem}") for each in found), found


def test_a_misspelt_snapshot_names_the_nearest(folder: Path) -> None:
    (found,) = refused(changed(folder, "commits: ", "commit: "))
    assert found.endswith("(did you mean commits?)")


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("lease: {schema: s, state: s, take: $1, history: h}", "the key lease, expected lease onl"),
        ("snapshots: {commits: select 1}", "the key snapshots, expected snapshots only together"),
        ("replication: quorum", "quorum, expected replication only together with regions: {act"),
        ("epoch_header: X-Epoch", "the key epoch_header, expected epoch_header only together"),
    ],
)
def test_what_is_of_regions_is_refused_without_them(folder: Path, added: str, problem: str) -> None:
    (folder / "base.yaml").write_text(BASE + added + "\n")
    (found,) = refused(folder / "base.yaml")
    assert found.startswith("base.yaml:12:")
    assert f"read {problem}" in found


def test_the_witness_is_known_only_where_there_is_one(folder: Path) -> None:
    path = folder / "base.yaml"
    path.write_text(BASE.replace("{database_url}", "{witness_url}"))
    (found,) = refused(path)
    assert found.startswith("base.yaml:5:21: read {witness_url}, expected one of {python}")


def test_regions_are_started_by_a_command(folder: Path) -> None:
    image = BASE.replace('command: [./serve, --port, "{port}"]', "image: shop\n  port: 80")
    (folder / "base.yaml").write_text(image.replace("  folder: here\n", ""))
    found = refused(folder / "regions.yaml")
    assert found == [
        "base.yaml:4:3: read the key image, expected a command: payresil starts both regions as "
        "processes"
    ]


def test_regions_need_a_database(folder: Path) -> None:
    text = BASE.replace('DB: "{database_url}", ', "") + "needs: {database: none}\n"
    (folder / "base.yaml").write_text(text)
    (found,) = refused(folder / "regions.yaml")
    assert found.startswith("base.yaml:12:19: read none, expected postgresql")


# --- which backend ---------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["docker", "attach"])
def test_two_regions_start_as_processes_only(folder: Path, backend: str) -> None:
    path = folder / "regions.yaml"
    with pytest.raises(InvalidScenario) as caught:
        check_start(str(path), load_system(path), backend)
    assert str(caught.value) == (
        f"{path}:3:1: read two regions, which the backend {backend} cannot start, expected the "
        "option --backend process, or a system of one region"
    )
    check_start(str(path), load_system(path), "process")


def test_the_place_is_that_of_the_base_that_has_the_regions(folder: Path) -> None:
    path = folder / "third.yaml"
    path.write_text("name: third\nbased_on: regions.yaml\n")
    with pytest.raises(InvalidScenario, match=r"regions\.yaml:3:1: read two regions"):
        check_start(str(path), load_system(path), "docker")


# --- the one that comes along ----------------------------------------------------------------


@pytest.fixture
def refpay() -> System:
    return load_system("refpay-two-regions")


def test_the_reference_service_in_two_regions(refpay: System) -> None:
    assert refpay.regions == Regions("a", "b")
    assert refpay.replication == "asynchronous"
    assert refpay.service.environment["WITNESS_URL"] == "{witness_url}"
    one = load_system("refpay")
    assert refpay.api == one.api
    assert refpay.books == one.books


def test_it_has_flaws_of_the_service_and_of_its_operators(refpay: System) -> None:
    flaws = list_flaws(refpay)
    assert "promote-a-lagging-standby" in flaws
    assert set(list_flaws(load_system("refpay"))) < set(flaws)


def test_its_witness_is_the_one_that_the_service_is_tried_with(refpay: System) -> None:
    assert refpay.lease is not None
    script = (files("payresil.refpay.lease") / "witness.sql").read_text(encoding="utf-8")
    assert refpay.lease.schema.strip() == script.strip()


def test_it_says_only_in_what_it_differs() -> None:
    path, base = system_path("refpay-two-regions"), system_path("refpay")
    assert path is not None
    assert base is not None
    ours, theirs = (yaml.safe_load(each.read_text()) for each in (path, base))
    assert not list(_said_twice(ours, theirs))


def _said_twice(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    same = [key for key in ours if key in theirs and ours[key] == theirs[key]]
    inner = [
        key
        for key in ours
        if isinstance(ours[key], dict)
        and isinstance(theirs.get(key), dict)
        and _said_twice(ours[key], theirs[key])
    ]
    return [*same, *inner]
