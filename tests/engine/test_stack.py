"""``payresil up`` and ``payresil down``, as far as they come without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

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
