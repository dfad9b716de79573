"""How images are called that are built of a compose file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docker.utils import parse_repository_tag

from payresil.backends.containers.image_names import images_of, slug

#: What a path component of an image's name may be, by the grammar of the distribution's references.
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"


@pytest.mark.parametrize(
    ("folder", "begins"),
    [
        ("My App", "payresil-my-app-"),
        (".deploy", "payresil-deploy-"),
        ("démo", "payresil-demo-"),
        ("店", "payresil-project-"),
        ("a__b.", "payresil-a-b-"),
        ("x" * 250, f"payresil-{'x' * 40}-"),
    ],
)
def test_a_folder_may_be_called_anything(tmp_path: Path, folder: str, begins: str) -> None:
    name = images_of(tmp_path / folder / "compose.yaml")
    assert name.startswith(begins)
    assert re.fullmatch(COMPONENT, name)
    assert parse_repository_tag(f"{name}-{slug('Shop_1')}:built")[1] == "built"


def test_projects_in_folders_of_one_name_share_no_image(tmp_path: Path) -> None:
    one, other = (tmp_path / name / "deploy" / "compose.yaml" for name in ("shop", "wallet"))
    assert images_of(one) != images_of(other)
    assert images_of(one) == images_of(one.parent / "." / "compose.yaml")


def test_services_of_different_names_share_no_image() -> None:
    names = ["shop", "Shop", "shop_1", "shop-1", "shop.1"]
    assert slug("shop") == "shop"
    assert len({slug(name) for name in names}) == len(names)
