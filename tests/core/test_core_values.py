from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.values import Duration, Quantity, Rate, Ratio, Share, Size

KINDS = [Duration, Rate, Ratio, Size]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("10s", 10.0),
        ("2m", 120.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("7us", 7e-6),
        ("100us", 1e-4),
        ("0s", 0.0),
        (" 3 s ", 3.0),
    ],
)
def test_durations_are_read_to_the_nearest_float(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "s", "-1s", "+1s", "1e3s", "10 sec", "1:30", "１s", ".5s", "5.s", "0x1s", "nans"],
)
def test_what_is_no_duration_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a duration such as 250ms, 10s, 2m$"):
        Duration.parse(text)


def test_a_share_is_at_most_everything() -> None:
    assert Share.parse("100%") == 1.0
    assert Share.parse("99.9%") == 0.999
    with pytest.raises(ValueError, match="at most 100%"):
        Share.parse("100.1%")


def test_rates_and_sizes_have_units_of_their_own() -> None:
    assert Rate.parse("30/s") == 30.0
    assert Rate.parse("600/m") == 10.0
    assert Size.parse("64KB") == 64_000.0
    with pytest.raises(ValueError, match="a rate such as"):
        Rate.parse("30")
    with pytest.raises(ValueError, match="a size such as"):
        Size.parse("64kb")


def test_a_ratio_says_how_many_times() -> None:
    assert Ratio.parse("1.5x") == 1.5
    with pytest.raises(ValueError, match=r"^a ratio such as 1\.5x, 3x$"):
        Ratio.parse("1.5")


def test_a_number_beyond_every_float_is_refused_without_a_traceback() -> None:
    with pytest.raises(ValueError, match="finite"):
        Duration.parse("9" * 400 + "s")
    with pytest.raises(ValueError, match="a duration"):
        Duration.parse("9" * 100_000 + "s")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Duration(90), "90s"),
        (Duration(120), "2m"),
        (Duration(0.25), "250ms"),
        (Duration(0), "0s"),
        (Duration(1234567), "1234567s"),
        (Duration(86400), "1d"),
        (Rate(1 / 60), "1/m"),
        (Rate(30), "30/s"),
        (Share(0.3), "30%"),
        (Share(0.999), "99.9%"),
        (Ratio(1.5), "1.5x"),
        (Ratio(3), "3x"),
        (Size(64_000), "64KB"),
    ],
)
def test_values_are_written_as_a_person_would(value: Quantity, text: str) -> None:
    assert str(value) == text


@pytest.mark.parametrize("kind", KINDS)
@given(value=st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_what_is_written_is_read_back_exactly(kind: type[Quantity], value: float) -> None:
    assert kind.parse(str(kind(value))) == value


@given(value=st.floats(min_value=0, max_value=1))
def test_a_written_share_is_read_back_exactly(value: float) -> None:
    assert Share.parse(str(Share(value))) == value


@given(
    number=st.decimals(min_value=0, max_value=10**6, places=3, allow_nan=False),
    unit=st.sampled_from(sorted(Duration.UNITS)),
)
def test_a_duration_survives_any_number_of_rounds(number: object, unit: str) -> None:
    once = Duration.parse(f"{number}{unit}")
    assert Duration.parse(str(once)) == once
    assert str(Duration.parse(str(once))) == str(once)


@given(text=st.text(max_size=40))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for kind in (Duration, Rate, Ratio, Share, Size):
        try:
            value = kind.parse(text)
        except ValueError:
            continue
        assert math.isfinite(value)
        assert value >= 0


def test_durations_in_whole_units() -> None:
    assert Duration(1.5).ns == 1_500_000_000
    assert Duration(0.0015).ms == 2
    assert repr(Duration(1.5)) == "Duration('1500ms')"


def test_values_that_yaml_cannot_hold_can_still_be_shown() -> None:
    assert str(Duration(math.inf)) == "infs"
    assert str(Duration(-1.0)) == "-1s"
