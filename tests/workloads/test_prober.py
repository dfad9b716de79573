"""The prober as a process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from payresil.core.tables import read_folder
from payresil.core.values import Duration, Rate


def rows_of(folder: str, table: str = "attempts") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_folder(Path(folder))[table].to_pylist()
    return rows


def test_probes_are_small_real_payments_over_fresh_connections(
    open_shop: Any, make_spec: Any, start: Any
) -> None:
    shop = open_shop(tls=True)
    spec = make_spec(shop.url, ca_file=shop.ca_file, warm_up=Duration(0.5), duration=Duration(0.7))
    status, log = start("prober", spec).finish()
    assert status == 0, log
    rows = sorted(rows_of(spec.folder), key=lambda row: row["n"])
    assert [row["n"] for row in rows] == [1_000_000_000 + k for k in range(12)]
    assert [row["due_ns"] for row in rows] == [(k - 5) * 100_000_000 for k in range(12)]
    for row in rows:
        assert row["due_ns"] <= row["sent_ns"] <= row["done_ns"]
        assert (row["source"], row["journey"], row["operation"], row["kind"]) == (
            "probe", "probe", "pay", "create",
        )  # fmt: skip
        assert (row["outcome"], row["amount_minor"], row["currency"]) == ("ok", 100, "eur")
        assert row["key"] == f"r7-{row['n']}-pay"
    state = shop.state()
    # sorted: a handshake that takes longer than a beat lets the next probe overtake
    assert sorted(one["key"] for one in state["seen"]) == [row["key"] for row in rows]
    assert state["connections"] == 12
    (block,) = rows_of(spec.folder, "reserved")
    assert block == {"first": 1_000_000_000, "count": 12, "source": "probe"}


def test_probes_go_on_whatever_the_service_does(shop: Any, make_spec: Any, start: Any) -> None:
    shop.mode("hang")
    spec = make_spec(shop.url, probe_timeout=Duration(50.0))
    traffic = start("prober", spec)
    shop.wait_for(held=10)
    shop.mode("ok")
    assert traffic.finish()[0] == 0
    assert {row["outcome"] for row in rows_of(spec.folder)} == {"ok"}


def test_the_timeout_is_the_objective(shop: Any, make_spec: Any, start: Any) -> None:
    shop.mode("hang")
    spec = make_spec(shop.url, duration=Duration(0.3), probe_timeout=Duration(0.2))
    assert start("prober", spec).finish()[0] == 0
    rows = rows_of(spec.folder)
    assert {(row["outcome"], row["error"], row["status"]) for row in rows} == {
        ("unknown", "timeout", None)
    }


def test_a_payment_that_is_accepted_only_is_looked_at_until_it_is_final(
    shop: Any, make_spec: Any, start: Any
) -> None:
    shop.mode("processing")
    spec = make_spec(shop.url, duration=Duration(0.2))
    assert start("prober", spec).finish()[0] == 0
    rows = sorted(rows_of(spec.folder), key=lambda row: (row["n"], row["attempt"]))
    assert [(row["attempt"], row["kind"], row["outcome"]) for row in rows] == [
        (1, "create", "unknown"), (2, "read", "unknown"), (3, "read", "ok"),
    ] * 2  # fmt: skip
    assert len({row["payment"] for row in rows}) == 2
    assert [row["key"] is None for row in rows] == [False, True, True] * 2


def test_a_payment_that_never_becomes_final_is_looked_at_as_long_as_the_objective_allows(
    shop: Any, make_spec: Any, start: Any
) -> None:
    shop.mode("processing")
    spec = make_spec(shop.url, duration=Duration(0.1), probe_timeout=Duration(0.05))
    assert start("prober", spec).finish()[0] == 0
    assert [row["kind"] for row in rows_of(spec.folder)] == ["create"]


@pytest.mark.parametrize(
    ("tls", "outcome", "error"), [(True, "unknown", "tls"), (False, "fail", "refused")]
)
def test_no_connection(
    open_shop: Any, make_spec: Any, start: Any, tls: bool, outcome: str, error: str
) -> None:
    shop = open_shop(tls=tls)
    if not tls:
        shop.process.kill()
        shop.process.wait()
    spec = make_spec(shop.url, duration=Duration(0.2))  # no CA file: nobody vouches for the shop
    assert start("prober", spec).finish()[0] == 0
    assert {(row["outcome"], row["error"]) for row in rows_of(spec.folder)} == {(outcome, error)}


def test_sigterm_finishes_what_is_in_flight(shop: Any, make_spec: Any, start: Any) -> None:
    shop.mode("hang")
    spec = make_spec(shop.url, duration=Duration(600.0), probe_timeout=Duration(50.0))
    traffic = start("prober", spec)
    shop.wait_for(held=3)
    traffic.process.send_signal(signal.SIGTERM)
    shop.mode("ok")
    status, log = traffic.finish()
    assert (status, log[-1]["event"]) == (0, "finished")
    rows = rows_of(spec.folder)
    assert {row["key"] for row in rows} == {one["key"] for one in shop.state()["seen"]}


def test_kill_leaves_every_number_reserved(shop: Any, make_spec: Any, start: Any) -> None:
    spec = make_spec(shop.url, duration=Duration(600.0))
    traffic = start("prober", spec)
    shop.wait_for(requests=4)
    traffic.process.kill()
    traffic.process.wait()
    seen = {int(one["reference"].rpartition("-")[2]) for one in shop.state()["seen"]}
    reserved = {
        row["first"] + i for row in rows_of(spec.folder, "reserved") for i in range(row["count"])
    }
    assert seen <= reserved


def test_never_more_than_ten_a_second(shop: Any, make_spec: Any, start: Any) -> None:
    spec = make_spec(shop.url, duration=Duration(0.5), probe_rate=Rate(500.0))
    assert start("prober", spec).finish()[0] == 0
    assert len(rows_of(spec.folder)) == 5


@pytest.mark.parametrize(
    ("spec", "said"), [(b"", "no traffic specification"), (b"{}", "missing required field")]
)
def test_a_bad_specification(start: Any, spec: bytes, said: str) -> None:
    status, log = start("prober", spec).finish()
    assert status == 2
    assert said in log[-1]["error"]


def test_a_bad_address(make_spec: Any, start: Any) -> None:
    status, log = start("prober", make_spec("nowhere")).finish()
    assert status == 2
    assert "no address" in log[-1]["error"]
