from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.checkers.no_split_brain import no_split_brain
from payresil.core.values import Duration


def wall(history, at_s):
    return history.meta["zero_wall_us"] + round(at_s * 1_000_000)


def commit(history, n, at_s, region="a", epoch=1, **more):
    """One transition, as one database holds it."""
    row = {
        "moment": "end",
        "node": f"{region}/db",
        "at_ns": 43_000_000_000,
        "payment": f"pay-{n}",
        "intent": f"1a2b-{n}",
        "seq": 1,
        "to_state": "processing",
        "epoch": epoch,
        "region": region,
        "at_us": wall(history, at_s),
    }
    history.tables.setdefault("commits", []).append(row | more)


@pytest.fixture
def taken_over(empty):
    """Region a takes payments until 12, region b from 14 on; b/db holds what a/db did."""
    empty.epoch(1, "a", -3)
    empty.epoch(2, "b", 14)
    for n in range(10):
        commit(empty, n, n, moment="before_rejoin")
        commit(empty, n, n, node="b/db")
        commit(empty, n, n + 0.1, node="b/db", seq=2, to_state="succeeded")
        commit(empty, 100 + n, 15 + n, "b", 2)
    return empty


def test_one_region_after_the_other(taken_over, ask):
    said = ask(no_split_brain, taken_over.run())
    assert said.passes
    assert said.value("epochs_judged") == 2
    assert said.value("commits_judged") == 30  # each once, though two databases hold some
    assert said.value("commits_of_a_judged") == 20
    assert said.value("commits_of_b_judged") == 10
    assert said.value("commits_after_epoch") == 0
    assert said.value("late_requests") is None  # nobody wrote the epochs of requests down


def test_two_regions_in_one_epoch(taken_over, ask):
    commit(taken_over, 50, 13, "b", 1)
    commit(taken_over, 51, 13.5, "b", 1)
    said = ask(no_split_brain, taken_over.run())
    assert [f.message for f in said.findings] == [
        "epoch 1 is region a's, and region b committed 2 in it"
    ]
    assert said.about == ["1a2b-50"]


def test_an_epoch_that_nobody_took(taken_over, ask):
    commit(taken_over, 50, 20, "b", 7)
    (finding,) = ask(no_split_brain, taken_over.run()).findings
    assert finding.message == "epoch 7 nobody took, and region b committed 1 in it"


@pytest.mark.parametrize(("at_s", "found"), [(14.05, 0), (14.051, 1), (30, 1)])
def test_a_fenced_region_takes_nothing_when_it_returns(taken_over, ask, at_s, found):
    commit(taken_over, 50, at_s, moment="before_rejoin")
    said = ask(no_split_brain, taken_over.run())
    assert len(said.findings) == found
    if found:
        assert said.findings[0].message == (
            f"region a took it in epoch 1, {at_s - 14:.3f} s after the next epoch was taken"
        )
    assert ask(no_split_brain, taken_over.run(), clock_skew=Duration(17)).passes


def test_an_answer_that_was_under_way_is_counted(taken_over, ask):
    commit(taken_over, 9, 16, moment="before_rejoin", seq=3, to_state="succeeded")
    commit(taken_over, 9, 17, "b", 2, seq=4, to_state="succeeded")
    said = ask(no_split_brain, taken_over.run())
    assert said.passes
    assert said.value("commits_after_epoch") == 1


def test_two_ends_of_one_payment(taken_over, ask):
    commit(taken_over, 9, 16, moment="before_rejoin", seq=3, to_state="succeeded")
    commit(taken_over, 9, 17, "b", 2, seq=3, to_state="failed")
    said = ask(no_split_brain, taken_over.run())
    assert [(f.message, f.intent) for f in said.findings] == [
        (
            "succeeded by region a in epoch 1, which was over, and failed by region b in epoch 2",
            "1a2b-9",
        )
    ]


def test_requests_that_came_late(taken_over, ask):
    psp_epochs = taken_over.tables.setdefault("psp_epochs", [])
    for n, (at_s, epoch) in enumerate([(13, 1), (14.2, 1), (14.3, 1), (15, 2)]):
        row = taken_over.psp_attempt(n, at_s)
        psp_epochs.append(
            {"request": row["request"], "epoch": epoch, "received_ns": row["received_ns"]}
        )
        if at_s != 14.3:
            taken_over.charge(n, at_s, request=row["request"])
    said = ask(no_split_brain, taken_over.run())
    assert said.passes
    assert said.value("late_requests") == 2
    assert said.value("late_charges") == 1


def test_a_lease_that_was_never_taken_over_is_a_doubt(empty, ask):
    empty.epoch(1, "a", -3)
    commit(empty, 1, 1)
    (doubt,) = ask(no_split_brain, empty.run()).doubts
    assert doubt.message.startswith("no other region ever took the lease over")


def test_a_lease_that_its_own_region_took_again_is_the_same_doubt(empty, ask):
    empty.epoch(1, "a", -3)
    empty.epoch(2, "a", 12)
    commit(empty, 1, 1)
    said = ask(no_split_brain, empty.run())
    assert said.value("epochs_judged") == 2
    assert said.doubts[0].message.startswith("no other region ever took the lease over")


def test_two_primaries_of_one_region_that_take_commits_in_turns(taken_over, ask):
    for n, node in enumerate(["b/db", "b/db.2"] * 3):
        commit(taken_over, 50 + n, 30 + n, "b", 2, node=node)
    said = ask(no_split_brain, taken_over.run())
    assert [(f.message, f.intent) for f in said.findings] == [
        (
            "b/db and b/db.2 of region b both took commits in epoch 2: 13 are in b/db alone, 3 in "
            "b/db.2 alone",
            "1a2b-100",
        )
    ]


def test_one_that_took_over_from_another_that_lost_something_is_no_second_one(taken_over, ask):
    for n, node in enumerate(["b/db"] * 3 + ["b/db.2"] * 3):
        commit(taken_over, 50 + n, 30 + n, "b", 2, node=node)
    assert ask(no_split_brain, taken_over.run()).passes


@pytest.mark.parametrize(("region", "found"), [("b", 1), ("a", 0)])
def test_two_primaries_in_the_end_in_the_region_that_has_the_lease(taken_over, ask, region, found):
    for node in (f"{region}/db", f"{region}/db.2"):
        commit(taken_over, 9, 9, node=node)
        taken_over.event(43.6, "node", node, "stands", '{"role": "primary", "source": null}')
    said = ask(no_split_brain, taken_over.run())
    assert len(said.findings) == found
    assert not said.doubts
    if found:
        assert said.findings[0].message.startswith("b/db and b/db.2 are primaries in the end")


def test_what_a_database_says_at_the_audit_counts_more_than_its_last_sample(taken_over, ask):
    for node, role in (("b/db", "primary"), ("b/db.2", "standby")):
        commit(taken_over, 9, 9, node=node)
        taken_over.sample(20, node, "database_is_primary", 1)
        taken_over.event(43.6, "node", node, "stands", f'{{"role": "{role}"}}')
    assert ask(no_split_brain, taken_over.run()).passes


def test_a_region_whose_databases_nobody_read_is_a_doubt(taken_over, ask):
    taken_over.tables["commits"] = [c for c in taken_over["commits"] if c["node"] != "a/db"]
    (doubt,) = ask(no_split_brain, taken_over.run()).doubts
    assert doubt.message.startswith("no database of region a was read")


def test_a_former_primary_that_nobody_read_is_a_doubt(taken_over, ask):
    for row in taken_over["commits"]:
        if row["node"] == "a/db":
            row["node"] = "a/db.2"
    taken_over.sample(5, "a/db", "database_is_primary", 1)
    taken_over.sample(5, "a/db.2", "database_is_primary", 0)
    (doubt,) = ask(no_split_brain, taken_over.run()).doubts
    assert doubt.message == (
        "a/db was a primary and was read neither at the end nor before it was made anew"
    )


def test_commits_without_an_epoch_are_a_doubt(taken_over, ask):
    commit(taken_over, 50, 5, epoch=None)
    (doubt,) = ask(no_split_brain, taken_over.run()).doubts
    assert doubt.message == "1 transitions name no epoch, so they cannot be judged"


def test_nothing_recorded_is_no_pass(empty, ask):
    said = ask(no_split_brain, empty.run())
    assert said.doubts
    assert said.value("commits_judged") == 0


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab"), st.sampled_from([1, 2]))),
    seed=st.integers(0, 2**32),
)
def test_against_the_definition_in_any_order(rows, seed, empty_run, ask, same_in_any_order):
    history = empty_run()
    history.epoch(1, "a", -3)
    history.epoch(2, "b", 14)
    for n, (at_s, region, epoch) in enumerate(rows):
        commit(history, n, at_s, region, epoch)
    said = ask(no_split_brain, history.run())
    others = {(region, epoch) for _, region, epoch in rows} & {("b", 1), ("a", 2)}
    late = [row for row in rows if row[2] == 1 and row[0] > 14]
    assert len(said.findings) == len(others) + len(late)
    same_in_any_order(no_split_brain, history, seed)
