"""``payresil up`` and ``payresil down``, as far as they come without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from payresil.backends.containers.belonging import STACK, Project
from payresil.backends.containers.compose import find_compose
from payresil.backends.containers.settings import OFFICIAL, OWN, OWN_IMAGE, WATCHING, read_settings
from payresil.cli import main
from payresil.core.protocols import EnvironmentBroke
from payresil.engine import stack
from payresil.engine.refusal import Refusal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine listens where one is looked for."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


def program(folder: Path, name: str, body: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("command", ["up", "down"])
def test_without_an_engine_it_says_so(command: str) -> None:
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 4
    assert "no Docker engine answers: start one, or set DOCKER_HOST" in result.output
    assert "Traceback" not in result.output


def test_without_compose_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentBroke, match=r"there is no Docker Compose: install the plugin"):
        find_compose()


def test_the_plugin_is_taken_before_the_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "docker", "exit 1")  # Docker without the plugin
    program(tmp_path, "docker-compose", "exit 0")
    assert find_compose() == ("docker-compose",)
    program(tmp_path, "docker", "exit 0")
    assert find_compose() == ("docker", "compose")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The project that an engine, which has nothing of it, is asked for."""
    asked: list[str] = []

    def nothing(_: object, project: str) -> Project:
        asked.append(project)
        return Project([], [], [])

    monkeypatch.setattr("payresil.backends.containers.engine.connect", lambda: None)
    monkeypatch.setattr("payresil.backends.containers.compose.find_compose", lambda: ("no",))
    monkeypatch.setattr(stack, "_found", nothing)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "a-teams-own")
    monkeypatch.delenv("PAYRESIL_PROJECT", raising=False)
    return asked


@pytest.mark.parametrize(
    ("options", "setting", "project"),
    [
        ([], None, "payresil"),
        ([], "", "payresil"),
        ([], "rehearsal", "rehearsal"),
        (["--project", "mine"], "rehearsal", "mine"),
    ],
)
def test_the_project_is_named_for_payresil_and_never_by_what_names_a_teams(
    monkeypatch: pytest.MonkeyPatch,
    engine: list[str],
    options: list[str],
    setting: str | None,
    project: str,
) -> None:
    if setting is not None:
        monkeypatch.setenv("PAYRESIL_PROJECT", setting)
    result = CliRunner().invoke(main, ["down", "--volumes", *options])
    assert result.output == f"nothing of the stack {project} is there\n"
    assert engine == [project]


@pytest.mark.parametrize("name", ["Shop", "-x", "a b", "a/b"])
@pytest.mark.parametrize("command", ["up", "down"])
def test_a_name_that_no_project_can_have_is_refused(
    engine: list[str], command: str, name: str
) -> None:
    result = CliRunner().invoke(main, [command, f"--project={name}"])
    assert result.exit_code == 2
    assert f"{name!r} (--project) is no name of a compose project" in result.output
    assert engine == []


def test_all_that_the_file_describes_bears_the_mark_of_the_stack() -> None:
    file = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for kind in ("services", "networks", "volumes"):
        for name, described in file[kind].items():
            assert described["labels"] == {STACK: "reference"}, name
    used = {volume.partition(":")[0] for service in file["services"].values()
            for volume in service.get("volumes", [])}  # fmt: skip
    assert {name for name in used if not name.startswith(".")} == set(file["volumes"])


def test_a_checkout_brings_its_own_file() -> None:
    assert stack.stack_file() == ROOT / "docker-compose.yml"


def test_an_installed_package_brings_the_file_with_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "site-packages" / "payresil"
    (package / "stack" / "containers" / "stack").mkdir(parents=True)
    (package / "stack" / "docker-compose.yml").touch()
    monkeypatch.setattr(stack.payresil, "__file__", str(package / "__init__.py"))
    assert stack.stack_file() == package / "stack" / "docker-compose.yml"


def test_an_installation_without_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stack.payresil, "__file__", str(tmp_path / "a" / "payresil" / "x.py"))
    with pytest.raises(Refusal, match="name one with --file"):
        stack.stack_file()


def test_the_defaults_of_the_file_are_those_of_the_backend() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    defaults = {**OFFICIAL, **WATCHING, OWN: OWN_IMAGE}
    wanted = {f"${{{name}:-{image}}}" for name, image in defaults.items()}
    assert {service["image"] for service in services.values()} == wanted


def test_the_image_that_plays_all_parts_is_named_as_for_the_backend() -> None:
    lines = (ROOT / "containers" / "own-image.env").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines if not line.startswith("#")}
    assert names == {*OFFICIAL, "PAYRESIL_PROMETHEUS_IMAGE", "BASE_IMAGE"}


def test_defaults_are_left_to_the_file() -> None:
    assert stack.image_variables(read_settings({})) == {}


def test_a_registry_and_a_platform_are_written_out() -> None:
    told = stack.image_variables(
        read_settings(
            {
                "PAYRESIL_REGISTRY": "mirror.example",
                "PAYRESIL_CADDY_IMAGE": "payresil:local",
                "PAYRESIL_PLATFORM": "linux/arm64",
            }
        )
    )
    assert told.pop("DOCKER_DEFAULT_PLATFORM") == "linux/arm64"
    assert told.pop("PAYRESIL_CADDY_IMAGE") == "payresil:local"
    others = {**OFFICIAL, **WATCHING}
    del others["PAYRESIL_CADDY_IMAGE"]
    assert told == {name: f"mirror.example/{image}" for name, image in others.items()}
