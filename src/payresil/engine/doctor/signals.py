"""What an instance says of itself: metrics and log lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from payresil.core.system import Signals
from payresil.engine.doctor.payments import Visit
from payresil.engine.doctor.seen import Findings, Seen

_TIMEOUT_S = 3.0
_ROLE = "service"


def metrics(visit: Visit, targets: Mapping[str, str]) -> Findings:
    """Whether the metrics are there, and those among them that are the golden signals."""
    services = {name: url for name, url in targets.items() if _ROLE in name}
    if visit.system.service.metrics is None and not services:
        yield Seen("metrics", "skipped", "not in the system file")
        return
    where = visit.at("service", "metrics")
    names: set[str] = set()
    for node, url in services.items():
        try:
            names |= set(_names(url))
        except (requests.RequestException, ValueError) as error:
            yield Seen("metrics", "wrong", f"{node}: {error}", where)
            return
    yield Seen("metrics", "good", f"{len(names)} of {', '.join(services)}")
    signals = visit.system.signals
    if signals is not None:
        yield from _signals(visit, signals, names)


def _names(url: str) -> Iterator[str]:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url, timeout=_TIMEOUT_S, allow_redirects=False)
        answer.raise_for_status()
    for family in text_string_to_metric_families(answer.text):
        yield from (sample.name for sample in family.samples)


def _signals(visit: Visit, signals: Signals, names: set[str]) -> Findings:
    wanted = {
        "traffic": (signals.traffic,),
        "latency": (f"{signals.latency}_sum", f"{signals.latency}_count"),
        "saturation": (signals.saturation,),
    }
    for key, metric_names in wanted.items():
        missing = [name for name in metric_names if name not in names]
        if missing:
            words = f"no instance has a metric {', '.join(missing)}"
            yield Seen(f"signals: {key}", "wrong", words, visit.at("signals", key))
        else:
            yield Seen(f"signals: {key}", "good", ", ".join(metric_names))


def logs(visit: Visit, folder: Path) -> Findings:
    """Whether log lines are JSON, under the names that the system file gives."""
    described = visit.system.logs
    if described is None:
        yield Seen("logs", "skipped", "not in the system file")
        return
    lines = [
        line
        for file in sorted(folder.glob(f"*{_ROLE}*.log"))
        for line in file.read_text(errors="replace").splitlines()
    ]
    objects = [found for line in lines if isinstance(found := _parsed(line), dict)]
    if not objects:
        words = f"none of {len(lines)} lines is a JSON object"
        yield Seen("logs", "wrong", words, visit.at("logs"))
        return
    for each in fields(described):
        name = getattr(described, each.name)
        if any(name in found for found in objects):
            yield Seen(f"logs: {each.name}", "good", name)
        else:
            words = f"none of {len(objects)} lines has a field {name!r}"
            yield Seen(f"logs: {each.name}", "wrong", words, visit.at("logs", each.name))


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
