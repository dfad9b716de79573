"""Numbers are on disk before they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from payresil.core.tables import salvage
from payresil.workloads.reserving import Reservations


def blocks(folder: Path) -> list[tuple[int, int]]:
    """What a reader finds while the writer still runs: nothing may rest on `close`."""
    table = salvage(folder / "reserved-load.arrows")
    assert set(table["source"].to_pylist()) <= {"load"}
    return list(zip(table["first"].to_pylist(), table["count"].to_pylist(), strict=True))


def test_a_block_is_there_when_reserve_returns(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path, "load")
    assert blocks(tmp_path) == []
    reservations.reserve(5, 10)
    assert blocks(tmp_path) == [(5, 10)]
    reservations.reserve(15, 3)
    assert blocks(tmp_path) == [(5, 10), (15, 3)]


def test_waiting_for_the_disk_happens_where_it_is_told(tmp_path: Path) -> None:
    waited: list[list[tuple[int, int]]] = []

    def aside(call: Callable[[], Any]) -> None:
        call()
        waited.append(blocks(tmp_path))

    reservations = Reservations(tmp_path, "load", aside=aside)
    reservations.reserve(0, 2)
    reservations.reserve(2, 2)
    assert waited == [[(0, 2)], [(0, 2), (2, 2)]]
    reservations.close()
    assert blocks(tmp_path) == [(0, 2), (2, 2)]
