"""One real run, shared by the tests that only read it."""

from __future__ import annotations

import pytest
from end_to_end_runs import Ended, call, scenario_file


@pytest.fixture(scope="session")
def flawless(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run of the service without flaws."""
    folder = tmp_path_factory.mktemp("flawless")
    path = scenario_file(folder)
    return call(folder / "r", "run", str(path), "--out", str(folder / "r"))
