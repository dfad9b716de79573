"""Counters in Prometheus' text format. They begin at zero with the process."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterable, Mapping

Labels = tuple[tuple[str, str], ...]


class Metrics:
    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()  # endpoint, status or "none"
        self.events: Counter[str] = Counter()  # type
        self.webhooks: Counter[str] = Counter()  # delivered | failed | given_up
        self.in_flight = 0

    def text(self, *, pending: int, rule_hits: Mapping[str, int]) -> str:
        """Render; ``pending`` deliveries and ``rule_hits`` are read from where they are kept."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        parts = [
            _family(
                "stub_psp_requests_total",
                "counter",
                (
                    ((("endpoint", endpoint), ("status", status)), n)
                    for (endpoint, status), n in self.requests.items()
                ),
            ),
            _family(
                "stub_psp_events_total",
                "counter",
                (((("type", type_),), n) for type_, n in self.events.items()),
            ),
            _family(
                "stub_psp_webhook_attempts_total",
                "counter",
                (((("outcome", outcome),), n) for outcome, n in self.webhooks.items()),
            ),
            _family("stub_psp_webhooks_pending", "gauge", [((), pending)]),
            _family("stub_psp_requests_in_flight", "gauge", [((), self.in_flight)]),
            _family(
                "stub_psp_rule_hits_total",
                "counter",
                (((("rule", rule),), n) for rule, n in rule_hits.items()),
            ),
            _family(
                "process_cpu_seconds_total", "counter", [((), usage.ru_utime + usage.ru_stime)]
            ),
        ]
        return "".join(parts)


def _family(name: str, kind: str, samples: Iterable[tuple[Labels, float]]) -> str:
    lines = [f"# TYPE {name} {kind}\n"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        lines.append(f"{name}{{{inside}}} {value}\n" if inside else f"{name} {value}\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
