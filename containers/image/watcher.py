"""``watcher.py``: what the money and the faults look like, as metrics that are read when scraped.

The numbers come from SQL over the service's books (``--books``, a YAML file), from the links of
Toxiproxy and from the fault rules of the PSP, and change nothing there. BOOKS_URL is the database,
for a role that only reads; STUB_PSP_CONTROL_TOKEN opens the PSP's control plane.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import asyncpg
import yaml
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from wiring import WiringError, ask

_CONNECT_S = 2.0
_QUERY_S = 5.0

#: What reading the database may raise when it is away.
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True, slots=True)
class Question:
    """A gauge and the SQL that answers it: one column for each label, the value last."""

    name: str
    help: str
    sql: str
    labels: Sequence[str] = field(default=())


def read_questions(path: Path) -> list[Question]:
    """The questions of a YAML file.

    Raises:
        ValueError: when it holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [Question(name, **what) for name, what in content.items()]
    except (TypeError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: expected name: {{help, sql, labels}}: {error}") from None


async def _asked(url: str, questions: Iterable[Question]) -> list[tuple[Question, list[Any]]]:
    connection = await asyncpg.connect(url, timeout=_CONNECT_S)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return [
                (question, await connection.fetch(question.sql, timeout=_QUERY_S))
                for question in questions
            ]
    finally:
        await connection.close(timeout=_CONNECT_S)


def books(url: str, questions: Sequence[Question]) -> Iterator[GaugeMetricFamily]:
    """A gauge for every question, all from one snapshot."""
    for question, rows in asyncio.run(_asked(url, questions)):
        gauge = GaugeMetricFamily(question.name, question.help, labels=question.labels)
        for *labels, value in rows:
            gauge.add_metric([str(label) for label in labels], float(value))
        yield gauge


def _faults() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "payresil_fault_active", "1 while a fault is in force", labels=["target", "fault"]
    )


def link_faults(toxiproxy: str) -> Iterator[GaugeMetricFamily]:
    """Every link that refuses connections, and every toxic on one."""
    gauge = _faults()
    for name, proxy in ask(f"{toxiproxy}/proxies").items():
        if not proxy["enabled"]:
            gauge.add_metric([name, "refused"], 1)
        for toxic in proxy["toxics"]:
            gauge.add_metric([name, f"{toxic['type']}_{toxic['stream']}"], 1)
    yield gauge


def psp_faults(control: str, token: str) -> Iterator[GaugeMetricFamily]:
    """Every fault rule of the PSP."""
    gauge = _faults()
    for rule in ask(f"{control}/_control/rules", token)["rules"]:
        gauge.add_metric(["psp", rule["id"]], 1)
    yield gauge


Source = Callable[[], Iterator[GaugeMetricFamily]]


class Watcher:
    """A collector over sources, each of which may be away without the others' being."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        """`sources` by the name that ``payresil_watched`` has for them."""
        self._sources = sources

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask every source now."""
        watched = GaugeMetricFamily(
            "payresil_watched", "1 when the source could be read", labels=["source"]
        )
        found: dict[str, GaugeMetricFamily] = {}
        for name, read in self._sources.items():
            gauges = _read_or_say_why(name, read)
            watched.add_metric([name], 0 if gauges is None else 1)
            for gauge in gauges or ():
                # Two sources may know of faults; a metric is exposed once.
                if gauge.name in found:
                    found[gauge.name].samples.extend(gauge.samples)
                else:
                    found[gauge.name] = gauge
        yield watched
        yield from found.values()

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: what there is, is known when it is asked for."""
        return iter(())


def _read_or_say_why(name: str, read: Source) -> list[GaugeMetricFamily] | None:
    try:
        return list(read())
    except (WiringError, *_AWAY) as error:
        print(f"watcher: {name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """No line for every scrape."""


def serve(watcher: Watcher, port: int) -> None:
    """Serve ``/metrics``, and ``/health``, which asks nobody, until SIGTERM or SIGINT."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(watcher)
    metrics = make_wsgi_app(registry)

    def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environment["PATH_INFO"] == "/health":
            start("200 OK", [("Content-Type", "text/plain")])
            return [b"ok\n"]
        lines: Iterable[bytes] = metrics(environment, start)
        return lines

    with make_server("0.0.0.0", port, answer, handler_class=_Quiet) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # From another thread: `shutdown` waits for the loop that this interrupts.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="watcher", description=__doc__)
    parser.add_argument("--books", required=True, type=Path, metavar="FILE")
    parser.add_argument("--toxiproxy", required=True, metavar="URL")
    parser.add_argument("--control", required=True, metavar="URL", help="the PSP's control plane")
    parser.add_argument("--port", type=int, default=9400, help="(%(default)s)")
    given = parser.parse_args()
    try:
        questions = read_questions(given.books)
        url, token = os.environ["BOOKS_URL"], os.environ["STUB_PSP_CONTROL_TOKEN"]
        watcher = Watcher(
            {
                "books": lambda: books(url, questions),
                "links": lambda: link_faults(given.toxiproxy),
                "psp": lambda: psp_faults(given.control, token),
            }
        )
        serve(watcher, given.port)
    except KeyError as error:
        print(f"watcher: set {error.args[0]}", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"watcher: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
