"""``payresil clean``: what is removed, what is left alone, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from click.testing import CliRunner

from payresil.backends.harness import Harness
from payresil.backends.leftovers import Leftover
from payresil.cli import main
from payresil.core.protocols import EnvironmentBroke
from payresil.engine import cleaning

GONE = replace(Harness.this(), start=1)
ALIVE = Harness.this()

Cleaned = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def cleaned(monkeypatch: pytest.MonkeyPatch) -> Cleaned:
    """Exit status, what was said, and what was removed of the given leftovers."""

    def clean(*options: str, **left: Harness | None) -> tuple[int, list[str], list[str]]:
        removed: list[str] = []

        def remove(name: str) -> None:
            if name == "stuck":
                raise EnvironmentBroke("it is in use")
            removed.append(name)

        found = [
            Leftover(name, harness, lambda name=name: remove(name))
            for name, harness in left.items()
        ]
        monkeypatch.setattr(cleaning, "_of_containers", lambda: ())
        monkeypatch.setattr(cleaning, "scratch_folders", lambda: iter(found))
        result = CliRunner().invoke(main, ["clean", *options])
        return result.exit_code, result.output.splitlines(), removed

    return clean


def test_only_what_is_of_a_harness_that_is_gone_is_removed(cleaned: Cleaned) -> None:
    status, said, removed = cleaned(old=GONE, used=ALIVE, strange=None)
    assert (status, removed) == (0, ["old"])
    assert said[0] == "removed old"
    assert f"left alone used: process {ALIVE.pid}" in said[1]
    assert "left alone strange: it does not say whose it is" in said[2]


def test_all_is_removed_when_that_is_asked_for(cleaned: Cleaned) -> None:
    assert cleaned("--all", old=GONE, used=ALIVE, strange=None)[2] == ["old", "used", "strange"]


def test_a_dry_run_removes_nothing(cleaned: Cleaned) -> None:
    status, said, removed = cleaned("--dry-run", old=GONE)
    assert (status, said, removed) == (0, ["would remove old"], [])


def test_one_that_cannot_be_removed_keeps_no_other_and_is_told(cleaned: Cleaned) -> None:
    status, said, removed = cleaned(stuck=GONE, old=GONE)
    assert (status, removed) == (4, ["old"])
    assert "Error: stuck is not removed: it is in use" in said


def test_where_no_engine_answers_that_is_said(
    cleaned: Cleaned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine")
    monkeypatch.setattr(cleaning, "scratch_folders", lambda: iter(()))
    result = CliRunner().invoke(main, ["clean"])
    assert result.exit_code == 0
    assert "containers were not looked at: no Docker engine answers" in result.output
    assert "no folder is left of any run" in result.output


def test_nothing_to_remove_is_said(cleaned: Cleaned) -> None:
    assert cleaned() == (0, ["no container and no folder is left of any run"], [])
