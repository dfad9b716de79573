"""A Prometheus beside a run: found or not, asked before the run, its answers on record after it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from payresil.backends.launcher import Supervisor
from payresil.backends.prometheus_file import configuration
from payresil.core.protocols import Endpoints, EnvironmentBroke
from payresil.core.run import Run
from payresil.core.tables import from_rows, read_folder
from payresil.engine.closing import settle_bound
from payresil.engine.prometheus import watching
from payresil.engine.prometheus.client import PrometheusClient
from payresil.engine.prometheus.finding import (
    NONE_THERE,
    missing_prometheus,
    named_address,
    prometheus_program,
    refuse_address,
)
from payresil.engine.prometheus.questions import questions_of
from payresil.engine.refusal import Refusal
from payresil.engine.run_plan import RunPlan

PATIENCE_S = 30.0
RULES = """
groups:
  - name: tests
    rules:
      - {alert: TooMany, expr: waiting > 5, labels: {severity: page}}
      - {alert: Never, expr: waiting > 1000}
"""
QUERIES = (
    '[{promql: {query: "max(waiting)", at_most: 9}}, {alerting: {alert: TooMany, within: 5s}}]'
)
NOW = 200, {"data": {"result": [0, "0"]}}


@pytest.fixture
def beside(tmp_path: Path, work: Path, journal: Any) -> Callable[..., Any]:
    """`watched` around a system that has these metrics and nothing else."""

    def enter(
        plan: Any, metrics: dict[str, str], launcher: Any = None, brought: str | None = None
    ) -> Any:
        (tmp_path / "logs").mkdir(exist_ok=True)
        assembly = SimpleNamespace(work=work, logs=tmp_path / "logs")
        endpoints = Endpoints("", None, "", None, metrics, prometheus=brought)
        environment = SimpleNamespace(endpoints=endpoints)
        return watching.watched(plan, assembly, environment, launcher, journal)

    return enter


@pytest.fixture
def work() -> Iterator[Path]:
    """A scratch folder that whoever runs Prometheus can reach, as a run's is."""
    with tempfile.TemporaryDirectory(prefix="payresil-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Prometheus on PATH."""
    monkeypatch.setattr(watching, "prometheus_program", lambda: None)


def with_rules(plan: RunPlan, folder: Path, rules: str) -> RunPlan:
    file = folder / "rules.yml"
    file.write_text(rules)
    return replace(plan, system=replace(plan.system, alerts=str(file)), folder=folder)


def told(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    rows = read_folder(folder)["events"].to_pylist()
    return [(r["what"], json.loads(r["detail"])) for r in rows if r["name"] == "prometheus"]


def wait_until(holds: Callable[[], object]) -> None:
    """Prometheus tells nobody when it has looked again, so it is asked."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "it never came to hold"
        time.sleep(0.05)


@pytest.mark.prometheus
def test_prometheus_is_there_for_these_tests() -> None:
    assert prometheus_program() is not None, "apt-get install --no-install-recommends prometheus"


@pytest.mark.prometheus
def test_from_the_rule_to_the_tables(
    tmp_path: Path, plan: Any, journal: Any, beside: Any, serve: Callable[..., str]
) -> None:
    waiting = [0]
    system = serve(lambda *_: (200, f"# TYPE waiting gauge\nwaiting {waiting[0]}\n"))
    made = with_rules(plan(QUERIES), tmp_path, RULES)
    with Supervisor.started() as launcher, beside(made, {"a/service.1": system}, launcher):
        journal.set_zero(time.monotonic_ns())
        journal.write("fault", "lost", "inject")
        waiting[0] = 8
        (url,) = [
            f"http://127.0.0.1:{detail['port']}"
            for what, detail in told(tmp_path)
            if what == "started"
        ]
        client = PrometheusClient(url)

        def newest(query: str) -> float | None:
            found = client.range(query, client.last_moment())
            return found[0].values[-1][1] if found else None

        assert newest("up") == 1, "customers come before Prometheus looks"
        wait_until(lambda: newest("ALERTS{alertstate='firing'}"))
        waiting[0] = 3
        wait_until(lambda: newest("max(waiting)") == 3 and newest("ALERTS") is None)
        client.close()
    tables = read_folder(tmp_path)
    series = tables["series"].to_pylist()
    assert {row["query"] for row in series} == {"max(waiting)"}
    assert {8.0, 3.0} <= {row["value"] for row in series}
    firing = [row for row in tables["alerts"].to_pylist() if row["state"] == "firing"]
    assert {row["alert"] for row in firing} == {"TooMany"}
    assert 'node="a/service.1"' in firing[0]["labels"]
    assert 'severity="page"' in firing[0]["labels"]
    assert all(0 < row["at_ns"] <= row["until_ns"] < 60e9 for row in firing)
    answered = [detail for what, detail in told(tmp_path) if what == "answered"]
    assert [detail.get("query") or detail.get("alert") for detail in answered] == [
        "max(waiting)",
        "TooMany",
    ]
    assert answered[1]["rule_known"] is True
    assert answered[1]["rule_error"] is None


def test_nothing_is_started_where_no_check_asks(work: Path, plan: Any, beside: Any) -> None:
    with beside(plan("[idempotency]"), {}):
        pass
    assert not (work / "prometheus").exists()


@pytest.mark.usefixtures("nowhere")
def test_no_prometheus_is_said_and_is_no_error(
    tmp_path: Path, plan: Any, journal: Any, beside: Any
) -> None:
    with beside(plan(QUERIES), {}):
        journal.set_zero(time.monotonic_ns())
    assert told(tmp_path) == [("none", {"error": NONE_THERE})]
    assert "series" not in read_folder(tmp_path)


@pytest.mark.prometheus
def test_rules_that_cannot_be_read_are_told_with_the_words_of_prometheus(
    tmp_path: Path, plan: Any, beside: Any
) -> None:
    bad = "groups: [{name: x, rules: [{alert: A, expr: 'sum('}]}]"
    made = with_rules(plan(QUERIES), tmp_path, bad)
    with (
        Supervisor.started() as launcher,
        pytest.raises(EnvironmentBroke, match="parse error") as caught,
        beside(made, {}, launcher),
    ):
        pass
    assert "prometheus.log" in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({}, "does not answer"),
        ({"/api/v1/query": NOW}, "s off this machine's"),
        (
            {"/api/v1/query_range": (400, {"error": "unexpected )"})},
            "refuses the query: unexpected )",
        ),
        (
            {"/api/v1/rules": (200, {"data": {"groups": [{"rules": [{"name": "ToMany"}]}]}})},
            "no rule for the alert 'TooMany'; did you mean ToMany?",
        ),
        ({"/api/v1/rules": (200, {"data": {"groups": []}})}, "there are none"),
    ],
)
def test_what_cannot_be_asked_is_said_before_the_run(
    plan: Any, beside: Any, pretended: Callable[..., str], answers: Any, words: str
) -> None:
    now = {"data": {"result": [time.time(), str(time.time())]}}
    fine = {
        "/api/v1/query": (200, now),
        "/api/v1/query_range": (200, {"data": {"result": []}}),
    }
    url = pretended(fine | answers if answers else {})
    with pytest.raises(EnvironmentBroke) as caught, beside(plan(QUERIES, prometheus=url), {}):
        pass
    assert words in str(caught.value)


@pytest.mark.usefixtures("nowhere")
def test_one_that_the_backend_brought_is_asked_once_it_looks_at_every_node(
    tmp_path: Path, plan: Any, journal: Any, beside: Any, pretended: Callable[..., str]
) -> None:
    now = [time.time(), str(time.time())]
    looks_at = iter((0, 1, 2))

    def seen() -> tuple[int, Any]:
        series = {"metric": {}, "values": [[time.time(), str(next(looks_at, 2))]]}
        return 200, {"data": {"resultType": "matrix", "result": [series]}}

    answers: dict[str, Any] = {
        "/api/v1/query": (200, {"data": {"result": now}}),
        "/api/v1/query_range": seen,
    }
    url = pretended(answers)
    made = plan(QUERIES)
    with beside(made, {"a/service.1": "http://x", "psp": "http://y"}, brought=url):
        assert next(looks_at, None) is None
        journal.set_zero(time.monotonic_ns())
    assert told(tmp_path)[0] == ("begin", {"url": url})
    series = read_folder(made.folder)["series"].to_pylist()
    assert {row["query"] for row in series} == {"max(waiting)"}


def test_one_that_is_gone_in_the_end_leaves_its_reason(
    tmp_path: Path, plan: Any, journal: Any, beside: Any, pretended: Callable[..., str]
) -> None:
    now = {"data": {"result": [time.time(), str(time.time())]}}
    answers = {
        "/api/v1/query": (200, now),
        "/api/v1/query_range": (200, {"data": {"result": []}}),
    }
    made = plan(QUERIES, prometheus=pretended(answers))
    with beside(made, {}):
        journal.set_zero(time.monotonic_ns())
        answers["/api/v1/query_range"] = (503, "shutting down")
    failed = [detail for what, detail in told(tmp_path) if what == "failed"]
    assert len(failed) == 2
    assert "503" in failed[0]["error"]
    assert failed[1]["rule_known"] is False


def test_what_is_recorded_is_what_the_checks_ask_each_once(plan: Any) -> None:
    two = "[{promql: {query: up, at_most: 1}}, {promql: {query: up, at_least: 0}}, idempotency]"
    questions = questions_of(plan(two).scenario)
    assert list(questions.queries) == ["up"]
    assert not questions.alerts


def test_the_time_of_an_alert_is_not_the_time_to_settle(plan: Any) -> None:
    alert, check = "{alerting: {alert: A, within: 1s}}", "{reconciliation: {within: 8s}}"
    both = plan(f"[{alert}, {check}]").scenario
    assert settle_bound(both) == 12
    assert settle_bound(replace(both, checks=both.checks[:1])) == 30
    assert settle_bound(replace(both, checks=both.checks[1:])) == 12


def test_every_node_is_scraped_under_its_name() -> None:
    targets = {
        "a/service.1": "http://127.0.0.1:81/metrics",
        "a/service.2": "https://127.0.0.1:82/m?x",
        "psp": "http://127.0.0.1:83",
    }
    service, psp = yaml.safe_load(configuration(targets, None))["scrape_configs"]
    assert service["job_name"] == "service"
    assert [one["targets"] for one in service["static_configs"]] == [
        ["127.0.0.1:81"],
        ["127.0.0.1:82"],
    ]
    assert service["static_configs"][1]["labels"] == {
        "node": "a/service.2",
        "__scheme__": "https",
        "__metrics_path__": "/m",
    }
    assert psp["static_configs"][0]["labels"]["__metrics_path__"] == "/"


def test_who_is_asked_is_who_was_named() -> None:
    attached: Any = SimpleNamespace(file=SimpleNamespace(prometheus="http://its"))
    assert named_address(None, None) is None
    assert named_address(None, attached) == "http://its"
    assert named_address("http://mine", attached) == "http://mine"


def test_a_plan_warns_that_there_is_none(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(QUERIES)
    assert not any("Prometheus" in words for words in made.warnings)
    monkeypatch.setenv("PATH", "/nowhere")
    (words,) = missing_prometheus(made.scenario, None, None)
    assert "put one on PATH" in words
    assert not missing_prometheus(made.scenario, "http://mine", None)
    assert not missing_prometheus(made.scenario, None, None, brought=True)
    assert not missing_prometheus(replace(made.scenario, checks=()), None, None)


def test_the_backend_docker_brings_one_so_its_plans_warn_of_nothing(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert any("Prometheus" in words for words in plan(QUERIES).warnings)
    assert not any("Prometheus" in words for words in plan(QUERIES, backend="docker").warnings)


def test_a_plan_with_what_is_no_address_is_refused(plan: Any) -> None:
    with pytest.raises(Refusal, match="--prometheus"):
        plan(QUERIES, prometheus="ftp://x")


@pytest.mark.parametrize("url", ["127.0.0.1:9090", "ftp://x", "http://", "http://x:no", "http://["])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Refusal, match="is no address such as"):
        refuse_address(url)


def test_an_address_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(Refusal) as caught:
        refuse_address("http://me:secret@127.0.0.1")
    assert "secret" not in str(caught.value)


def test_the_tables_can_be_asked() -> None:
    row = {"alert": "A", "labels": "", "state": "firing", "at_ns": 1, "until_ns": 2}
    assert from_rows("alerts", [row]).num_rows == 1
    run = Run.from_rows({}, alerts=[row], series=[{"query": "up", "at_ns": 1, "value": 1.0}])
    assert run.one("select count(*) from alerts join series using (at_ns)") == 1
