"""However a run ends, its system is healed, and what ended it is what is told."""

from __future__ import annotations

from typing import Any

import pytest

from payresil.backends.healing import healed_at_the_end
from payresil.core.protocols import EnvironmentBroke


class Patient:
    """An environment that knows whether it was healed."""

    def __init__(self, failure: EnvironmentBroke | None = None) -> None:
        self.healed = 0
        self._failure = failure

    def heal(self) -> None:
        self.healed += 1
        if self._failure is not None:
            raise self._failure


class Record:
    """What an assembly is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_event(self, *what: str, **detail: str) -> None:
        self.told.append((*what, detail))


def test_it_is_healed_when_all_went_well() -> None:
    patient: Any = Patient()
    record: Any = Record()
    with healed_at_the_end(record, patient) as environment:
        assert environment is patient
        assert not patient.healed
    assert patient.healed == 1
    assert not record.told


def test_it_is_healed_when_the_run_ends_in_a_failure() -> None:
    patient: Any = Patient()
    record: Any = Record()
    with pytest.raises(KeyboardInterrupt), healed_at_the_end(record, patient):
        raise KeyboardInterrupt
    assert patient.healed == 1


def test_a_system_that_cannot_be_healed_breaks_the_run() -> None:
    patient: Any = Patient(EnvironmentBroke("the proxy is gone"))
    record: Any = Record()
    with (
        pytest.raises(EnvironmentBroke, match="the proxy is gone"),
        healed_at_the_end(record, patient),
    ):
        pass


def test_what_ended_the_run_is_not_hidden_by_a_failure_to_heal() -> None:
    patient: Any = Patient(EnvironmentBroke("the proxy is gone"))
    record: Any = Record()
    with pytest.raises(ValueError, match="first"), healed_at_the_end(record, patient):
        raise ValueError("first")
    assert record.told == [
        ("harness", "environment", "warning", {"error": "not healed: the proxy is gone"})
    ]
