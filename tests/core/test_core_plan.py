from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from statistics import mean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payresil.core.plan import CURRENCIES, LEAST_MINOR, MOST_MINOR, Plan
from payresil.core.scenario import Workload
from payresil.core.values import Duration, Rate

WORKLOAD = Workload(Rate(200), Duration(60), {"checkout": 8, "impatient": 2})

workloads = st.builds(
    Workload,
    rate=st.floats(0.5, 200).map(Rate),
    duration=st.floats(0.1, 5).map(Duration),
    journeys=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1),
    warm_up=st.floats(0, 2).map(Duration),
    arrivals=st.sampled_from(["poisson", "constant"]),
)
seeds = st.integers(0, 2**63 - 1)


@settings(deadline=None)
@given(seeds, workloads)
def test_a_plan_is_a_function_of_seed_and_workload(seed: int, workload: Workload) -> None:
    first = list(Plan(seed, workload).arrivals())
    assert first == list(Plan(seed, workload).arrivals())
    assert Plan(seed, workload).digest() == Plan(seed, workload).digest()
    assert [arrival.n for arrival in first] == list(range(len(first)))
    due = [arrival.due_s for arrival in first]
    assert due == sorted(due)
    assert all(-float(workload.warm_up) <= at < float(workload.duration) for at in due)


@settings(deadline=None)
@given(seeds, workloads)
def test_every_purchase_is_one_that_can_be_made(seed: int, workload: Workload) -> None:
    for arrival in Plan(seed, workload).arrivals():
        assert arrival.journey in workload.journeys
        assert arrival.currency in CURRENCIES
        assert LEAST_MINOR <= arrival.amount_minor <= MOST_MINOR
        assert arrival.card >= 0


def test_a_plan_is_the_same_in_every_process_and_version() -> None:
    workload = Workload(Rate(50), Duration(2), {"checkout": 8, "impatient": 2})
    digest = "354dfd28"
    assert Plan(7, workload).digest()[:8] == digest
    code = (
        "from payresil.core.plan import Plan\n"
        "from payresil.core.scenario import Workload\n"
        "from payresil.core.values import Duration, Rate\n"
        "w = Workload(Rate(50), Duration(2), {'impatient': 2, 'checkout': 8})\n"
        "print(Plan(7, w).digest()[:8], Plan(7, w).random(3).random())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest, str(Plan(7, workload).random(3).random())]


def test_another_seed_is_another_plan() -> None:
    assert Plan(1, WORKLOAD).digest() != Plan(2, WORKLOAD).digest()
    assert Plan(1, WORKLOAD).random(5).random() != Plan(2, WORKLOAD).random(5).random()
    assert Plan(1, WORKLOAD).random(5).random() != Plan(1, WORKLOAD).random(6).random()


def test_a_plan_offers_the_load_that_was_asked_for() -> None:
    arrivals = list(Plan(7, WORKLOAD).arrivals())
    expected = Plan(7, WORKLOAD).expected()
    assert expected == 200 * 62
    assert abs(len(arrivals) - expected) < 4 * expected**0.5
    gaps = [b.due_s - a.due_s for a, b in itertools.pairwise(arrivals)]
    assert mean(gaps) == pytest.approx(1 / 200, rel=0.05)
    assert pstdev(gaps) == pytest.approx(1 / 200, rel=0.05)  # exponential: as wide as its mean
    assert sum(arrival.due_s < 0 for arrival in arrivals) == pytest.approx(400, abs=80)


def test_constant_arrivals_come_evenly_and_do_not_drift() -> None:
    workload = replace(WORKLOAD, arrivals="constant", rate=Rate(30))
    due = [arrival.due_s for arrival in Plan(7, workload).arrivals()]
    assert len(due) == 30 * 62
    assert due[0] == -2.0
    assert due[60] == 0.0
    assert due[-1] == pytest.approx(60 - 1 / 30)


def test_journeys_amounts_and_currencies_are_drawn_as_weighted() -> None:
    arrivals = list(Plan(7, WORKLOAD).arrivals())
    total = len(arrivals)
    journeys = Counter(arrival.journey for arrival in arrivals)
    assert journeys["impatient"] / total == pytest.approx(0.2, abs=0.02)
    currencies = Counter(arrival.currency for arrival in arrivals)
    assert set(currencies) == set(CURRENCIES)
    assert currencies["eur"] / total == pytest.approx(0.8, abs=0.02)
    # log-uniform over 100 to 50 000: the median is their geometric mean
    amounts = sorted(arrival.amount_minor for arrival in arrivals)
    assert amounts[total // 2] == pytest.approx((100 * 50_000) ** 0.5, rel=0.1)


def test_other_journeys_change_neither_times_nor_amounts() -> None:
    other = replace(WORKLOAD, journeys={"checkout": 1, "browse": 5})
    for a, b in zip(Plan(7, WORKLOAD).arrivals(), Plan(7, other).arrivals(), strict=True):
        assert (a.due_s, a.amount_minor, a.currency) == (b.due_s, b.amount_minor, b.currency)


def test_a_plan_of_a_year_begins_at_once() -> None:
    endless = replace(WORKLOAD, duration=Duration.parse("365d"))
    first = list(itertools.islice(Plan(7, endless).arrivals(), 1000))
    assert [arrival.n for arrival in first] == list(range(1000))
