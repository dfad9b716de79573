"""Metrics of every node, scraped once a second into the samples table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from payresil.core.protocols import EnvironmentBroke, Reading, Unreachable
from payresil.core.schemas import SCRAPE_SECONDS
from payresil.core.tables import Recorder

_TIMEOUT_S = 0.8

#: When, node, metric, labels, value.
Sample = tuple[int, str, str, str, float]


class Sampler:
    """Scrapes until stopped. A node that does not answer leaves the sample ``up`` = 0.

    How long it took to answer, or not to, stands beside it.
    """

    def __init__(
        self,
        folder: Path,
        targets: Mapping[str, str],
        zero_mono_ns: int,
        period_s: float = 1.0,
        readings: Callable[[], Sequence[Reading]] | None = None,
    ) -> None:
        """`targets` is node → URL of its metrics in Prometheus text format.

        `readings` gives those of nodes that have none, and takes its time where one is away.
        """
        self._recorder = Recorder(folder, "samples")
        self._targets = dict(targets)
        self._zero_ns = zero_mono_ns
        self._period_s = period_s
        self._stop = threading.Event()
        self._broke: Exception | None = None
        self._threads = [threading.Thread(target=self._run, name="sampler", daemon=True)]
        if readings is not None:
            read = partial(self._read, readings)
            self._threads.append(threading.Thread(target=read, name="reader", daemon=True))
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # a proxy for the web must not get between us
            while not self._stop.wait(self._period_s):
                for node, url in self._targets.items():
                    self._scrape(session, node, url)
                self._recorder.flush()

    def _read(self, readings: Callable[[], Sequence[Reading]]) -> None:
        try:
            while not self._stop.wait(self._period_s):
                self._read_once(readings)
        except Exception as error:  # a defect of ours: `close` says so, or nobody would miss them
            self._broke = error

    def _read_once(self, readings: Callable[[], Sequence[Reading]]) -> None:
        at_ns = time.monotonic_ns() - self._zero_ns
        try:
            found = readings()
        except (EnvironmentBroke, Unreachable):
            return  # away, or not itself yet: a second without readings
        self._recorder.extend([(at_ns, one.node, one.metric, "", one.value) for one in found])

    def _scrape(self, session: requests.Session, node: str, url: str) -> None:
        began_ns = ended_ns = time.monotonic_ns()
        at_ns = began_ns - self._zero_ns
        rows: list[Sample] = []
        is_up = 0.0
        try:
            answer = session.get(url, timeout=_TIMEOUT_S)
            ended_ns = time.monotonic_ns()
            answer.raise_for_status()
            rows, is_up = _rows(at_ns, node, answer.text), 1.0
        except (requests.RequestException, ValueError):
            ended_ns = time.monotonic_ns()
        took_s = (ended_ns - began_ns) / 1e9
        own = [(at_ns, node, "up", "", is_up), (at_ns, node, SCRAPE_SECONDS, "", took_s)]
        self._recorder.extend([*own, *rows])

    def close(self) -> None:
        """Stop scraping and end the table.

        Raises:
            Exception: what ended the readings, if anything did.
        """
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._recorder.close()
        if self._broke is not None:
            raise self._broke


def _rows(at_ns: int, node: str, text: str) -> list[Sample]:
    return [
        (at_ns, node, sample.name, label_text(sample.labels), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    ]


def label_text(labels: Mapping[str, str]) -> str:
    """Labels as the tables hold them: sorted, ``k="v",k2="v2"``."""
    return ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
