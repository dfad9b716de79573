"""What the service counts, in Prometheus' text format."""

from __future__ import annotations

from typing import Any

from prometheus_client import (
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from payresil.refpay.lease.held import Lease

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one instance, in a registry of their own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        registry.register(PROCESS_COLLECTOR)
        registry.register(PLATFORM_COLLECTOR)
        self._registry = registry
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}
        self.requests = Counter(
            "refpay_requests", "Answered requests", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "refpay_request_seconds", "Time to an answer", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.psp_calls = Counter(
            "refpay_psp_calls", "Requests to the PSP", ["endpoint", "outcome"], registry=registry
        )
        self.psp_seconds = Histogram(
            "refpay_psp_seconds", "Time to the PSP's answer", ["endpoint"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.retries = Counter(
            "refpay_retries", "Requests to the PSP sent again", ["endpoint"], registry=registry
        )
        self.breaker = Gauge(
            "refpay_breaker_state", "Circuit to the PSP: 0 closed, 1 half-open, 2 open",
            registry=registry,
        )  # fmt: skip
        self.unknown = Gauge(
            "refpay_unknown", "Outcomes not known yet", ["kind"], registry=registry
        )
        self.webhooks = Counter(
            "refpay_webhooks", "Events received from the PSP", ["result"], registry=registry
        )
        self.database_errors = Counter(
            "refpay_database_errors", "Statements without a usable answer", ["kind"],
            registry=registry,
        )  # fmt: skip

        self.fenced = Counter(
            "refpay_fenced", "What was not done as the lease was not held", ["what"],
            registry=registry,
        )  # fmt: skip

    def watch_lease(self, lease: Lease) -> None:
        """Show whether the lease is held whenever somebody looks."""
        Gauge(
            "refpay_lease_held", "This instance holds its region's lease: 1 or 0",
            registry=self._registry,
        ).set_function(lambda: float(lease.held))  # fmt: skip
        Gauge(
            "refpay_epoch", "The last epoch of its region that this instance knew, 0 for none",
            registry=self._registry,
        ).set_function(lambda: float(lease.epoch or 0))  # fmt: skip

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._child(self.requests, route, str(status)).inc()
        self._child(self.seconds, route).observe(seconds)

    def asked_psp(self, endpoint: str, outcome: str, seconds: float) -> None:
        """The PSP was asked, and answered or not."""
        self._child(self.psp_calls, endpoint, outcome).inc()
        self._child(self.psp_seconds, endpoint).observe(seconds)

    def _child(self, metric: Any, *labels: str) -> Any:
        # The library's own way to a child takes a lock and builds a tuple of strings each time.
        key = (metric, labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def text(self) -> bytes:
        """Everything, for a scraper."""
        return generate_latest(self._registry)
