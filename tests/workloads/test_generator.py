"""The load generator as a process: Locust, real sockets, real tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from payresil.core.plan import Plan
from payresil.core.tables import Tail, read_folder
from payresil.core.values import Duration, Rate


def rows_of(folder: str, table: str = "attempts") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_folder(Path(folder))[table].to_pylist()
    return rows


def reserved_numbers(folder: str) -> set[int]:
    return {row["first"] + i for row in rows_of(folder, "reserved") for i in range(row["count"])}


def test_a_whole_plan_over_tls(open_shop: Any, make_spec: Any, start: Any) -> None:
    shop = open_shop(tls=True)
    spec = make_spec(
        shop.url,
        ca_file=shop.ca_file,
        warm_up=Duration(0.3),
        journeys={"checkout": 2, "impatient": 1},
        first=5000,
    )
    status, log = start("generator", spec).finish()
    assert status == 0, log
    rows = rows_of(spec.folder)
    plan = {f"r7-{5000 + each.n}": each for each in Plan(7, spec.workload).arrivals()}
    assert {row["intent"] for row in rows} == plan.keys()
    for row in rows:
        arrival = plan[row["intent"]]
        assert row["n"] == 5000 + arrival.n
        assert (row["journey"], row["amount_minor"], row["currency"]) == (
            arrival.journey, arrival.amount_minor, arrival.currency,
        )  # fmt: skip
        assert row["due_ns"] <= row["sent_ns"] <= row["done_ns"]
        assert row["source"] == "load"
        assert row["key"] == f"{row['intent']}-pay"
        assert (row["outcome"], row["status"], row["answer"]) == ("ok", 201, "succeeded")
        if row["attempt"] == 1 and row["journey"] == "checkout":
            assert row["due_ns"] == round(arrival.due_s * 1e9)
    twice = [row for row in rows if row["attempt"] == 2]
    assert twice
    assert {row["journey"] for row in twice} == {"impatient"}
    assert len({(row["intent"], row["attempt"]) for row in rows}) == len(rows)
    assert {row["n"] for row in rows} == reserved_numbers(spec.folder)  # none left over
    seen = shop.state()["seen"]
    assert sorted(one["key"] for one in seen) == sorted(row["key"] for row in rows)
    assert {one["card"]["number"] for one in seen} == set(spec.card_numbers)
    assert {one["authorization"] for one in seen} == {f"Bearer {spec.api_token}"}
    finished = log[-1]
    assert (finished["event"], finished["attempts"]) == ("finished", len(rows))  # by Locust's count
    assert all({"ts", "level", "event"} <= line.keys() for line in log)
    for secret in (spec.api_token, *spec.card_numbers):
        assert secret not in json.dumps(log)


def test_sigterm_stops_new_arrivals_and_leaves_whole_tables(
    shop: Any, make_spec: Any, start: Any
) -> None:
    spec = make_spec(shop.url, duration=Duration(600.0))
    traffic = start("generator", spec)
    shop.wait_for(requests=30)
    shop.mode("hang")
    shop.wait_for(held=5)
    traffic.process.send_signal(signal.SIGTERM)
    shop.mode("ok")
    status, log = traffic.finish()
    assert status == 0, log
    rows = rows_of(spec.folder)
    assert {row["key"] for row in rows} == {one["key"] for one in shop.state()["seen"]}
    assert {row["outcome"] for row in rows} == {"ok"}
    assert "stopping" in {line["event"] for line in log}


def test_kill_leaves_what_was_flushed_and_every_number_reserved(
    shop: Any, make_spec: Any, start: Any
) -> None:
    spec = make_spec(shop.url, rate=Rate(200.0), duration=Duration(600.0), block=10)
    traffic = start("generator", spec)
    tail, requests = Tail(Path(spec.folder) / "attempts-load.arrows"), 0
    while not list(tail.new()):
        shop.wait_for(requests=(requests := requests + 20))
    traffic.process.kill()
    assert traffic.process.wait() == -signal.SIGKILL
    seen = {int(one["reference"].rpartition("-")[2]) for one in shop.state()["seen"]}
    assert seen <= reserved_numbers(spec.folder)
    rows = rows_of(spec.folder)
    assert rows
    assert {row["n"] for row in rows} <= seen


def test_arrivals_keep_coming_when_nothing_is_answered(
    shop: Any, make_spec: Any, start: Any
) -> None:
    shop.mode("hang")
    spec = make_spec(shop.url, timeout=Duration(50.0), patience=Duration(50.0))
    expected = [each.n for each in Plan(7, spec.workload).arrivals()]
    traffic = start("generator", spec)
    shop.wait_for(held=len(expected))  # all of the plan, and not one has been answered
    shop.mode("ok")
    status, log = traffic.finish()
    assert status == 0, log
    rows = rows_of(spec.folder)
    assert sorted(row["n"] for row in rows) == expected
    assert {row["outcome"] for row in rows} == {"ok"}
    assert not [line for line in log if line["event"] == "users_exhausted"]


def test_at_the_limit_of_users_arrivals_start_late_but_none_is_skipped(
    shop: Any, make_spec: Any, start: Any
) -> None:
    shop.mode("hang")
    spec = make_spec(shop.url, users=5, timeout=Duration(50.0), patience=Duration(50.0))
    traffic = start("generator", spec)
    shop.wait_for(held=5)
    overdue = ""
    while "users_exhausted" not in overdue:
        overdue = traffic.process.stderr.readline()
    shop.mode("ok")
    status, log = traffic.finish()
    assert status == 0, log
    rows = rows_of(spec.folder)
    assert sorted(row["n"] for row in rows) == [
        each.n for each in Plan(7, spec.workload).arrivals()
    ]
    released_ns = min(row["done_ns"] for row in rows)
    late = [row for row in rows if row["due_ns"] < released_ns <= row["sent_ns"]]
    assert late  # due while all users waited; their latency counts from then


def test_a_lost_answer_is_tried_again_with_the_same_key(
    shop: Any, make_spec: Any, start: Any
) -> None:
    shop.mode("drop")
    spec = make_spec(shop.url, rate=Rate(20.0))
    traffic = start("generator", spec)
    shop.wait_for(requests=10)
    shop.mode("ok")
    status, log = traffic.finish()
    assert status == 0, log
    rows = rows_of(spec.folder)
    lost = [row for row in rows if row["outcome"] == "unknown"]
    assert {(row["status"], row["error"]) for row in lost} == {(None, "closed")}
    for row in lost:
        later = [x for x in rows if x["intent"] == row["intent"] and x["outcome"] == "ok"]
        assert [x["key"] for x in later] == [row["key"]]
        assert later[0]["replayed"] is True
        assert later[0]["due_ns"] >= row["done_ns"]


def test_the_same_seed_buys_the_same(shop: Any, make_spec: Any, start: Any) -> None:
    spec = make_spec(shop.url, journeys={"checkout": 1, "impatient": 1}, rate=Rate(30.0))
    assert start("generator", spec).finish()[0] == 0
    bought = {
        (one["reference"], one["amount_minor"], one["currency"]) for one in shop.state()["seen"]
    }
    assert bought == {
        (f"r7-{each.n}", each.amount_minor, each.currency)
        for each in Plan(7, spec.workload).arrivals()
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"journeys": {"chekout": 1}}, "did you mean checkout?"),
        ({"ca_file": "/nowhere/ca.pem"}, "No such file"),
        ({"imports": ("/nowhere/journeys.py",)}, "no such file"),
    ],
)
def test_a_bad_specification_is_named_without_a_traceback(
    make_spec: Any, start: Any, changes: dict[str, Any], said: str
) -> None:
    status, log = start("generator", make_spec("http://127.0.0.1:1", **changes)).finish()
    assert status == 2
    assert said in log[-1]["error"]


def test_a_journey_that_fails_fails_the_generator(
    shop: Any, make_spec: Any, start: Any, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from payresil.core.registry import journey\n\n\n"
        "@journey\n"
        "def clumsy(client, random):\n"
        "    '''Pays, then falls over.'''\n"
        "    client.pay()\n"
        "    raise LookupError('oh')\n"
    )
    spec = make_spec(shop.url, journeys={"clumsy": 1}, rate=Rate(10.0), imports=(str(file),))
    status, log = start("generator", spec).finish()
    assert status == 1
    assert {row["outcome"] for row in rows_of(spec.folder)} == {"ok"}
    assert log[-1]["journeys_failed"] == len(rows_of(spec.folder))


def test_sigterm_before_the_task_is_given(tmp_path: Path) -> None:
    pipe = tmp_path / "orders"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "payresil.workloads.generator", "--spec", str(pipe)]
    )
    handle = os.open(pipe, os.O_WRONLY)  # returns when it listens
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    os.close(handle)


def test_customers_who_do_several_things_at_once(shop: Any, make_spec: Any, start: Any) -> None:
    spec = make_spec(shop.url, journeys={"refund": 1, "lookup": 1}, rate=Rate(40.0))
    status, log = start("generator", spec).finish()
    assert (status, log[-1]["journeys_failed"]) == (0, 0), log
    rows = rows_of(spec.folder)
    assert {row["outcome"] for row in rows if row["kind"] != "read"} == {"ok"}
    assert {row["key"] for row in rows if row["kind"] == "read"} == {None}
    refunds = [row for row in rows if row["kind"] == "refund"]
    assert {row["operation"] for row in refunds} == {"refund.1", "refund.2"}
    assert {(row["key"], row["amount_minor"]) for row in refunds} == {
        (one["key"], one["amount_minor"])
        for one in shop.state()["seen"]
        if one["path"].endswith("/refunds")
    }
    paid_ns = {row["intent"]: row["done_ns"] for row in rows if row["kind"] == "create"}
    assert all(row["sent_ns"] >= paid_ns[row["intent"]] + 10**8 for row in refunds)


def test_a_journey_that_never_ends_is_cut_off(
    shop: Any, make_spec: Any, start: Any, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from payresil.core.registry import journey\n\n\n"
        "@journey\n"
        "def endless(client, random):\n"
        "    '''Pays, and comes back in an hour.'''\n"
        "    client.pay()\n"
        "    client.attempt_later(3600, 'create')()\n"
    )
    spec = make_spec(
        shop.url,
        journeys={"endless": 1},
        rate=Rate(10.0),
        patience=Duration(0.0),
        timeout=Duration(0.5),
        imports=(str(file),),
    )
    status, log = start("generator", spec).finish()
    assert status == 0, log
    assert "cut_off" in {line["event"] for line in log}
    assert {row["attempt"] for row in rows_of(spec.folder)} == {1}
