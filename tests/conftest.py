"""What all tests share: those that take minutes or need more than Python run when asked for.

With ``-m docker``, ``-m node``, … they run, and then fail where what they need is missing.
"""

from __future__ import annotations

import pytest

_WHEN_ASKED_FOR = {
    "docker": "needs a Docker engine",
    "node": "needs Node 20 or newer",
    "prometheus": "needs Prometheus on PATH",
    "guide": "follows a guide of docs/ to the letter: real runs, half a minute each",
}


def pytest_configure(config: pytest.Config) -> None:
    for mark, why in _WHEN_ASKED_FOR.items():
        config.addinivalue_line("markers", f"{mark}: {why}; run with -m {mark}")
    config.addinivalue_line("markers", "alone: judges real traffic; not beside other tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked_for = str(config.getoption("markexpr"))
    marks = [mark for mark in _WHEN_ASKED_FOR if mark not in asked_for]
    left_out = [item for item in items if any(map(item.get_closest_marker, marks))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not any(map(item.get_closest_marker, marks))]
