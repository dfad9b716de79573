"""What is of a stack is told from what others have under the name of the same project."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from payresil.backends.containers.belonging import STACK, Project, Thing, mark_of

LABEL = "com.docker.compose.project"
MARK = "reference"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "docker-compose.yml").touch()
    return tmp_path / "docker-compose.yml"


def thing(name: str, mark: str | None = None) -> Thing:
    """A network or volume."""
    return SimpleNamespace(name=name, attrs={"Labels": {STACK: mark} if mark else None})


def container(name: str, files: str, mark: str | None = None, uses: Iterable[str] = ()) -> Thing:
    labels = {f"{LABEL}.config_files": files, f"{LABEL}.working_dir": str(Path(files).parent)}
    attrs = {
        "Config": {"Labels": labels | ({STACK: mark} if mark else {})},
        "NetworkSettings": {"Networks": {one: {} for one in uses}},
        "Mounts": [{"Type": "bind", "Source": "/x"}, *({"Name": one} for one in uses)],
    }
    return SimpleNamespace(name=name, attrs=attrs)


def strangers(file: Path, mark: str | None, *things: list[Thing]) -> list[str]:
    containers, networks, volumes = (*things, [], [], [])[:3]
    return list(Project(containers, networks, volumes).strangers(file, mark))


def test_what_bears_the_mark_is_of_the_stack(file: Path) -> None:
    ours = [thing("p_default", MARK)], [thing("p_database", MARK)]
    assert strangers(file, MARK, [container("p_db_1", str(file), MARK)], *ours) == []
    assert strangers(file, MARK, [], *ours) == []  # they stay when the containers go


def test_networks_and_volumes_without_it_are_of_somebody_else(file: Path) -> None:
    theirs = [thing("p_default")], [thing("p_database")]
    found = ["the network p_default", "the volume p_database"]
    assert strangers(file, MARK, [], *theirs) == found
    assert strangers(file, MARK, [container("p_db_1", str(file), MARK)], *theirs) == found


def test_containers_of_another_file_are_of_somebody_else(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "compose.yaml"
    other.touch()
    found = [f"the container p_shop_1 (of {other})"]
    assert strangers(file, MARK, [container("p_shop_1", str(other))]) == found
    assert strangers(file, MARK, [container("p_shop_1", str(other), MARK)]) == found
    both = f"{file},{other}"
    assert strangers(file, MARK, [container("p_shop_1", both)]) == [
        f"the container p_shop_1 (of {file}, {other})"
    ]
    unknown = SimpleNamespace(name="p_shop_1", attrs={"Config": {"Labels": None}})
    assert strangers(file, MARK, [unknown]) == ["the container p_shop_1"]


def test_one_of_somebody_else_makes_nothing_its_own(file: Path) -> None:
    theirs = container("p_shop_1", "/gone/compose.yaml", uses=["p_default", "p_database"])
    assert strangers(file, MARK, [theirs], [thing("p_default")], [thing("p_database")]) == [
        "the container p_shop_1 (of /gone/compose.yaml)",
        "the network p_default",
        "the volume p_database",
    ]


def test_a_stack_that_an_older_version_made_without_marks_is_known_by_its_file(
    file: Path,
) -> None:
    older = container("p_db_1", str(file), uses=["p_default", "p_database"])
    assert strangers(file, MARK, [older], [thing("p_default")], [thing("p_database")]) == []


def test_one_from_an_installation_that_is_gone_can_still_be_taken_down(file: Path) -> None:
    gone = "/gone/docker-compose.yml"
    assert strangers(file, MARK, [container("p_db_1", gone, MARK)]) == []
    assert strangers(file, MARK, [container("p_db_1", gone)]) != []


def test_files_are_found_that_are_named_from_their_folder(file: Path) -> None:
    attrs = container("p_db_1", str(file)).attrs
    attrs["Config"]["Labels"][f"{LABEL}.config_files"] = "./docker-compose.yml"
    assert strangers(file, MARK, [SimpleNamespace(name="p_db_1", attrs=attrs)]) == []


def test_a_file_without_marks_has_what_bears_none(file: Path) -> None:
    own = [thing("p_default")], [thing("p_database")]
    assert strangers(file, None, [container("p_db_1", str(file))], *own) == []
    assert strangers(file, None, [], *own) == []
    assert strangers(file, None, [], [], [thing("p_database", MARK)]) == ["the volume p_database"]


def test_the_mark_of_a_file_is_that_of_its_services() -> None:
    services = {"a": {}, "b": {"labels": None}, "c": {"labels": {STACK: MARK}}}
    assert mark_of({"services": services}) == MARK
    assert mark_of({"services": {"a": {"labels": {"x": "y"}}}}) is None
