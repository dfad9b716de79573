from __future__ import annotations

import pytest

from payresil.remedies import detection

from .rehearsed import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Two regions; remedies have its clock."""
    world = World()
    monkeypatch.setattr(detection, "time", world)
    return world
