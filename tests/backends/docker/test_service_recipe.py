"""What an instance of the service is told in its container."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from payresil.backends.containers.service import (
    compose_environment,
    service_port,
    service_recipe,
)
from payresil.core.protocols import EnvironmentBroke
from payresil.core.system import ServiceStart

START = ServiceStart(
    ready="/readyz",
    command=("{python}", "-m", "shop", "--host", "{host}", "--port", "{port}"),
    environment={"PSP_URL": "{psp_url}", "DATA": "{data}"},
    flaw_variable="FLAW",
)
VALUES = {"psp_url": "http://toxiproxy:20007"}


def test_a_command_is_run_in_the_own_image(tmp_path: Path) -> None:
    recipe = service_recipe(START, VALUES, flaw=None, own="own:1", work=tmp_path)
    assert recipe.image == "own:1"
    assert recipe.entrypoint == ("/opt/payresil/bin/python",)
    assert recipe.command == ("-m", "shop", "--host", "0.0.0.0", "--port", "8080")
    assert recipe.environment["PSP_URL"] == "http://toxiproxy:20007"
    assert "FLAW" not in recipe.environment


def test_an_image_keeps_its_entry_point(tmp_path: Path) -> None:
    start = replace(START, image="shop:1", port=3000)
    recipe = service_recipe(start, VALUES, flaw="typo", own="own:1", work=tmp_path)
    assert (recipe.image, recipe.entrypoint) == ("shop:1", None)
    assert recipe.command[-2:] == ("--port", "3000")
    assert recipe.environment["FLAW"] == "typo"
    assert service_port(start) == 3000


def test_its_folder_can_be_written_by_whoever_it_runs_as(tmp_path: Path) -> None:
    recipe = service_recipe(START, VALUES, flaw=None, own="own:1", work=tmp_path)
    ((path, folder),) = recipe.folders.items()
    assert recipe.environment["DATA"] == f"{path}/{folder.name}"
    assert folder.stat().st_mode & 0o777 == 0o777


def test_an_instance_in_a_compose_project_is_told_where_it_listens() -> None:
    start = ServiceStart(
        ready="/readyz",
        compose="compose.yaml",
        service="shop",
        port=3000,
        environment={"LISTEN": "{host}:{port}", "PSP_URL": "{psp_url}"},
        flaw_variable="FLAW",
    )
    assert compose_environment(start, VALUES, flaw="typo") == {
        "LISTEN": "0.0.0.0:3000",
        "PSP_URL": "http://toxiproxy:20007",
        "FLAW": "typo",
    }


def test_an_instance_in_a_compose_project_has_only_the_flaws_of_its_file() -> None:
    start = ServiceStart(ready="/readyz", compose="compose.yaml", service="shop", port=3000)
    with pytest.raises(EnvironmentBroke, match="the flaw 'typo' cannot be switched on"):
        compose_environment(start, VALUES, flaw="typo")
