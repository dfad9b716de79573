"""A seed replays the plan: who comes when, what they buy, and which requests a fault touches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from end_to_end_runs import call, scenario_file

from payresil.core.run import Run

#: A request near an end of the fault may fall inside it in one run and outside in the other.
_MARGIN_NS = 700_000_000


def record(folder: Path, seed: int) -> Run:
    """A run of the short scenario with this seed."""
    folder.mkdir()
    ended = call(
        folder / "r",
        "run",
        str(scenario_file(folder)),
        "--seed",
        str(seed),
        "--out",
        str(folder / "r"),
    )
    assert ended.status in (0, 3), ended.out + ended.err
    return Run.open(ended.folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run, Run]:
    """Two of one seed, and one of another."""
    folder = tmp_path_factory.mktemp("replay")
    return record(folder / "a", 8), record(folder / "b", 8), record(folder / "c", 9)


def bought(run: Run) -> list[tuple[Any, ...]]:
    """Of every customer: number, journey, amount, currency, and when they were due."""
    return run.rows(
        "select n, journey, amount_minor, currency, min(due_ns) from attempts "
        "where source = 'load' and operation = 'pay' group by all order by n"
    )


def decided(run: Run) -> dict[tuple[int, int], tuple[str | None, str | None]]:
    """By number of the customer and ordinal of the request: the rule that touched it, and where."""
    rows = run.rows(
        f"""
        with fault as (select injected_ns, heal_ns from fault_windows),
        customers as (
            select intent, n from attempts, fault where source = 'load'
            group by intent, n, injected_ns, heal_ns
            having min(due_ns) between injected_ns + {_MARGIN_NS} and heal_ns - {_MARGIN_NS}
        )
        select n, row_number() over (partition by reference order by received_ns), rule, point
        from psp_attempts p join customers c on p.reference = c.intent, fault
        where endpoint = 'payment_intents.create'
        and received_ns < heal_ns - {_MARGIN_NS // 2}
        """
    )
    return {(n, ordinal): (rule, point) for n, ordinal, rule, point in rows}


def test_the_plans_of_one_seed_are_equal(runs: tuple[Run, Run, Run]) -> None:
    one, two, other = (run.meta["plan"] for run in runs)
    assert one == two
    assert one["seed"] == 8
    assert other["arrivals"] != one["arrivals"]
    assert other["faults"] == one["faults"]  # the schedule stands in the file


def test_the_same_customers_come_for_the_same(runs: tuple[Run, Run, Run]) -> None:
    one, two, other = map(bought, runs)
    assert len(one) > 100
    assert one == two
    assert not set(one) & set(other)


def test_the_psp_decides_alike_for_equal_requests(runs: tuple[Run, Run, Run]) -> None:
    one, two, other = map(decided, runs)
    common = one.keys() & two.keys()
    assert len(common) > 20
    assert {key: one[key] for key in common} == {key: two[key] for key in common}
    assert len({one[key] for key in common}) == 2  # some were touched, some were not
    assert any(one[key] != other[key] for key in one.keys() & other.keys())


def test_runs_are_told_apart(runs: tuple[Run, Run, Run]) -> None:
    assert len({run.meta["run"] for run in runs}) == 3
