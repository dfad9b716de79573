from __future__ import annotations

import pytest

from payresil.workloads.allowance import Allowance, AllowanceSpent


@pytest.mark.parametrize(("requests", "told_at"), [(10, 8), (1, 1), (3, 3), (100, 80)])
def test_so_many_are_sent_and_it_is_told_once_when_little_is_left(
    requests: int, told_at: int
) -> None:
    told: list[int] = []
    sent: list[int] = []
    allowance = Allowance(requests, lambda: told.append(len(sent) + 1))
    for number in range(requests):
        allowance.spend()
        sent.append(number)
    for _ in range(2):
        with pytest.raises(AllowanceSpent):
            allowance.spend()
    assert not allowance.take()
    assert told == [told_at]


def test_without_a_number_there_is_no_end() -> None:
    allowance = Allowance(None)
    assert all(allowance.take() for _ in range(1000))
