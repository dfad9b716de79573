"""A traffic specification survives the pipe, and keeps its secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payresil.core.scenario import Workload
from payresil.core.system import Api, Operation
from payresil.core.traffic import TrafficError, TrafficSpec
from payresil.core.values import Duration, Rate

SPEC = TrafficSpec(
    run="r1",
    zero_mono_ns=123_456_789_012_345,
    seed=7,
    workload=Workload(Rate(30.0), Duration(40.0), {"checkout": 8, "impatient": 2}),
    api=Api(
        operations={"create": Operation("POST /p", {"a": ["{b}", 1, None, True, 1.5]}, "id", "s")},
        final={"done": "succeeded"},
        pending=("processing",),
    ),
    base_url="https://127.0.0.1:1",
    folder="/runs/1",
    api_token="very-secret-token",
    card_numbers=("4000000000000002",),
    card_cvc="cvc-911",
    imports=("a.py",),
)


def test_it_comes_back_as_it_was() -> None:
    found = TrafficSpec.decode(SPEC.encode())
    assert found == SPEC
    assert isinstance(found.workload.rate, Rate)
    assert isinstance(found.probe_timeout, Duration)
    assert isinstance(found.workload.patience, Duration)


@given(
    rate=st.floats(0.1, 1e5),
    seconds=st.floats(0, 1e6),
    zero=st.integers(-(2**62), 2**62),
    text=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_values_come_back(rate: float, seconds: float, zero: int, text: str) -> None:
    workload = replace(SPEC.workload, rate=Rate(rate), duration=Duration(seconds))
    spec = replace(SPEC, workload=workload, zero_mono_ns=zero, run=text, api_token=text)
    assert TrafficSpec.decode(spec.encode()) == spec


def test_its_representation_shows_no_secret() -> None:
    for secret in ("very-secret-token", "4000000000000002", "cvc-911"):
        assert secret not in repr(SPEC)
        assert secret in SPEC.encode().decode()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{}", b'{"run": 1}', b"\xff"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(TrafficError, match="no traffic specification"):
        TrafficSpec.decode(data)


def test_an_error_tells_no_secret() -> None:
    data = SPEC.encode().replace(b'"seed":7', b'"seed":"x"')
    with pytest.raises(TrafficError) as raised:
        TrafficSpec.decode(data)
    assert "secret" not in str(raised.value)


def test_what_cannot_be_encoded_is_refused() -> None:
    body: Any = object()
    api = replace(SPEC.api, operations={"create": Operation("POST /", {"a": body})})
    with pytest.raises(NotImplementedError, match="object"):
        replace(SPEC, api=api).encode()
