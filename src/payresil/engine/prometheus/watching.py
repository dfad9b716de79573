"""A Prometheus beside a run, where a check asks for one, and its answers in the run's tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.stopping import stop
from payresil.core.problems import nearest
from payresil.core.protocols import Assembly, Environment, EnvironmentBroke, Launcher
from payresil.engine.journal import Journal
from payresil.engine.prometheus.answers import record_answers
from payresil.engine.prometheus.client import PrometheusClient, Unanswered
from payresil.engine.prometheus.finding import NONE_THERE, named_address, prometheus_program
from payresil.engine.prometheus.questions import Questions, questions_of
from payresil.engine.prometheus.server import PrometheusServer
from payresil.engine.run_plan import RunPlan

#: It reads its list of nodes 5 s after its start, and a busy machine is slow.
_SCRAPES_S = 30.0
_POLL_S = 0.1

#: A clock that is further off than this makes every time in its answers wrong.
_MOST_AHEAD_S = 1.0


@contextmanager
def watched(
    plan: RunPlan,
    assembly: Assembly,
    environment: Environment,
    launcher: Launcher,
    journal: Journal,
) -> Iterator[None]:
    """Have a Prometheus watch while the context lasts; at its end what it saw is recorded.

    Nothing happens where no check asks, and where there is no Prometheus the events say so.

    Raises:
        EnvironmentBroke: before anything else, when the one there is cannot be used, or cannot
            answer what the checks will ask.
    """
    questions = questions_of(plan.scenario)
    if not questions:
        yield
        return
    with _prometheus(plan, assembly, environment, launcher, journal) as url:
        if url is None:
            journal.write("step", "prometheus", "none", error=NONE_THERE)
            yield
            return
        with closing(PrometheusClient(url)) as client:
            _try(client, questions)
            journal.write("step", "prometheus", "begin", url=url)
            try:
                yield
            finally:
                record_answers(client, questions, plan, journal)


@contextmanager
def _prometheus(
    plan: RunPlan,
    assembly: Assembly,
    environment: Environment,
    launcher: Launcher,
    journal: Journal,
) -> Iterator[str | None]:
    """The address of the one that was named, or that the backend brought along, or of one
    started here; None where there is none.
    """
    named = named_address(plan.prometheus, plan.attached)
    brought = environment.endpoints.prometheus
    executable = prometheus_program()
    if named is not None:
        yield named
    elif brought is not None:
        _await_scrapes(brought, len(environment.endpoints.metrics))
        yield brought
    elif executable is not None:
        with _started(executable, plan, assembly, environment, launcher, journal) as url:
            yield url
    else:
        yield None


@contextmanager
def _started(
    executable: str,
    plan: RunPlan,
    assembly: Assembly,
    environment: Environment,
    launcher: Launcher,
    journal: Journal,
) -> Iterator[str]:
    """The address of one that is started here, once it looks at every node."""
    rules = None if plan.system.alerts is None else Path(plan.system.alerts)
    server = PrometheusServer(
        executable, assembly.work / "prometheus", environment.endpoints.metrics, rules
    )
    node = NodeProcess(
        "prometheus",
        server.program,
        launcher=launcher,
        log=assembly.logs / "prometheus.log",
        report=journal.write,
        port=server.port.number,
    )
    with closing(server):
        try:
            node.launch()
            node.await_ready()
            _await_scrapes(server.url, len(environment.endpoints.metrics))
            yield server.url
        finally:
            stop([node])


def _await_scrapes(url: str, nodes: int) -> None:
    """Wait until every node was scraped: it begins seconds after it was started.

    Else the steady phase would be over before half of it was seen.
    """
    deadline_s = time.monotonic() + _SCRAPES_S
    with closing(PrometheusClient(url)) as client:
        while _scraped(client) < nodes:
            if time.monotonic() > deadline_s:
                raise EnvironmentBroke(
                    f"prometheus did not scrape all {nodes} nodes within {_SCRAPES_S:g} s"
                )
            time.sleep(_POLL_S)


def _scraped(client: PrometheusClient) -> float:
    """How many nodes were, whether they answered or not."""
    try:
        found = client.range("count(up)", client.last_moment())
    except Unanswered as error:
        raise EnvironmentBroke(f"prometheus does not answer: {error}") from error
    return found[0].values[-1][1] if found else 0


def _try(client: PrometheusClient, questions: Questions) -> None:
    """Say before the first customer comes what cannot be asked."""
    try:
        ahead_s = client.clock_ahead_s()
    except Unanswered as error:
        raise EnvironmentBroke(
            f"Prometheus at {client.url} does not answer ({error}): start it, or name another"
        ) from error
    if abs(ahead_s) > _MOST_AHEAD_S:
        raise EnvironmentBroke(
            f"the clock of Prometheus at {client.url} is {ahead_s:+.1f} s off this machine's, so "
            "its answers cannot be put on the run's timeline: set both by NTP"
        )
    for query, where in questions.queries.items():
        try:
            client.range(query, client.last_moment())
        except Unanswered as error:
            raise EnvironmentBroke(f"{where}: Prometheus refuses the query: {error}") from error
    _try_alerts(client, questions)


def _try_alerts(client: PrometheusClient, questions: Questions) -> None:
    try:
        known = sorted(client.alert_rules())
    except Unanswered:  # it does not say; if the alert never comes, that is a doubt
        return
    for alert, where in questions.alerts.items():
        if alert not in known:
            near = nearest(alert, known)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
            raise EnvironmentBroke(
                f"{where}: Prometheus at {client.url} has no rule for the alert {alert!r}; {hint} "
                "(`alerts` in the system file names a file of rules)"
            )
