from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.core import registry
from payresil.core.scenario import (
    CheckStep,
    FaultStep,
    RemedyStep,
    Scenario,
    SystemChoice,
    Workload,
)
from payresil.core.values import Duration, Rate, Share
from payresil.engine.scenario_file import InvalidScenario, dump_scenario, load_scenario

Write = Callable[..., Path]


def refused(path: Path, **options: Any) -> list[str]:
    """The problems of a scenario, without the folder of its file."""
    with pytest.raises(InvalidScenario) as caught:
        load_scenario(path, **options)
    return [line.removeprefix(f"{path.parent}/") for line in str(caught.value).splitlines()]


def test_a_scenario_is_loaded_with_its_defaults(good: str, write: Write) -> None:
    scenario = load_scenario(write(good))
    assert scenario.system == SystemChoice("refpay")
    assert scenario.workload == Workload(
        rate=Rate(50),
        duration=Duration(40),
        journeys={"checkout": 8, "impatient": 2},
        warm_up=Duration(1),
        arrivals="constant",
        patience=Duration(8),
        timeout=Duration(2),
    )
    assert [step.id for step in scenario.faults] == [
        "lost_answers",
        "latency",
        "lost_answers.2",
        "crash",
    ]
    assert scenario.faults[0].parameters == {"share": Share(0.3)}
    assert scenario.faults[2].parameters == {"share": Share(1.0)}
    assert scenario.faults[0].where.endswith("scenario.yaml:14:5")
    assert scenario.checks[3] == CheckStep("recovery", {"rto": Duration(15), "window": Duration(1)})


def test_only_what_is_needed_has_to_be_said(write: Write) -> None:
    scenario = load_scenario(
        write("""
            name: plain
            claim: It works.
            system: refpay
            workload: {rate: 1/s, duration: 1m, journeys: {checkout: 1}}
            checks: [idempotency]
        """)
    )
    assert scenario.seed == 0
    assert scenario.faults == ()
    assert scenario.workload.warm_up == Duration(2)


def test_seed_and_flaw_can_be_given_from_outside(good: str, write: Write) -> None:
    path = write(good)
    assert load_scenario(path, seed=11).seed == 11
    assert load_scenario(path, seed=0).seed == 0
    scenario = load_scenario(path, flaw="some-flaw", recorded=True)
    assert scenario.system == SystemChoice("refpay", "some-flaw")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seed: 7", "sed: 7", "4:1: read the key 'sed', expected one of the keys checks, claim,"),
        ("seed: 7", "seed: -1", "4:7: read -1, expected a whole number from 0 on"),
        ("seed: 7", "seed: 7.5", "4:7: read '7.5', expected a whole number"),
        ("rate: 50/s", "rate: 50", "6:9: read '50', expected a rate such as 30/s, 600/m"),
        ("rate: 50/s", "rate: 0/s", "6:9: read 0/s, expected more than zero"),
        ("rate: 50/s", "rate: 9999999/s", "expected at most 20,000,000 intents in a run"),
        ("duration: 40s", "duration: 40", "7:13: read '40', expected a duration"),
        ("checkout: 8", "chekout: 8", "8:14: read 'chekout', expected a journey: checkout, impat"),
        ("checkout: 8", "checkout: 0", "8:24: read 0, expected a weight of at least 1"),
        ("{checkout: 8, impatient: 2}", "{}", "8:13: read no journeys, expected weights of"),
        ("constant", "poison", "10:13: read 'poison', expected one of poisson, constant"),
        ("name: lost-answers", "name: Lost Answers", "1:7: read 'Lost Answers', expected up to 80"),
        ("name: lost-answers", "name: ../up", "1:7: read '../up', expected up to 80"),
        ("claim: A customer is charged once.", "claim: ''", "2:8: read nothing, expected what"),
        ("claim: A customer is charged once.", "# none", "1:1: read no claim, expected the key"),
        (
            "system: refpay",
            "system: refpai",
            "3:9: read 'refpai', expected a system (refpay, refpay-two-regions) or",
        ),
        ("system: refpay", "system: ./mine.yaml", "3:9: read './mine.yaml', expected a system"),
        ("system: refpay", "system: [refpay]", "3:9: read a list, expected the name of a system"),
        ("system: refpay", "system: {refpay: {flow: x}}", "3:19: read the key 'flow', expected on"),
        ("lost_answers: {share: 30%}", "lost_anwers: {}", "14:29: read the key 'lost_anwers', exp"),
        ("{share: 30%}", "{share: 30}", "14:51: read '30', expected a share such as 30%, 99.9%"),
        ("{share: 30%}", "{shares: 30%}", "read the key 'shares', expected one of the keys share"),
        ("{share: 30%}", "30%", "14:43: read '30%', expected a mapping with share"),
        ("at: 10s, ", "", "14:5: read no at, expected the key at, a duration such as 250ms, 10s,"),
        ("duration: 8s", "duraton: 8s", "14:15: read the key 'duraton', expected one of the keys"),
        ("duration: 8s", "duration: 0s", "14:5: read 0s, expected a duration above zero"),
        ("service->db", "service", "15:45: read 'service', expected a link such as service->psp"),
        ("node: service.1", "{}", "20:7: read no node, expected the key node, a node such as"),
        (", lost_answers}", "}", "16:5: read a step without a fault, expected a fault: crash, lat"),
        (", lost_answers}", ", lost_answers, crash: {node: db}}", "read crash besides lost_answe"),
        ("- idempotency", "- idempotence", "22:5: read 'idempotence', expected a check: availabil"),
        ("- idempotency", "- ", "22:4: read nothing, expected a check: its name, or {<name>: {<p"),
        ("- idempotency", "- [idempotency]", "22:5: read a list, expected a check: its name"),
        ("- idempotency", "- {idempotency: , double_entry: }", "22:5: read several keys, expecte"),
        ("- idempotency", "- recovery: {rto: 15s}", "25:5: read recovery again, expected each ch"),
        ("{rto: 15s}", "{rto: 15}", "25:21: read '15', expected a duration such as 250ms, 10s"),
        ("- recovery: {rto: 15s}", "- recovery", "25:5: read no rto, expected the key rto, a dura"),
        ("{p99: 1s}", "{p99: 1s, phase: stedy}", "read 'stedy', expected one of steady, faulted,"),
    ],
)
def test_each_mistake_is_located_and_told_once(
    good: str, write: Write, old: str, new: str, problem: str
) -> None:
    assert good.count(old) == 1 or old in ("seed: 7", "duration: 8s")
    (found,) = refused(write(good.replace(old, new, 1)))
    assert problem in found
    if problem[0].isdigit():
        assert found.startswith(f"scenario.yaml:{problem}")


def test_the_nearest_name_is_offered(good: str, write: Write) -> None:
    text = good.replace("- idempotency", "- idempotence").replace("lost_answers:", "lost_anwers:")
    first, second = refused(write(text))
    assert first.endswith("(did you mean lost_answers?)")
    assert second.endswith("(did you mean idempotency?)")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(good: str, write: Write) -> None:
    text = (
        good.replace("seed: 7", "seed: seven")
        .replace("50/s", "50")
        .replace("checkout: 8", "chekout: 8")
        .replace("30%}", "30}")
        .replace("service->db", "db")
        .replace("- idempotency", "- idempotence")
        .replace("15s}", "15}")
        + "extra: 1\nseed: 8\n"
    )
    found = refused(write(text))
    lines = [int(line.split(":")[1]) for line in found]
    assert lines == [4, 6, 8, 14, 15, 22, 25, 26, 27]


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("checks: []", "checks: read"),
        ("checks:", "checks: read"),
        ("checks: idempotency", "expected a list of checks"),
        ("checks: {idempotency: }", "expected a list of checks"),
    ],
)
def test_a_scenario_without_checks_judges_nothing(
    good: str, write: Write, section: str, problem: str
) -> None:
    text = good[: good.index("checks:")] + section
    found = refused(write(text))
    assert len(found) == 1 or problem == "expected a list of checks"
    assert "no checks, expected at least one check" in found[-1] or problem in found[0]


def test_faults_may_be_left_out_but_not_be_something_else(good: str, write: Write) -> None:
    start, end = good.index("faults:"), good.index("checks:")
    assert load_scenario(write(good[:start] + "faults:\n" + good[end:])).faults == ()
    (found,) = refused(write(good[:start] + "faults: lost_answers\n" + good[end:]))
    assert "read 'lost_answers', expected a list of faults" in found
    (found,) = refused(write(good[:start] + "faults: [lost_answers]\n" + good[end:]))
    assert "expected a fault such as {at: 10s, duration: 5s, <fault>: {<parameters>}}" in found


def test_a_member_that_is_wrongly_written_is_named(
    good: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(run, share):  # type: ignore[no-untyped-def]
        """Forgot the annotations."""

    monkeypatch.setitem(
        registry.checkers._members, "odd", registry.Member("odd", odd, {"kind": "money"})
    )
    (found,) = refused(write(good + "  - odd\n"))
    assert "read odd, which is wrongly written" in found
    assert "parameter 'share'" in found


@pytest.mark.parametrize("content", ["", "just text", "- a list", "a: [", "\t", "%YAML 1.1"])
def test_what_is_no_scenario_at_all(write: Write, content: str) -> None:
    assert refused(write(content))[0].startswith("scenario.yaml:")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (found,) = refused(tmp_path / "nowhere.yaml")
    assert found == "nowhere.yaml: read nothing (No such file or directory), expected a YAML file"


SYSTEM = """
name: mine
reference_field: merchant_reference
service: {{command: [true], environment: {{}}, ready: /ready, list_flaws: {flaws}}}
api:
  operations:
    create: {{request: POST /payments}}
    read: {{request: "GET /payments/{{payment}}"}}
"""


def own_system(folder: Path, code: str) -> None:
    script = folder / "flaws.py"
    script.write_text(code)
    (folder / "mine.yaml").write_text(
        SYSTEM.format(flaws=f'["{{python}}", {script}]'), encoding="utf-8"
    )


def test_a_system_file_is_found_beside_the_scenario(
    good: str, write: Write, tmp_path: Path
) -> None:
    own_system(tmp_path, "")
    scenario = load_scenario(write(good.replace("refpay", "mine.yaml")))
    assert scenario.system.name == str((tmp_path / "mine.yaml").resolve())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = elsewhere / "scenario.yaml"
    copy.write_text(dump_scenario(scenario))
    assert load_scenario(copy) == scenario


FLAWED = "import json; print(json.dumps({'key-per-attempt': 'a key for each attempt'}))"


def test_flaws_are_those_that_the_system_lists(good: str, write: Write, tmp_path: Path) -> None:
    own_system(tmp_path, FLAWED)
    path = write(good.replace("refpay", "{mine.yaml: {flaw: key-per-attempt}}"))
    assert load_scenario(path).system.flaw == "key-per-attempt"
    path = write(good.replace("refpay", "{mine.yaml: {flaw: key-per-atempt}}"))
    (found,) = refused(path)
    assert found.startswith("scenario.yaml:3:10: read 'key-per-atempt', expected a flaw of")
    assert found.endswith("key-per-attempt (did you mean key-per-attempt?)")
    assert load_scenario(path, flaw="key-per-attempt").system.flaw == "key-per-attempt"
    (found,) = refused(path, flaw="other")
    assert found.startswith("--flaw: read 'other', expected a flaw of")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('cannot list')", "cannot list"),
        ("print('no json')", "Expecting value"),
        ("print([])", "it printed something else"),
        ("import os; os.abort()", "it failed without a word"),
    ],
)
def test_a_system_that_cannot_list_its_flaws_says_so(
    good: str, write: Write, tmp_path: Path, code: str, reason: str
) -> None:
    own_system(tmp_path, code)
    (found,) = refused(write(good.replace("refpay", "{mine.yaml: {flaw: x}}")))
    assert f"read no flaws ({reason}" in found
    assert sys.executable in found


def test_flaws_are_not_listed_where_none_is_named(good: str, write: Write, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    own_system(tmp_path, f"open({str(witness)!r}, 'w')")
    load_scenario(write(good.replace("refpay", "mine.yaml")))
    load_scenario(write(good.replace("refpay", "{mine.yaml: {flaw: }}")))
    assert not witness.exists()


def test_a_system_without_flaws_has_none(good: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SYSTEM.format(flaws="[]"))
    (found,) = refused(write(good.replace("refpay", "{mine.yaml: {flaw: x}}")))
    assert "it has none" in found


def test_the_problems_of_a_flawed_system_file_are_told_too(
    good: str, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    found = refused(write(good.replace("refpay", "{mine.yaml: {flaw: x}}")))
    assert any(line.startswith("mine.yaml:1:1: read no api") for line in found)


def test_a_recorded_scenario_needs_no_system(good: str, write: Write) -> None:
    path = write(good.replace("refpay", "{/gone/mine.yaml: {flaw: x}}"))
    assert refused(path) != []
    scenario = load_scenario(path, recorded=True)
    assert scenario.system == SystemChoice("/gone/mine.yaml", "x")


def test_a_scenario_is_dumped_with_its_defaults(good: str, write: Write) -> None:
    text = dump_scenario(load_scenario(write(good)))
    assert "    share: 30%\n" in text
    assert "    window: 1s\n" in text
    assert "- idempotency\n" in text
    assert indent(dedent("""\
        rate: 50/s
        duration: 40s
    """), "  ") in text  # fmt: skip


durations = st.floats(0.001, 1e5).map(Duration)
shares = st.floats(0, 1).map(Share)
links = st.sampled_from(["service->psp", "service->db", "lb->a/service.2", "psp->router"])
faults = st.one_of(
    st.tuples(st.just("lost_answers"), st.fixed_dictionaries({"share": shares})),
    st.tuples(
        st.just("latency"),
        st.fixed_dictionaries({"link": links, "latency": durations, "jitter": durations}),
    ),
    st.tuples(
        st.just("storm"),
        st.fixed_dictionaries(
            {
                "links": st.lists(links, max_size=3),
                "rate": st.none() | st.floats(0, 1e6).map(Rate),
                "mode": st.sampled_from(["up", "down"]),
                "weights": st.dictionaries(
                    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5),
                    st.integers(-9, 9),
                    max_size=3,
                ),
            }
        ),
    ),
)
checks = st.sampled_from(
    [
        CheckStep("idempotency"),
        CheckStep("double_entry"),
        CheckStep("availability", {"steady": Share(0.999), "faulted": None}),
        CheckStep("latency", {"p50": None, "p99": Duration(0.25), "phase": "faulted"}),
        CheckStep("recovery", {"rto": Duration(90), "window": Duration(0.1)}),
    ]
)


remedies = st.sampled_from(
    [
        ("failover", {"to": "b", "detect_after": Duration(1.5)}),
        ("failback", {"to": "a"}),
        ("restore", {"ago": Duration(0.25)}),
        ("database_failover", {"detect_after": Duration(90)}),
    ]
)


@st.composite
def remedy_steps(draw: st.DrawFn) -> tuple[RemedyStep, ...]:
    steps: list[RemedyStep] = []
    for name, parameters in draw(st.lists(remedies, max_size=4)):
        number = 1 + sum(step.remedy == name for step in steps)
        step = name if number == 1 else f"{name}.{number}"
        confirm = draw(st.none() | durations)
        steps.append(RemedyStep(step, name, draw(durations), confirm, parameters))
    return tuple(steps)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    steps = []
    count: dict[str, int] = {}
    for name, parameters in draw(st.lists(faults, max_size=4)):
        count[name] = count.get(name, 0) + 1
        step = name if count[name] == 1 else f"{name}.{count[name]}"
        steps.append(FaultStep(step, name, draw(durations), draw(durations), parameters))
    return Scenario(
        name=draw(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)),
        claim=draw(
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(
                str.strip
            )
        ),
        system=SystemChoice(
            "refpay",
            draw(st.none() | st.sampled_from(["no", "1:30", "x y"])),
            draw(st.sampled_from([None, "asynchronous", "synchronous", "quorum"])),
        ),
        seed=draw(st.integers(0, 2**63 - 1)),
        workload=Workload(
            rate=draw(st.floats(0.01, 100).map(Rate)),
            duration=draw(durations),
            journeys=draw(
                st.dictionaries(
                    st.sampled_from(["checkout", "impatient"]), st.integers(1, 99), min_size=1
                )
            ),
            warm_up=draw(st.floats(0, 100).map(Duration)),
            arrivals=draw(st.sampled_from(["poisson", "constant"])),
            patience=draw(durations),
            timeout=draw(durations),
        ),
        faults=tuple(steps),
        remedies=draw(remedy_steps()),
        checks=tuple(draw(st.lists(checks, min_size=1, max_size=4, unique_by=lambda c: c.checker))),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(scenario=scenarios())
def test_what_is_dumped_loads_to_an_equal_scenario(tmp_path: Path, scenario: Scenario) -> None:
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_scenario(scenario), encoding="utf-8")
    assert load_scenario(path, recorded=True) == scenario
