from __future__ import annotations

import json

import pytest

from payresil.checkers.backup_freshness import backup_freshness
from payresil.core.values import Duration


def samples(history, lags):
    """How far the archive was behind in each second from 0 on."""
    for at_s, lag_s in enumerate(lags):
        history.sample(at_s, "w/archive", "archive_lag_seconds", lag_s)


def aim(history, **parameters):
    """What the fault of the run, from 10 to 18, was given."""
    for event in history["events"]:
        if event["kind"] == "fault" and event["what"] == "inject":
            event["detail"] = json.dumps(parameters)


def test_fresh_at_all_times(empty, ask):
    samples(empty, [0.25] * 10 + [1.5] + [0.5] * 20)
    said = ask(backup_freshness, empty.run(), within=Duration(1.5))
    assert said.passes
    assert said.value("samples_judged") == 31
    assert said.value("archive_lag") == 1.5
    assert said.value("archive_lag.lost") == 1.5  # at the very moment that it began


def test_too_far_behind(empty, ask):
    samples(empty, [0] * 12 + [2, 3.5, 2])
    said = ask(backup_freshness, empty.run(), within=Duration(1.5))
    assert [f.message for f in said.findings] == [
        "w/archive was 2.000 s behind at 12.000 s of run time, not within 1500ms; so in 3 of 15 "
        "samples"
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {"node": "w/archive"},
        {"node": "archive"},
        {"link": "w/archive->a/db"},
        {"region": "w"},
        {"region": "a", "others": ["b", "w"]},
    ],
)
def test_an_archive_that_is_faulted_itself_may_be_behind(empty, ask, parameters):
    samples(empty, [0] * 10 + list(range(13)) + [0] * 5)
    aim(empty, **parameters)
    said = ask(backup_freshness, empty.run(), within=Duration(1))
    assert said.passes
    assert (said.value("archive_lag"), said.value("archive_lag_faulted")) == (0, 12)


def test_but_not_for_ever_nor_when_something_else_is_faulted(empty, ask):
    samples(empty, [0] * 10 + list(range(15)))
    aim(empty, node="w/archive")
    assert ask(backup_freshness, empty.run(), within=Duration(1)).findings
    aim(empty, region="a", others=["b", "psp"])
    assert ask(backup_freshness, empty.run(), within=Duration(13)).findings
    aim(empty, node="w/witness", link="service->db")
    assert ask(backup_freshness, empty.run(), within=Duration(13)).findings


def test_no_samples_and_none_before_a_fault_are_doubts(empty, ask):
    (doubt,) = ask(backup_freshness, empty.run(), within=Duration(1)).doubts
    assert doubt.message.startswith("no sample says how far the archive was behind")
    samples(empty, [0, 0])
    (doubt,) = ask(backup_freshness, empty.run(), within=Duration(1)).doubts
    assert doubt.message == "lost: no sample of the archive in the 5 s before it began"


def test_the_same_in_any_order(empty, same_in_any_order):
    samples(empty, [0, 3, 0, 1, 4, 0, 0, 0, 2])
    same_in_any_order(backup_freshness, empty, 5, within=Duration(1))
