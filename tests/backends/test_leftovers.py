"""Scratch folders of runs that were killed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from payresil.backends.harness import NOTE, Harness
from payresil.backends.leftovers import scratch_folders


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(name: str, note: str | None) -> Path:
    folder = Path(tempfile.gettempdir()) / name
    (folder / "a.db").mkdir(parents=True)
    if note is not None:
        (folder / NOTE).write_text(note)
    return folder


def test_a_folder_says_whose_it_is_and_can_be_removed() -> None:
    folder = left("payresil-x1", str(Harness.this()))
    (found,) = scratch_folders()
    assert found.name == f"folder {folder}"
    assert found.harness == Harness.this()
    found.remove()
    assert not folder.exists()


def test_a_folder_of_somebody_else_is_not_touched(temporary: Path) -> None:
    left("payresil-of-mine", None)
    left("other", str(Harness.this()))
    outside = left("elsewhere", str(Harness.this()))
    (temporary / "payresil-link").symlink_to(outside)
    assert list(scratch_folders()) == []


def test_a_note_that_cannot_be_read_names_nobody() -> None:
    left("payresil-x2", "scribble")
    (found,) = scratch_folders()
    assert found.harness is None
