"""What `payresil init` writes can be used as it is, and is never written over anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from payresil.engine.beginning.command import init
from payresil.engine.pipeline import prepare
from payresil.engine.refusal import Refusal
from payresil.engine.system_file import load_system

WRITTEN = ["scenarios/lost-answers.yaml", "scenarios/ordinary-day.yaml", "system.yaml"]


@pytest.mark.parametrize(
    ("file", "command"),
    [("app.py", "{python}"), ("server.js", "node"), ("package.json", "npm"), ("x.go", "./serve")],
)
def test_what_it_writes_loads_without_errors(tmp_path: Path, file: str, command: str) -> None:
    shop = tmp_path / "My Shop"
    shop.mkdir()
    (shop / file).write_text("")
    assert init(shop, None) == 0
    system = load_system(shop / "system.yaml")
    assert (system.name, system.service.command[0]) == ("my-shop", command)
    assert system.service.folder == str(shop)
    for name in ("ordinary-day", "lost-answers"):
        plan = prepare(shop / "scenarios" / f"{name}.yaml", out=tmp_path)
        assert not [words for words in plan.warnings if ".yaml:" in words]


def test_every_line_that_is_commented_out_can_be_put_in(tmp_path: Path) -> None:
    init(tmp_path, "mine")
    file = tmp_path / "system.yaml"
    text = file.read_text()
    for line in text.splitlines():
        key = line.strip().removeprefix("# ").partition(":")[0]
        if line.strip().startswith("# ") and key.replace("_", "").isalnum() and ": " in line:
            if key in ("books_from", "final") or " " in key:
                continue
            text = text.replace(line, line.replace("# ", "", 1), 1)
    assert "# refund" not in text
    file.write_text(text)
    system = load_system(file)
    assert set(system.api.operations) == {"create", "read", "find", "refund", "capture", "cancel"}
    assert system.settle is not None
    assert system.reconcile is not None
    assert system.reconcile.remedied == "changed"


@pytest.mark.parametrize("there", WRITTEN)
def test_nothing_is_written_over(tmp_path: Path, there: str) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / there).write_text("mine")
    with pytest.raises(Refusal, match=f"has {there} already"):
        init(tmp_path, "mine")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.read_text() for path in files] == ["mine"]


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="is no folder"):
        init(tmp_path / "nowhere", None)
    with pytest.raises(Refusal, match="--system My Shop: expected lower-case"):
        init(tmp_path, "My Shop")
    tmp_path.chmod(0o500)
    strange = tmp_path.parent / "…"
    strange.mkdir()
    assert init(strange, None) == 0
    assert json.dumps(load_system(strange / "system.yaml").name) == '"service"'
