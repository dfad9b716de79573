from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.golden_signals import golden_signals
from payresil.core.schemas import SCRAPE_SECONDS

ONE, TWO = "a/service.1", "a/service.2"
S = 1_000_000_000
SIGNALS = {
    "traffic": "requests_total",
    "latency": "request_seconds",
    "saturation": "waiting",
    "status": "status",
    "where": {"route": ["pay", "read"]},
}


def described(history):
    history.meta |= {"nodes": ["customers", ONE, TWO, "a/db"], "signals": dict(SIGNALS)}
    history.tables["samples"] = []
    return history


def attempts(history, count=200, every_s=0.2):
    """Requests by turns to both instances, answered in 20 ms."""
    for n in range(count):
        history.attempt(n, n * every_s, instance=TWO if n % 2 else ONE)


def scrape(history, *, times=range(1, 41), nodes=(ONE, TWO), since_s=-10.0):
    """What both would show: each request counted when it was answered, taking 15 of its 20 ms."""
    for second in times:
        for place, node in enumerate(nodes):
            at_ns = second * S + place * 5_000_000
            rows = [
                row
                for row in history["attempts"]
                if row.get("instance") == node and since_s * S <= row["done_ns"] <= at_ns
            ]
            reading(history, node, at_ns, rows)


def reading(history, node, at_ns, rows):
    by_status: dict[tuple[str, int], int] = {}
    for row in rows:
        key = ("read" if row["kind"] == "read" else "pay", row["status"])
        by_status[key] = by_status.get(key, 0) + 1
    seconds = sum(row["done_ns"] - row["sent_ns"] for row in rows) / 1e9 * 0.75
    values = {
        ("up", ""): 1,
        ("waiting", ""): 2,
        ("requests_total", 'route="webhook",status="200"'): at_ns // 1_000_000,
        ("request_seconds_count", 'route="webhook"'): at_ns // 1_000_000,
        ("request_seconds_sum", 'route="webhook"'): at_ns // 1_000_000,
        ("request_seconds_count", 'route="pay"'): len(rows),
        ("request_seconds_sum", 'route="pay"'): seconds,
    } | {
        ("requests_total", f'route="{route}",status="{status}"'): count
        for (route, status), count in by_status.items()
    }
    for (metric, labels), value in values.items():
        sample = {"at_ns": at_ns, "node": node, "metric": metric, "labels": labels}
        history["samples"].append({**sample, "value": float(value)})


def timed(history, took_s):
    """Records how long each scrape took."""
    for row in [row for row in history["samples"] if row["metric"] == "up"]:
        history["samples"].append({**row, "metric": SCRAPE_SECONDS, "value": took_s})


def scaled(history, metric, factor, *, node=ONE, label='"pay"'):
    for row in history["samples"]:
        if row["metric"] == metric and row["node"] == node and label in row["labels"]:
            row["value"] *= factor


@pytest.fixture
def watched(empty):
    """A run whose metrics agree with its attempts."""
    described(empty)
    attempts(empty)
    scrape(empty)
    return empty


def test_metrics_that_agree(watched, ask):
    said = ask(golden_signals, watched.run())
    assert said.passes
    assert said.value("stretches_judged") == 8  # each instance: all of it, and three phases
    assert said.value("requests_judged") == 195
    assert said.value("requests_surely_seen") <= 195 <= said.value("requests_possibly_seen")
    assert said.value("mean_latency_by_service") == pytest.approx(15)
    assert said.value("mean_latency_by_clients") == pytest.approx(20)
    assert said.value("saturation_most") == 2


def test_requests_that_are_not_counted(watched, ask):
    scaled(watched, "requests_total", 0.9)
    said = ask(golden_signals, watched.run())
    assert said.findings[0].message == (
        "traffic of a/service.1, 1.000 s to 40.000 s: the service counted 87 requests, what "
        "clients saw allows 97 to 97"
    )


def test_requests_that_nobody_sent(watched, ask):
    scaled(watched, "requests_total", 1.2, node=TWO)
    said = ask(golden_signals, watched.run())
    assert said.findings[0].message.startswith("traffic of a/service.2, 1.005 s to 40.005 s:")


def test_a_phase_is_judged_by_itself(watched, ask):
    for row in watched["samples"]:  # counts twice until 18 s, then too little
        if row["metric"] == "requests_total" and '"pay"' in row["labels"] and row["node"] == ONE:
            second = row["at_ns"] / S
            row["value"] += min(second, 18) * 2.5 - max(0, second - 18) * 42.5 / 22
    found = [f.message for f in ask(golden_signals, watched.run()).findings]
    assert [each.split(":")[0] for each in found] == [
        "traffic of a/service.1, steady, 1.000 s to 9.000 s",
        "traffic of a/service.1, faulted, 10.000 s to 17.000 s",
        "traffic of a/service.1, recovering, 18.000 s to 39.000 s",
    ]


def test_errors_that_are_counted_as_something_else(empty, ask):
    described(empty)
    attempts(empty)
    for row in empty["attempts"]:
        if 100 <= row["n"] < 120:
            row.update(status=503, outcome="unknown", answer=None)
    scrape(empty)
    assert ask(golden_signals, empty.run()).passes
    for row in empty["samples"]:
        row["labels"] = row["labels"].replace("503", "200")
    said = ask(golden_signals, empty.run())
    assert {f.message.split(" of ")[0] for f in said.findings} == {"errors"}
    assert "the service counted 0 5xx, what clients saw allows 10 to 10" in said.findings[0].message


def test_errors_that_nobody_saw(watched, ask):
    for row in watched["samples"]:
        row["labels"] = row["labels"].replace('status="200"', 'status="500"')
    found = ask(golden_signals, watched.run()).findings
    assert found[0].message.startswith("errors of a/service.1")


def test_a_service_that_times_more_than_its_customers_waited(watched, ask):
    scaled(watched, "request_seconds_sum", 2)
    said = ask(golden_signals, watched.run())
    assert said.findings[0].message == (
        "latency of a/service.1, 1.000 s to 40.000 s: the service says that its 97 requests took "
        "2.910 s altogether, their clients waited 1.940 s at most"
    )


def test_a_service_that_does_not_time_every_request(watched, ask):
    scaled(watched, "request_seconds_count", 0.5)
    said = ask(golden_signals, watched.run())
    assert "latency of a/service.1" in said.findings[0].message
    assert "counted 48 timed requests" in said.findings[0].message


def test_a_new_start_begins_a_new_stretch(empty, ask):
    described(empty)
    attempts(empty)
    scrape(empty, times=range(1, 15))
    scrape(empty, times=range(15, 41), since_s=14.5)
    for node in (ONE, TWO):
        empty.event(14.5, "node", node, "started")
    said = ask(golden_signals, empty.run())
    assert said.passes
    assert said.value("requests_judged") < 195


def test_a_counter_that_falls_without_a_new_start(empty, ask):
    described(empty)
    attempts(empty)
    scrape(empty, times=range(1, 15))
    scrape(empty, times=range(15, 41), since_s=14.5)
    empty.event(14.5, "node", TWO, "killed")
    said = ask(golden_signals, empty.run())
    assert [f.message for f in said.findings] == [
        "a/service.1: its counters fell 1 times without a new start, first between 14.000 s and "
        "15.000 s, from 35 requests, 0 errors, 35 timed requests, 0.525 s to 1 requests, 0 errors, "
        "1 timed requests, 0.015 s"
    ]


def test_a_counter_that_only_falls_is_a_finding_and_leaves_nothing_to_judge(watched, ask):
    for row in watched["samples"]:
        if row["metric"] == "requests_total" and row["node"] == ONE and '"pay"' in row["labels"]:
            row["value"] = 1000 - row["value"]
    said = ask(golden_signals, watched.run())
    assert "a/service.1: its counters fell 39 times without" in said.findings[0].message
    assert [d.message for d in said.doubts] == [
        "a/service.1: no two readings without a new start in between: nothing of it was judged"
    ]


def test_an_instance_that_nobody_asked_anything_was_not_judged(watched, ask):
    watched["attempts"][:] = [row for row in watched["attempts"] if row["instance"] == ONE]
    watched["samples"][:] = [
        row | {"value": 1.0} if row["node"] == TWO and row["metric"] != "up" else row
        for row in watched["samples"]
    ]
    said = ask(golden_signals, watched.run())
    assert not said.findings
    assert [d.message for d in said.doubts] == [
        "a/service.2: no attempt was surely counted between two of its readings: that its metrics "
        "agree says nothing"
    ]


def test_a_service_that_times_a_small_part_of_what_its_customers_waited(watched, ask):
    for node in (ONE, TWO):
        scaled(watched, "request_seconds_sum", 0.0001, node=node)
    said = ask(golden_signals, watched.run())
    assert not said.findings
    assert said.doubts[0].message == (
        "latency of a/service.1, steady, 1.000 s to 9.000 s: the service says that its requests "
        "took 0.000 s altogether, and for 20 of them alone their clients waited 0.400 s, with "
        "nothing broken: where that time went, its metrics do not show"
    )
    assert len(said.doubts) == 2  # each instance, in the phase without a fault


def test_a_new_start_that_only_the_events_show(empty, ask):
    described(empty)
    attempts(empty)
    scrape(empty, times=range(1, 5))
    scrape(empty, times=range(20, 41), since_s=5)
    assert ask(golden_signals, empty.run()).findings
    for node in (ONE, TWO):
        empty.event(12, "node", node, "started")
    assert ask(golden_signals, empty.run()).passes


def test_scrapes_that_failed_are_no_readings_of_zero(watched, ask):
    for row in watched["samples"]:
        if 10 * S <= row["at_ns"] < 14 * S and row["node"] == ONE:
            row.update(metric="up", value=0.0)
    assert ask(golden_signals, watched.run()).passes


def test_what_nobody_answered_may_have_been_counted_by_anybody_and_later(empty, ask):
    described(empty)
    attempts(empty)
    scrape(empty)
    for row in empty["attempts"]:
        if 50 <= row["n"] < 60:
            row.update(instance=None, status=None, outcome="unknown", error="timeout", answer=None)
    assert ask(golden_signals, empty.run()).passes
    for row in empty["attempts"]:
        if row["instance"] is None:
            row["error"] = "refused"  # it never got there
    assert ask(golden_signals, empty.run()).findings


def test_a_request_that_was_cut_off_may_be_counted_in_a_later_stretch(empty, ask):
    described(empty)
    attempts(empty)
    late = {
        "sent_ns": 12 * S, "done_ns": 14 * S, "instance": ONE, "kind": "create", "status": 201
    }  # fmt: skip
    empty["attempts"].append({**empty.of("attempts", 0), "n": 500, "intent": "1a2b-500", **late})
    for row in empty["attempts"][-1:]:
        row["done_ns"] = 30 * S  # as the service sees it
    scrape(empty)
    empty["attempts"][-1].update(
        done_ns=14 * S, instance=None, status=None, outcome="unknown", error="timeout"
    )
    assert ask(golden_signals, empty.run()).passes


def test_the_audits_reads_need_not_be_counted(watched, ask):
    for n in range(20):
        watched.attempt(n, 30, source="audit", kind="read", instance=ONE)
    assert ask(golden_signals, watched.run()).passes


def test_a_read_that_the_balancer_sent_twice_when_a_fault_broke_its_connection(empty, ask):
    described(empty)
    attempts(empty)
    for n in range(70, 80):
        empty.of("attempts", n)["kind"] = "read"
    empty["attempts"].extend([dict(row) for row in empty["attempts"][70:80]])
    scrape(empty)
    del empty["attempts"][-10:]
    assert ask(golden_signals, empty.run()).passes
    empty["events"][:] = [e for e in empty["events"] if e["kind"] != "fault"]
    assert ask(golden_signals, empty.run()).findings


def test_attempts_that_were_lost_with_their_generator_leave_a_doubt(watched, ask):
    scaled(watched, "requests_total", 1.2)
    watched["reserved"].append({"first": 1000, "count": 5, "source": "load"})
    said = ask(golden_signals, watched.run())
    assert not said.findings
    assert "of 5 payments no attempt is on record" in said.doubts[0].message


def test_a_file_that_names_no_metrics(watched, ask):
    watched.meta["signals"] = None
    (doubt,) = ask(golden_signals, watched.run()).doubts
    assert doubt.message.startswith("run.json does not name the service's metrics")


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("requests_total", "a/service.1 never showed requests_total, its counter of requests"),
        ("request_seconds_count", "a/service.1 never showed request_seconds_count, its latency"),
        ("waiting", "a/service.1 never showed waiting, its saturation"),
    ],
)
def test_a_metric_that_is_not_there(watched, ask, metric, words):
    watched["samples"][:] = [row for row in watched["samples"] if row["metric"] != metric]
    assert words in [d.message for d in ask(golden_signals, watched.run()).doubts]


def test_one_scrape_is_not_enough(watched, ask):
    watched["samples"][:] = [row for row in watched["samples"] if row["at_ns"] < 2 * S]
    said = ask(golden_signals, watched.run())
    assert "a/service.1: its metrics were read 1 times, and it takes two" in [
        d.message for d in said.doubts
    ]
    assert said.value("stretches_judged") == 0


def test_a_service_that_does_not_say_who_answered(watched, ask):
    for row in watched["attempts"]:
        row["instance"] = None
    said = ask(golden_signals, watched.run())
    assert not said.findings
    assert "api.instance_header" in said.doubts[0].message


def test_an_empty_run(empty, ask):
    assert ask(golden_signals, empty.run()).doubts
    assert len(ask(golden_signals, described(empty).run()).doubts) == 3


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_a_service_that_counts_right_is_never_found_whatever_the_traffic(
    seed, empty_run, ask, same_in_any_order
):
    history = described(empty_run())
    rng = random.Random(seed)
    for n in range(150):
        history.attempt(
            n,
            rng.uniform(0, 40),
            rng.choice([5, 20, 900, 4000]),
            instance=rng.choice([ONE, TWO]),
            status=rng.choice([200, 200, 409, 503]),
            kind=rng.choice(["create", "create", "read"]),
        )
    since = rng.randint(5, 29) + rng.uniform(0.1, 0.9)  # between two readings of both
    scrape(history, times=[t for t in range(1, 41) if t < since])
    scrape(history, times=[t for t in range(1, 41) if t >= since], since_s=since)
    for node in (ONE, TWO):
        history.event(since, "node", node, "started")
    for row in history["attempts"]:
        if rng.random() < 0.1:  # the answer was lost on its way to the client, who gave up
            gone_ns = rng.randint(0, row["done_ns"] - row["sent_ns"])
            row.update(instance=None, status=None, error="timeout", outcome="unknown")
            row["done_ns"] = row["sent_ns"] + gone_ns
    assert ask(golden_signals, history.run()).passes
    same_in_any_order(golden_signals, history, seed)


def test_a_scrape_that_is_known_to_have_been_short_leaves_less_open(empty, ask):
    described(empty)
    attempts(empty)
    scrape(empty, times=range(1, 40))
    rough = ask(golden_signals, empty.run())
    timed(empty, 0.002)
    exact = ask(golden_signals, empty.run())
    assert rough.passes
    assert exact.passes
    # what was sent while the last node was asked: for all that was known, until a second later
    assert exact.value("requests_surely_seen") > rough.value("requests_surely_seen")
    assert exact.value("requests_possibly_seen") < rough.value("requests_possibly_seen")


def test_a_long_scrape_leaves_open_what_was_counted_meanwhile(empty, ask):
    described(empty)
    attempts(empty)
    scrape(empty, times=range(1, 40))
    timed(empty, 0.002)
    exact = ask(golden_signals, empty.run())
    timed(empty, 0.9)
    said = ask(golden_signals, empty.run())
    assert said.passes
    assert said.value("requests_possibly_seen") > exact.value("requests_possibly_seen")
