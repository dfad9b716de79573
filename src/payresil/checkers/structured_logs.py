"""Whether the service's logs are of use in an incident: they parse, and show every payment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from payresil.checkers.instances import service_instances
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.values import Share

#: Lines are decoded by so many bytes of them at once.
_CHUNK = 1 << 20

#: A clock of another program may say the end of the run a little later, or round it.
_SLACK = timedelta(seconds=1)

#: Of a log that is bad throughout, so many lines are kept.
_MOST_BAD = 1000

#: How much of a bad line is kept, and how much of it is shown.
_KEPT, _SHOWN = 200, 80

#: What could be a card number or a secret: long numbers with or without separators, long words.
_LONG = re.compile(r"\d(?:[ -]?\d){6,}|[\w+/=-]{20,}")
_LAST_WORD = re.compile(r"[\w+/=-]*\Z")

#: A whole line behind one that was cut short is looked for at so many places.
_PLACES = 32

_ANSWERED = "select intent from intents where outcome = 'ok'"

_SPAN = "select min(wall_us), max(wall_us) from events where wall_us is not null"

#: When a node was ended in mid-sentence.
_KILLS = """
select wall_us from events
where kind = 'node' and what in ('killed', 'exited') and wall_us is not null and name = ?
order by wall_us
"""

#: What decoding a line raises: it is no JSON, lacks something, or holds a time out of this world.
_UNREADABLE = (ValueError, OverflowError, RecursionError)

_Decoder = msgspec.json.Decoder[Any]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Span = tuple[datetime, datetime]
_time_of = attrgetter("time")
_reference_of = attrgetter("reference")


@dataclass(frozen=True, slots=True)
class _Bad:
    """A line that is of no use, and why."""

    number: int
    why: str
    text: bytes
    before: datetime | None = None  # the time of the line before
    after: datetime | None = None  # … and of what another process wrote right behind it
    ends: bool = False  # no line end follows: it is the last thing in the file


@dataclass(slots=True)
class _Log:
    """What one instance's log came to."""

    lines: int = 0
    bad_lines: int = 0
    bad: list[_Bad] = field(default_factory=list)  # the first ones
    latest: datetime | None = None
    references: list[pa.Array] = field(default_factory=list)

    def add_bad(self, bad: _Bad) -> None:
        """Count it, and keep it while there are few."""
        self.bad_lines += 1
        if len(self.bad) < _MOST_BAD:
            self.bad.append(bad)

    def add_good(self, lines: list[Any]) -> None:
        """Lines in which nothing is wrong."""
        if lines:
            self.latest = lines[-1].time
            named = pa.array(map(_reference_of, lines), pa.string())
            self.references.append(pc.unique(named).drop_null())


@checker(kind="objective", needs=["attempts", "events", "logs"])
def structured_logs(
    run: Run,
    traceable: Share = Share(0.99),  # noqa: B008 - a value, never changed
) -> Iterator[Result]:
    """Payments can be followed through the service's logs, of which every line is structured.

    Every line of every instance is a JSON object with a time within the run, a level and an event,
    under the names of the system file. Of the payments that customers got a final answer to, at
    least `traceable` are named by their reference in a line; all are looked for, so the share
    counts as it is. A line that a kill cut short is excused. Excerpts show no long number or word.
    """
    names = run.meta.get("logs")
    if not isinstance(names, Mapping):
        yield Doubt("run.json does not name the fields of log lines (`logs` in the system file)")
        return
    if run.folder is None:
        yield Doubt("the run has no folder, so there are no logs to look into")
        return
    instances = service_instances(run)
    if not instances:
        yield Doubt("run.json lists no instance of the service (nodes)")
    decoder, span = _decoder(names), _span(run)
    logs: list[_Log] = []
    cut = 0
    for node in instances:
        path = run.folder / "logs" / f"{node.replace('/', '.')}.log"
        if not path.is_file():
            yield Doubt(f"{node} left no log: there is no logs/{path.name}")
            continue
        log = _read(path, decoder, span)
        logs.append(log)
        if not log.lines:
            yield Doubt(f"{node} logged nothing")
        excused = _cut_by_a_kill(log.bad, [_wall(us) for (us,) in run.rows(_KILLS, [node])])
        cut += len(excused)
        yield from _findings(f"logs/{path.name}", log, excused)
    yield Measure("lines_judged", sum(log.lines for log in logs))
    yield Measure("lines_cut_by_a_kill", cut)
    yield from _traced(run, [part for log in logs for part in log.references], traceable)


def _decoder(names: Mapping[str, Any]) -> _Decoder:
    """Of lines with these fields; whatever else a line says is skipped, not built."""
    line = msgspec.defstruct(
        "Line",
        [("time", _Moment), ("level", str | int), ("event", str), ("reference", str | None, None)],
        rename={own: str(names.get(own, own)) for own in ("time", "level", "event", "reference")},
        gc=False,
    )
    return msgspec.json.Decoder(line, strict=False)  # so that a time may be Unix seconds


def _span(run: Run) -> _Span | None:
    """The wall time of the run; None when no event says."""
    first_us, last_us = run.rows(_SPAN)[0]
    return None if first_us is None else (_wall(first_us) - _SLACK, _wall(last_us) + _SLACK)


def _wall(us: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=us)


def _read(path: Path, decoder: _Decoder, span: _Span | None) -> _Log:
    log = _Log()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            chunk = piece + file.readline()
            lines = _all_good(chunk, decoder, span)
            if lines is None:
                lines = _one_by_one(chunk, decoder, span, log)
            else:
                log.lines += len(lines)
            log.add_good(lines)
    return log


def _all_good(chunk: bytes, decoder: _Decoder, span: _Span | None) -> list[Any] | None:
    """The lines of a chunk in which nothing is wrong; None when they must be looked at singly."""
    try:
        lines = decoder.decode_lines(chunk)
    except _UNREADABLE:
        return None
    # An object may be spread over lines, or share one.
    if len(lines) != chunk.count(b"\n") + (not chunk.endswith(b"\n")):
        return None
    if span is not None and not (
        span[0] <= min(map(_time_of, lines)) and max(map(_time_of, lines)) <= span[1]
    ):
        return None
    return lines


def _one_by_one(chunk: bytes, decoder: _Decoder, span: _Span | None, log: _Log) -> list[Any]:
    good: list[Any] = []
    latest = log.latest
    texts = chunk.split(b"\n")
    unfinished = texts.pop()
    for text in [*texts, unfinished] if unfinished else texts:
        log.lines += 1
        line, why = _decoded(text, decoder)
        if line is None:
            line = _behind(text, decoder)
            after = None if line is None else line.time
            ends = text is unfinished
            log.add_bad(_Bad(log.lines, why, text[:_KEPT], latest, after, ends))
        elif span is not None and not span[0] <= line.time <= span[1]:
            log.add_bad(_Bad(log.lines, "its time is not within the run", text[:_KEPT]))
            line = None
        if line is not None:
            good.append(line)
            latest = line.time
    return good


def _decoded(text: bytes, decoder: _Decoder) -> tuple[Any, str]:
    """The line, or None and what is wrong with it."""
    try:
        return decoder.decode(text), ""
    except msgspec.ValidationError as error:  # names fields and types, not what they hold
        return None, str(error)
    except _UNREADABLE:
        return None, "no JSON object"


def _behind(text: bytes, decoder: _Decoder) -> Any:
    """The whole line that another process wrote right behind one that was cut short, or None."""
    if not text.startswith(b"{"):
        return None
    starts = (match.start() for match in re.finditer(rb'\{\s*"', text))
    for at in islice(starts, 1, _PLACES):
        line, _ = _decoded(text[at:], decoder)
        if line is not None:
            return line
    return None


def _cut_by_a_kill(bad: list[_Bad], kills: list[datetime]) -> list[_Bad]:
    """Lines that begin as one should and were the last before a kill; one for each kill."""
    excused = []
    left = list(kills)
    for each in bad:
        if not each.text.startswith(b"{") or not (each.ends or each.after):
            continue
        first = each.before - _SLACK if each.before else None
        last = each.after + _SLACK if each.after else None
        fitting = [
            kill
            for kill in left
            if (first is None or first <= kill) and (last is None or kill <= last)
        ]
        if fitting:
            left.remove(fitting[0])
            excused.append(each)
    return excused


def _findings(place: str, log: _Log, excused: list[_Bad]) -> Iterator[Finding]:
    """One finding for bad lines that stand together, as a traceback's do."""
    bad = [each for each in log.bad if each not in excused]
    for _, together in groupby(enumerate(bad), lambda pair: pair[1].number - pair[0]):
        block = [each for _, each in together]
        first, last = block[0], block[-1]
        lines = str(first.number) if first is last else f"{first.number}-{last.number}"
        yield Finding(f"{place}:{lines}: {first.why}: {_excerpt(first.text)}")
    if log.bad_lines > len(log.bad):
        more = log.bad_lines - len(log.bad)
        yield Finding(f"{place}: {more:,} lines beyond the first {_MOST_BAD:,} are of no use too")


def _excerpt(text: bytes) -> str:
    """The beginning of a line, masked before it is shortened: half a number would escape."""
    words = text.decode(errors="replace")
    if len(text) == _KEPT:
        words = _LAST_WORD.sub("", words)
    masked = _LONG.sub("[…]", words)
    shown = masked[:_SHOWN] + ("…" if len(masked) > _SHOWN else "")
    return repr(shown)


def _traced(run: Run, references: list[pa.Array], traceable: Share) -> Iterator[Result]:
    answered = run.sql.sql(_ANSWERED).to_arrow_table()["intent"]
    total = len(answered)
    yield Measure("answered_payments_judged", total)
    if not total:
        yield Doubt("no payment was answered, so none could be followed")
        return
    found = pc.is_in(answered, value_set=pa.chunked_array(references, pa.string()))
    traced = pc.sum(found).as_py() or 0
    yield Measure("traceable", traced / total, "share", objective=f"at least {traceable}")
    if traced / total < traceable:
        first = pc.min(answered.filter(pc.invert(found))).as_py()
        yield Finding(
            f"{total - traced:,} of {total:,} answered payments are named in no log line, so "
            f"{traced / total:.3%} can be followed; the objective is {traceable}",
            first,
        )
