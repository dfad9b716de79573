from __future__ import annotations

import json

import pytest

from payresil.core.remedy_record import promotions, remedies, unfinished
from payresil.core.run import Run

S = 1_000_000_000


def event(at_s, kind, name, what, **detail):
    return {
        "at_ns": round(at_s * S),
        "kind": kind,
        "name": name,
        "what": what,
        "detail": json.dumps(detail),
    }


FAILOVER = [
    event(10, "remedy", "failover", "begin", to="b", confirm="2s"),
    event(10, "remedy_step", "failover", "begin", step="detect"),
    event(11, "remedy_step", "failover", "end", step="detect", silent="a"),
    event(13, "remedy_step", "failover", "begin", step="promote"),
    event(14, "remedy_step", "failover", "end", step="promote", node="b/db"),
    event(15, "remedy", "failover", "end", region="b"),
]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_remedy_with_its_steps(backwards):
    (remedy,) = remedies(Run.from_rows({}, events=FAILOVER[::-1] if backwards else FAILOVER))
    assert (remedy.id, remedy.kind, remedy.done) == ("failover", "failover", True)
    assert remedy.detail == {"to": "b", "confirm": "2s", "region": "b"}
    assert [(step.name, step.took_ns) for step in remedy.steps] == [
        ("detect", 1 * S),
        ("promote", 1 * S),
    ]
    assert remedy.steps[1].detail["node"] == "b/db"


def test_a_second_one_is_told_apart_and_so_is_a_step_that_comes_again():
    more = [
        event(20, "remedy", "failover.2", "begin"),
        event(20, "remedy_step", "failover.2", "begin", step="promote"),
        event(21, "remedy_step", "failover.2", "failed", step="promote", error="no"),
        event(22, "remedy_step", "failover.2", "begin", step="promote"),
        event(23, "remedy_step", "failover.2", "end", step="promote"),
        event(23, "remedy", "failover.2", "end"),
    ]
    run = Run.from_rows({}, events=[*FAILOVER, *more])
    assert [remedy.id for remedy in remedies(run)] == ["failover", "failover.2"]
    assert [(p.remedy.id, p.start_ns) for p in promotions(run)] == [
        ("failover", 13 * S),
        ("failover.2", 22 * S),
    ]


def test_no_events_are_no_remedies():
    run = Run.from_rows({}, events=[event(1, "fault", "f", "inject")])
    assert remedies(run) == promotions(run) == list(unfinished(run)) == []


@pytest.mark.parametrize(("unwell_for_s", "since_s"), [(0.75, 10.25), (None, 11), (9, 10)])
def test_it_says_since_when_it_was_unwell(unwell_for_s, since_s):
    seen = {} if unwell_for_s is None else {"unwell_for_s": unwell_for_s}
    events = [
        event(11, "remedy_step", "failover", "end", step="detect", **seen)
        if each["what"] == "end" and each["at_ns"] == 11 * S
        else each
        for each in FAILOVER
    ]
    (remedy,) = remedies(Run.from_rows({}, events=events))
    assert remedy.known_ns == 11 * S
    assert remedy.unwell_ns == round(since_s * S)


def test_one_that_failed_says_where_and_why():
    events = [
        *FAILOVER[:4],
        event(14, "remedy_step", "failover", "failed", step="promote", error="b/db is silent"),
        event(14, "remedy", "failover", "failed", error="b/db is silent"),
    ]
    run = Run.from_rows({}, events=events)
    assert list(unfinished(run)) == ["remedy failover failed at step promote: b/db is silent"]
    assert promotions(run) == []


def test_one_that_never_ended_says_so():
    run = Run.from_rows({}, events=FAILOVER[:4])
    assert list(unfinished(run)) == ["remedy failover never ended: the run ended at step promote"]
    run = Run.from_rows({}, events=FAILOVER[:1])
    assert list(unfinished(run)) == ["remedy failover never ended: the run ended before it did"]


def test_a_detail_that_is_no_json_breaks_nothing():
    events = [*FAILOVER, {**event(16, "remedy_step", "failover", "begin"), "detail": "{"}]
    (remedy,) = remedies(Run.from_rows({}, events=events))
    assert remedy.steps[-1].name == "unnamed"
