"""The lot: a fixed function of its arguments, uniform, and sticky."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.toxiproxy.toxicity import draw, generator
from payresil.toxiproxy.toxics.noop import Noop
from payresil.toxiproxy.toxicset import Direction, InstalledToxic, ToxicSet


def test_the_draw_is_the_same_in_every_process() -> None:
    assert [round(draw(7, "a->b", n, "slow"), 6) for n in (1, 2, 3)] == [
        0.10948,
        0.239468,
        0.726332,
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(), st.text(), st.integers(), st.text())
def test_a_draw_is_a_share(seed: int, proxy: str, connection: int, toxic: str) -> None:
    lot = draw(seed, proxy, connection, toxic)
    assert 0 <= lot < 1
    assert lot == draw(seed, proxy, connection, toxic)


def test_draws_are_spread_evenly() -> None:
    touched = sum(draw(1, "p", n, "t") < 0.3 for n in range(10_000))
    assert 2800 < touched < 3200


def test_every_argument_counts() -> None:
    draws = {draw(1, "p", 1, "t"), draw(2, "p", 1, "t"), draw(1, "q", 1, "t")}
    draws |= {draw(1, "p", 2, "t"), draw(1, "p", 1, "u")}
    assert len(draws) == 5


def test_generators_are_replayed() -> None:
    first, second = generator(1, "p", 1, "t"), generator(1, "p", 1, "t")
    assert [first.random() for _ in range(5)] == [second.random() for _ in range(5)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 1000))
def test_raising_toxicity_only_adds_connections(one: float, other: float, number: int) -> None:
    low, high = sorted((one, other))
    toxics = ToxicSet(7, "p")
    installed = InstalledToxic("t", "noop", "upstream", Direction.UPSTREAM, low, Noop())
    toxics.add(installed)
    before = set(toxics.touching(Direction.UPSTREAM, number))
    installed.toxicity = high
    assert before <= set(toxics.touching(Direction.UPSTREAM, number))
    assert not toxics.touching(Direction.DOWNSTREAM, number)
