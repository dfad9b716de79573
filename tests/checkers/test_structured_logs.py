from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from payresil.checkers.structured_logs import structured_logs
from payresil.core.run import Run
from payresil.core.tables import from_rows
from payresil.core.values import Share

ONE, TWO = "a/service.1", "a/service.2"
NAMES = {"time": "ts", "level": "level", "event": "event", "reference": "reference"}
CARD = "4000020123456789"


def stamp(history, at_s):
    """A moment of the run, as the service writes it."""
    zero = datetime.fromtimestamp(history.meta["zero_wall_us"] / 1e6, UTC)
    return (zero + timedelta(seconds=at_s)).isoformat(timespec="milliseconds")


def line(history, at_s, event="payment.answered", **more):
    """One line as it should be."""
    return json.dumps({"ts": stamp(history, at_s), "level": "info", "event": event, **more})


class Logged:
    """A run with a log of each instance, in which every payment is named once."""

    def __init__(self, history, folder):
        self.history, self.folder = history, folder
        history.meta |= {"nodes": ["customers", ONE, TWO, "a/db"], "logs": dict(NAMES)}
        self.logs = {node: [self.line(-1, "serving")] for node in (ONE, TWO)}
        for n, (intent, at_s) in enumerate(sorted(self.answered())):
            self.logs[TWO if n % 2 else ONE].append(self.line(at_s, reference=intent))

    def answered(self):
        return {
            (row["intent"], row["done_ns"] / 1e9)
            for row in self.history["attempts"]
            if row["outcome"] == "ok"
        }

    def line(self, at_s, event="payment.answered", **more):
        return line(self.history, at_s, event, **more)

    def killed(self, at_s, node=ONE):
        self.history.event(at_s, "node", node, "killed")

    def run(self):
        (self.folder / "logs").mkdir(exist_ok=True)
        for node, lines in self.logs.items():
            path = self.folder / "logs" / f"{node.replace('/', '.')}.log"
            text = "".join(each if each.endswith(CUT) else f"{each}\n" for each in lines).replace(
                CUT, ""
            )
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        zero_us = self.history.meta["zero_wall_us"]
        for event in self.history["events"]:
            event["wall_us"] = zero_us + event["at_ns"] // 1000
        tables = {name: from_rows(name, rows) for name, rows in self.history.tables.items()}
        return Run(tables, self.history.meta, self.folder)


#: Ends a line that was cut short: no line end follows.
CUT = "\0"


@pytest.fixture
def logged(history, tmp_path):
    return Logged(history, tmp_path)


def messages(ask, logged):
    return [finding.message for finding in ask(structured_logs, logged.run()).findings]


def test_logs_in_which_everything_can_be_followed(logged, ask):
    said = ask(structured_logs, logged.run())
    assert said.passes
    assert said.value("lines_judged") == 22
    assert said.value("answered_payments_judged") == 20
    assert said.value("traceable") == 1


def test_time_may_be_unix_seconds_and_level_a_number(logged, ask):
    zero_s = logged.history.meta["zero_wall_us"] / 1e6
    logged.logs[ONE].append(json.dumps({"ts": zero_s + 3.25, "level": 30, "event": "x", "y": []}))
    assert ask(structured_logs, logged.run()).passes


def test_the_names_are_those_of_the_system_file(logged, ask):
    logged.history.meta["logs"] = {
        "time": "@timestamp", "level": "severity", "event": "message", "reference": "order"
    }  # fmt: skip
    names = {"ts": "@timestamp", "level": "severity", "event": "message", "reference": "order"}
    for node, lines in logged.logs.items():
        logged.logs[node] = [
            json.dumps({names[key]: value for key, value in json.loads(each).items()})
            for each in lines
        ]
    assert ask(structured_logs, logged.run()).passes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("listening on 8080", "no JSON object: 'listening on 8080'"),
        ("", "no JSON object: ''"),
        ("[1, 2]", "Expected `object`, got `array`: '[1, 2]'"),
        ('{"level": "info", "event": "x"}', "Object missing required field `ts`: "),
        ('{"ts": "now", "level": "info", "event": "x"}', "Invalid RFC3339 encoded datetime"),
        ('{"ts": "2023-11-14T22:13:20", "level": "i", "event": "x"}', "Expected `datetime` with a"),
        ('{"ts": 1e300, "level": "info", "event": "x"}', "Timestamp is out of range"),
        ('{"ts": 1, "level": "info", "event": "x"}', "its time is not within the run: "),
        ('{"ts": 1700000001, "event": "x"}', "Object missing required field `level`"),
        ('{"ts": 1700000001, "level": "info"}', "Object missing required field `event`"),
        ('{"ts": 1700000001, "level": "i", "event": "x", "reference": 5}', "Expected `str | null`"),
        ('{"ts": 1700000001, "level": "i", "event": "x"} {}', "no JSON object: "),
        ("\udcff\udcfe", "no JSON object: '\\ufffd\\ufffd'"),
        ('{"x": ' * 100_000, "no JSON object: "),
    ],
)
def test_a_line_that_is_of_no_use(logged, ask, text, why):
    logged.logs[TWO].insert(3, text)
    (message,) = messages(ask, logged)
    assert message.replace("�", "\\ufffd").startswith(f"logs/a.service.2.log:4: {why}")


def test_an_object_over_several_lines_is_none(logged, ask):
    logged.logs[ONE].append(json.dumps(json.loads(logged.line(3)), indent=1))
    (message,) = messages(ask, logged)
    assert message.startswith("logs/a.service.1.log:12-16: no JSON object: '{'")


def test_a_traceback_is_one_finding(logged, ask):
    logged.logs[ONE][5:5] = ["Traceback (most recent call last):", '  File "x"', "ValueError: no"]
    (message,) = messages(ask, logged)
    assert message == (
        "logs/a.service.1.log:6-8: no JSON object: 'Traceback (most recent call last):'"
    )


@pytest.mark.parametrize("card", [CARD, "4000-0201-2345-6789", "4000 0201 2345 6789"])
def test_no_long_number_and_no_secret_is_shown(logged, ask, card):
    logged.logs[ONE].append(f"{'x ' * 33}card {card} key sk_test_0123456789abcdef0123456789abcdef")
    (message,) = messages(ask, logged)
    assert not any(part in message for part in ("4000", "6789", "sk_test", "abcdef"))
    assert "card […]" in message


@pytest.mark.parametrize("before", range(0, 200, 7))
def test_a_number_that_is_cut_in_two_is_not_shown_either(logged, ask, before):
    logged.logs[ONE].append(f"{'y' * before} {'z' * 150} {CARD} {CARD}")
    (message,) = messages(ask, logged)
    assert "400002" not in message


def test_a_line_that_a_kill_cut_short_is_excused(logged, ask):
    logged.logs[ONE].append(logged.line(41, note="last words")[:-9] + CUT)
    logged.killed(41.5)
    said = ask(structured_logs, logged.run())
    assert said.passes
    assert said.value("lines_cut_by_a_kill") == 1


def test_what_the_next_start_wrote_right_behind_it_counts(logged, ask):
    place, whole = next((k, each) for k, each in enumerate(logged.logs[ONE]) if "1a2b" in each)
    logged.logs[ONE][place] = '{"ts": "2023-11-14T22:1' + whole
    logged.killed(0)
    said = ask(structured_logs, logged.run())
    assert said.passes
    assert said.value("traceable") == 1
    assert said.value("lines_cut_by_a_kill") == 1


@pytest.mark.parametrize("kills", [[], [("a/service.2", 41.5)], [(ONE, 20.0)]])
def test_half_a_line_without_a_kill_to_explain_it_is_found(logged, ask, kills):
    logged.logs[ONE].append(logged.line(41)[:-9] + CUT)
    logged.logs[ONE].insert(-1, logged.line(40.5, "busy"))
    for node, at_s in kills:
        logged.killed(at_s, node)
    assert len(messages(ask, logged)) == 1


def test_one_kill_excuses_one_line(logged, ask):
    cut = logged.line(40)[:-9]
    logged.logs[ONE] += [cut + logged.line(41, "serving"), logged.line(41)[:-9] + CUT]
    logged.killed(40.5)
    assert len(messages(ask, logged)) == 1


def test_what_a_crash_printed_is_not_excused_by_the_kill(logged, ask):
    logged.logs[ONE] += ["Fatal Python error: Aborted" + CUT]
    logged.killed(41)
    assert len(messages(ask, logged)) == 1


def test_payments_that_cannot_be_followed(logged, ask):
    for node, lines in logged.logs.items():
        logged.logs[node] = [each for each in lines if '"1a2b-3"' not in each]
    said = ask(structured_logs, logged.run(), traceable=Share(0.99))
    assert [f.message for f in said.findings] == [
        "1 of 20 answered payments are named in no log line, so 95.000% can be followed; the "
        "objective is 99%"
    ]
    assert said.about == ["1a2b-3"]
    assert ask(structured_logs, logged.run(), traceable=Share(0.95)).passes


def test_a_payment_without_an_answer_need_not_be_named(logged, ask):
    logged.history.attempt(50, 5, outcome="unknown", status=None, answer=None)
    assert ask(structured_logs, logged.run()).passes


def test_a_long_log_is_read_in_pieces(logged, ask):
    padding = "x" * 1000
    logged.logs[ONE] += [logged.line(10 + n / 200, "busy", padding=padding) for n in range(3000)]
    logged.logs[ONE].insert(2000, "half way")
    said = ask(structured_logs, logged.run())
    assert [f.message for f in said.findings] == [
        "logs/a.service.1.log:2001: no JSON object: 'half way'"
    ]
    assert said.value("lines_judged") == 3023


def test_a_log_that_is_bad_throughout_is_cut_off(logged, ask):
    logged.logs[ONE] = [f"line {n}" if n % 2 else logged.line(3) for n in range(2400)]
    found = messages(ask, logged)
    assert len(found) == 1002  # and the payments that can no longer be followed
    assert "logs/a.service.1.log: 200 lines beyond the first 1,000 are of no use too" in found


def test_a_log_that_is_not_there_or_empty(logged, ask):
    logged.logs[ONE] = []
    run = logged.run()
    (logged.folder / "logs" / "a.service.2.log").unlink()
    said = ask(structured_logs, run)
    assert [d.message for d in said.doubts] == [
        "a/service.1 logged nothing",
        "a/service.2 left no log: there is no logs/a.service.2.log",
    ]


def test_a_run_without_names_without_folder_without_instances(logged, history, ask):
    run = logged.run()
    assert "has no folder" in ask(structured_logs, history.run()).doubts[0].message
    run.meta["nodes"] = None
    assert "lists no instance" in ask(structured_logs, run).doubts[0].message
    run.meta["logs"] = None
    assert "`logs` in the system file" in ask(structured_logs, run).doubts[0].message


def test_an_empty_run(empty, tmp_path, ask):
    said = ask(structured_logs, Logged(empty, tmp_path).run())
    assert [d.message for d in said.doubts] == [
        "no payment was answered, so none could be followed"
    ]
