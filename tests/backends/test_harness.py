"""Recognising the harness that made something, and knowing when it is gone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from payresil.backends.harness import Harness


def test_this_one_is_not_gone_and_reads_as_it_was_written() -> None:
    this = Harness.this()
    assert Harness.parse(str(this)) == this
    assert not this.is_gone


def test_one_that_has_ended_is_gone() -> None:
    script = "from payresil.backends.harness import Harness; print(Harness.this())"
    words = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert Harness.parse(words.stdout.strip()).is_gone


def test_one_whose_number_was_given_to_another_is_gone() -> None:
    assert replace(Harness.this(), start=1).is_gone


def test_one_before_the_machine_was_started_again_is_gone() -> None:
    assert replace(Harness.this(), boot="another").is_gone


@pytest.mark.parametrize("elsewhere", [{"host": "another"}, {"pid_namespace": "pid:[1]"}])
def test_of_one_on_another_machine_or_in_another_container_nobody_can_tell(
    elsewhere: dict[str, str],
) -> None:
    assert not replace(Harness.this(), start=1, **elsewhere).is_gone


@pytest.mark.parametrize("text", ["", "a b c", "host boot pid:[1] x 5", "1 2 3 4 5 6"])
def test_what_is_no_harness_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Harness.parse(text)
