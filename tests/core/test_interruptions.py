"""Which fault a remedy answered, and which of those that need not be noticed was."""

from __future__ import annotations

import json

import pytest

from payresil.core.interruptions import answered_fault, interruptions, noticed
from payresil.core.remedy_record import remedies
from payresil.core.run import Run
from payresil.core.values import Duration, Share

S = 1_000_000_000


def event(at_s, kind, name, what, **detail):
    said = {"kind": kind, "name": name, "what": what, "detail": json.dumps(detail)}
    return {"at_ns": round(at_s * S), **said}


def fault(name, at_s, healed_s=None):
    healed = [] if healed_s is None else [event(healed_s, "fault", name, "healed")]
    return [event(at_s, "fault", name, "inject"), *healed]


def failover(unwell_for_s=None):
    """Detected at 11; unwell for so long by then."""
    seen = {} if unwell_for_s is None else {"unwell_for_s": unwell_for_s}
    return [
        event(5, "remedy", "failover", "begin"),
        event(5, "remedy_step", "failover", "begin", step="detect"),
        event(11, "remedy_step", "failover", "end", step="detect", **seen),
        event(15, "remedy", "failover", "end"),
    ]


def payments(*unserved):
    """One each 100 ms until 20, answered at once; those due in the spans are not ok."""
    rows = []
    for n in range(200):
        due_s = n / 10
        ok = not any(start <= due_s < end for start, end in unserved)
        at_ns = round(due_s * S)
        rows.append(
            {
                "intent": f"x-{n}",
                "n": n,
                "operation": "pay",
                "source": "load",
                "kind": "create",
                "due_ns": at_ns,
                "sent_ns": at_ns,
                "done_ns": at_ns + 1,
                "outcome": "ok" if ok else "unknown",
            }
        )
    return rows


def answered(*faults, unwell_for_s=None, attempts=()):
    events = [*failover(unwell_for_s), *(row for rows in faults for row in rows)]
    run = Run.from_rows({}, events=events, attempts=list(attempts))
    return answered_fault(run, remedies(run)[0])


def test_the_last_one_before_it_was_detected():
    faults = fault("crash", 3), fault("region_loss", 9.5), fault("later", 12)
    assert answered(*faults) == ("region_loss", round(9.5 * S))


def test_the_last_one_before_it_was_first_found_unwell():
    faults = fault("region_loss", 9.5), fault("psp_slow", 10.5)
    assert answered(*faults, unwell_for_s=1) == ("region_loss", round(9.5 * S))
    assert answered(*faults, unwell_for_s=0.4) == ("psp_slow", round(10.5 * S))


def test_one_that_began_while_the_watch_waited_for_an_answer():
    faults = fault("psp_slow", 3), fault("region_loss", 9.5)
    assert answered(*faults, unwell_for_s=1.6) == ("region_loss", round(9.5 * S))
    assert answered(fault("region_loss", 9.5), fault("crash", 10), unwell_for_s=3) == (
        "region_loss",
        round(9.5 * S),
    )


def test_one_that_nobody_need_notice_is_answered_where_there_is_no_other():
    archive = fault("archive_loss", 10.25)
    assert answered(fault("region_loss", 9.5), archive) == ("region_loss", round(9.5 * S))
    assert answered(archive) == ("archive_loss", round(10.25 * S))


def test_or_where_it_was_noticed():
    faults = fault("psp_slow", 3, 6), fault("standby_loss", 9)
    assert answered(*faults, attempts=payments()) == ("psp_slow", 3 * S)
    assert answered(*faults, attempts=payments((9, 12))) == ("standby_loss", 9 * S)


def test_none_where_there_was_none_or_all_were_healed():
    assert answered() is None
    assert answered(fault("crash", 3, 4.9)) is None


@pytest.mark.parametrize(
    ("unserved", "found"),
    [
        ([], set()),
        ([(9.5, 9.6)], {"standby_loss"}),  # a single one of ten
        ([(8.5, 9.6)], set()),  # nobody was served before, either
        ([(12, 13)], set()),  # the next fault had begun
        ([(13.5, 15)], set()),
    ],
)
def test_unserved_while_it_was_active_and_nothing_else_had_begun(unserved, found):
    events = [*fault("standby_loss", 9, 13), *fault("crash", 11, 12)]
    run = Run.from_rows({}, events=events, attempts=payments(*unserved))
    assert noticed(run) == found


def test_who_waited_for_an_answer_as_it_began_was_not_unserved_before():
    attempts = payments((8.9, 9.6))
    for row in attempts:
        if row["outcome"] == "unknown":
            row["done_ns"] += S
    assert noticed(Run.from_rows({}, events=fault("standby_loss", 9, 13), attempts=attempts))


def test_of_a_window_that_began_while_it_was_active_all_counts():
    events = fault("standby_loss", 9, 10.5)
    assert noticed(Run.from_rows({}, events=events, attempts=payments((10.9, 11))))
    assert not noticed(Run.from_rows({}, events=events, attempts=payments((11, 11.1))))


def test_what_there_is_to_judge():
    window, threshold = Duration(1), Share(0.99)

    def names(events, *unserved):
        run = Run.from_rows({}, events=events, attempts=payments(*unserved))
        return [each.name for each in interruptions(run, window, threshold)]

    events = [*fault("archive_loss", 2), *fault("standby_loss", 5, 8), *fault("crash", 9, 10)]
    assert names(events) == ["crash"]
    assert names(events, (6, 7)) == ["standby_loss", "crash"]
    assert names(events[:3]) == ["archive_loss", "standby_loss"]
    assert names(events[:3], (6, 7)) == ["standby_loss"]
