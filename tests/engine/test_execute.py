"""Whatever breaks, the folder is sealed and says what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from payresil.core.protocols import EnvironmentBroke
from payresil.core.registry import backends
from payresil.core.run import Run
from payresil.engine import execute as execution
from payresil.engine.pipeline import prepare, run_plan
from payresil.engine.progress import Progress
from payresil.engine.refusal import Refusal
from payresil.engine.stopping import Stop

SCENARIO = """
name: broken
claim: It never comes up.
system: refpay
workload: {rate: 10/s, duration: 1s, journeys: {checkout: 1}}
checks: [idempotency]
"""


class NoProcesses:
    """A launcher whose processes end at once."""

    def sweep(self, _folder: Path) -> None:
        """Nothing outlives this test's harness."""

    def spawn(self, *_: Any, **__: Any) -> Any:
        class Ended:
            status = 0

            def signal(self, _number: int) -> None:
                """It has ended."""

            def wait(self, _timeout_s: float) -> int:
                return 0

        return Ended()


@pytest.fixture
def backend() -> Iterator[dict[str, BaseException]]:
    """A backend that raises what the test puts in the dict."""
    what: dict[str, BaseException] = {}

    @contextmanager
    def breaking(_assembly: Any, _launcher: Any) -> Iterator[Any]:
        raise what["error"]
        yield

    backends.names()
    backends.add("breaking", breaking, brings_prometheus=False)
    yield what
    del backends._members["breaking"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EnvironmentBroke("a/db did not start: no space"), "a/db did not start: no space"),
        (ZeroDivisionError("a defect"), "ZeroDivisionError: a defect"),
    ],
)
def test_what_broke_is_in_the_events_and_the_folder_is_sealed(
    tmp_path: Path, backend: dict[str, BaseException], error: BaseException, said: str
) -> None:
    backend["error"] = error
    scenario = tmp_path / "broken.yaml"
    scenario.write_text(SCENARIO)
    plan = prepare(scenario, backend="breaking", out=tmp_path)
    execution.execute(plan, NoProcesses(), Progress(), Stop())  # type: ignore[arg-type]
    run = Run.open(plan.folder)
    ((what, detail),) = run.rows("select what, detail from events where kind = 'harness'")
    assert what == "broken"
    assert json.loads(detail)["error"] == said
    assert not list(plan.folder.glob("*.arrows"))


def test_a_run_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    scenario = tmp_path / "broken.yaml"
    scenario.write_text(SCENARIO)
    (tmp_path / "a-file").write_text("")
    plan = prepare(scenario, out=tmp_path / "a-file")
    with pytest.raises(Refusal, match="--out"):
        run_plan(plan)
