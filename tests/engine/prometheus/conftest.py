"""What the tests of Prometheus beside a run share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from payresil.engine.journal import Journal
from payresil.engine.pipeline import prepare
from payresil.engine.run_plan import RunPlan

#: What a test's Prometheus answers: path without its query → status and body, or what gives them.
Answers = dict[str, tuple[int, Any] | Callable[[], tuple[int, Any]]]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def pretended(serve: Callable[..., str]) -> Callable[[Answers], str]:
    """Something that answers as a Prometheus does, or not; its address."""

    def start(answers: Answers) -> str:
        def answer(_method: str, path: str, _headers: dict[str, str]) -> tuple[int, str]:
            found = answers.get(path.partition("?")[0], (404, "not found"))
            status, body = found() if callable(found) else found
            return status, body if isinstance(body, str) else json.dumps(body)

        return serve(answer)

    return start


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., RunPlan]:
    """A plan whose scenario has these checks, as YAML."""

    def make(checks: str, **options: Any) -> RunPlan:
        file = tmp_path / "asked.yaml"
        file.write_text(
            "name: asked\nclaim: Operators are told.\nsystem: refpay\n"
            "workload: {rate: 10/s, duration: 1s, warm_up: 0s, journeys: {checkout: 1}}\n"
            f"checks: {checks}\n"
        )
        plan = prepare(file, out=tmp_path / "runs", **options)
        plan.folder.mkdir(parents=True)
        return plan

    return make
