"""What Prometheus knows at the end of a run, in tables: judged later, with nothing running."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from payresil.core.tables import Recorder
from payresil.engine.journal import Journal
from payresil.engine.prometheus.client import PrometheusClient, Series, Span, Unanswered
from payresil.engine.prometheus.questions import Questions
from payresil.engine.run_plan import RunPlan
from payresil.engine.sampling import label_text

#: The labels of ``ALERTS`` that are columns.
_COLUMNS = ("alertname", "alertstate")


def record_answers(
    client: PrometheusClient, questions: Questions, plan: RunPlan, journal: Journal
) -> None:
    """Ask every question for the whole run, warm-up included, and record what comes.

    What could not be asked is in the events with the reason, and not raised: the run is over.
    """
    if journal.zero_ns is None:
        return
    zero_us = journal.zero_wall_us
    span = Span.between(zero_us / 1e6 - float(plan.scenario.workload.warm_up), time.time())
    asked: dict[str, Any] = {
        "from_ns": _run_time(span.start_s, zero_us),
        "to_ns": _run_time(span.end_s, zero_us),
        "step_ns": span.step_s * 1_000_000_000,
    }
    with Recorder(plan.folder, "series") as recorder:
        for query in questions.queries:
            with _written_down(journal, asked | {"query": query}) as said:
                rows = list(_points(query, client.range(query, span), zero_us))
                recorder.extend(rows)
                said["points"] = len(rows)
    rules = _rules(client)
    with Recorder(plan.folder, "alerts") as recorder:
        for alert in questions.alerts:
            rule = None if rules is None else rules.get(alert, "it is not there any more")
            detail = asked | {"alert": alert, "rule_known": rules is not None, "rule_error": rule}
            with _written_down(journal, detail) as said:
                # The time of the newest evaluation, at every moment.
                query = f"timestamp(ALERTS{{alertname={json.dumps(alert)}}})"
                found = list(_evaluations(alert, client.range(query, span), zero_us))
                recorder.extend(found)
                said["evaluations"] = len(found)


@contextmanager
def _written_down(journal: Journal, detail: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Ask in the context; what is put into the dict, or what went wrong, goes to the events."""
    said: dict[str, Any] = {}
    try:
        yield said
    except Unanswered as error:
        journal.write("step", "prometheus", "failed", **detail, error=str(error))
    else:
        journal.write("step", "prometheus", "answered", **detail, **said)


def _rules(client: PrometheusClient) -> dict[str, str | None] | None:
    try:
        return client.alert_rules()
    except Unanswered:  # others that speak its language may have no rules to show
        return None


def _points(
    query: str, found: Iterable[Series], zero_us: int
) -> Iterator[tuple[str, str, int, float]]:
    for series in found:
        labels = label_text(series.labels)
        for at_s, value in series.values:
            yield query, labels, _run_time(at_s, zero_us), value


def _evaluations(
    alert: str, found: Iterable[Series], zero_us: int
) -> Iterator[tuple[str, str, str, int, int]]:
    """One row for each evaluation, however many moments it was the newest one of."""
    for series in found:
        labels = label_text({k: v for k, v in series.labels.items() if k not in _COLUMNS})
        state = series.labels.get("alertstate", "")
        until_s = {evaluated_s: at_s for at_s, evaluated_s in series.values}
        for evaluated_s, at_s in until_s.items():
            yield alert, labels, state, _run_time(evaluated_s, zero_us), _run_time(at_s, zero_us)


def _run_time(wall_s: float, zero_us: int) -> int:
    """A moment of the wall clock in nanoseconds of run time."""
    return (round(wall_s * 1e6) - zero_us) * 1000
