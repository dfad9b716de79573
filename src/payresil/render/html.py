"""The verdict for people: `report.html`, one file that needs no network and no scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from payresil import __version__
from payresil.core.registry import renderer
from payresil.core.results import Outcome, Verdict
from payresil.core.run import Run
from payresil.render import facts, page
from payresil.render.charts.chart import Chart
from payresil.render.charts.errors import errors
from payresil.render.charts.latency import latency
from payresil.render.charts.rate import rate
from payresil.render.charts.series import Series, series
from payresil.render.charts.stage import stage
from payresil.render.headline import headline
from payresil.render.numbers import number, plural
from payresil.render.remedies import definitions, remedy_rows
from payresil.render.visible import visible
from payresil.render.wording import SIGNS, STATUSES, TERMS

if TYPE_CHECKING:
    from jinja2 import Environment

#: Findings whose timelines are open when the page is; these are what is printed, too.
_OPEN = 3


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart on the page: its SVG and the words under it."""

    title: str
    svg: Any  # markupsafe.Markup: escaped where it was made
    caption: str


@renderer(file="report.html")
def html(run: Run, verdict: Verdict) -> str:
    """A page that can be read alone, printed on A4, in a light or a dark room."""
    data = series(run)
    shown = page.findings(verdict)
    start = facts.started(run)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=page.title(verdict),
            scenario=visible(verdict.scenario, 120),
            claim=visible(verdict.claim),
            run=visible(verdict.run, 80),
            started="" if start is None else f"{start:%d %B %Y, %H:%M:%S} UTC",
            seed=visible(run.meta.get("seed", "not recorded"), 40),
            head=headline(verdict),
            sign=SIGNS[headline(verdict).word],
            exit_status=verdict.exit_status,
            exit_meaning=page.exit_meaning(verdict),
            tiles=page.tiles(run, verdict),
            checks=page.check_rows(verdict),
            faults=page.fault_rows(run, verdict),
            remedies=remedy_rows(run),
            definitions=definitions(verdict),
            findings=shown,
            open_timelines=_OPEN,
            listed=[finding for finding in shown if finding.timeline is None],
            ask=facts.query(run),
            undecided=any(check.outcome is not Outcome.PASS for check in verdict.checks),
            finding_count=page.finding_count(verdict, len(shown)),
            drawings=list(_drawings(run, data)),
            points=[] if data is None else list(_points(data)),
            principles=page.principle_rows(verdict),
            outside=page.outside_names(verdict),
            facts=page.fact_rows(run),
            warnings=[visible(warning) for warning in verdict.warnings],
            again=visible(facts.command(run, verdict)),
            terms=TERMS,
            outcomes=page.outcome_meanings(),
            statuses=STATUSES,
            version=__version__,
        )
    )


@cache
def _environment() -> Environment:
    """Loaded on first use: importing Jinja2 costs more than many commands take in all."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("payresil.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _drawings(run: Run, data: Series | None) -> Iterator[Drawing]:
    if data is None:
        return
    where = stage(run, data)
    each = "second" if data.width_s == 1 else f"{data.width_s} s"
    yield _drawn(
        rate(data, where),
        f"The customers' load, one point per {each}, standing where it was due. The prober and "
        "the audit are left out. Shaded: a fault was active. Barred: a remedy was at work.",
    )
    yield _drawn(
        errors(data, where),
        "Of the intents and attempts due at that time: those that failed or whose outcome the "
        "customer never learnt. An intent whose retry was answered is ok.",
    )
    chart = latency(data, where)
    if chart is not None:
        yield _drawn(chart, _latency_caption(data, each))


def _drawn(chart: Chart, caption: str) -> Drawing:
    from markupsafe import Markup

    # Every text and attribute in it went through svg.words or svg.element, which escape.
    return Drawing(chart.title, Markup(chart.svg()), f"{chart.description} {caption}")


def _latency_caption(data: Series, each: str) -> str:
    answered = sorted(count for count in data.answered if count)
    middle = answered[len(answered) // 2]
    small = (
        f" With about {plural(middle, 'answer')} per {each}, p99 is close to the slowest one."
        if middle < 100
        else ""
    )
    return "Intents that were never answered have no latency; the chart above counts them." + small


def _points(data: Series) -> Iterator[list[str]]:
    """The figures behind the charts, one row per stretch."""
    for i, start in enumerate(data.edges_s[:-1]):
        yield [
            f"{start:,.0f}",
            *(f"{data.attempts[outcome][i]:,}" for outcome in data.attempts),
            f"{data.intents[i]:,}",
            f"{data.intents_not_ok[i]:,}",
            *("–" if v[i] is None else number(v[i] or 0.0) for v in data.latency_ms.values()),
        ]
