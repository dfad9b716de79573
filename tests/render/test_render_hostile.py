"""Whatever a run holds, every renderer gives a file that can be written, parsed and trusted."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.core.registry import renderers
from payresil.core.results import CheckResult, Doubt, Finding, Line, Measure, Outcome, Verdict
from payresil.core.run import Run

EVIL = (
    "\x1b[31m\x1b]0;title\x07</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    "]]></failure>&amp;\"'`|{{ 7*7 }}{% raw %}<!-- \x00\x08\r\n## \u202egnp\u2028\ufffe\ud800"
)
NAMES = {"html", "json", "junit", "md", "text"}


def hostile_run(text):
    plain = text.encode("utf-8", "replace").decode()
    meta = {
        "run": plain, "scenario": text, "scenario_file": text, "flaw": text, "seed": text,
        "nodes": [text], "versions": {text: text}, "capabilities": text, "lints": [text],
        "zero_wall_us": 0,
    }  # fmt: skip
    attempt = {
        "intent": plain, "n": 1, "operation": "pay", "attempt": 1, "source": "load",
        "kind": "create", "due_ns": 0, "sent_ns": 0, "done_ns": 10, "outcome": "ok",
    }  # fmt: skip
    events = [
        {"kind": "fault", "name": plain, "what": what, "at_ns": at}
        for at, what in enumerate(["inject", "injected", "heal", "healed"])
    ]
    events += [{"kind": "phase", "name": plain, "what": "begin", "at_ns": 0}]
    return Run.from_rows(meta, attempts=[attempt], events=events)


def hostile_verdict(text, outcome=Outcome.FAIL):
    result = CheckResult(
        name=text,
        kind=text,
        claim=text,
        outcome=outcome,
        parameters={text: text, "list": [text]},
        measures=(
            Measure(text, 1.5, text, 1, 2, text),
            Measure(f"{text}_judged", 3),
            Measure(f"recovery_time{text}", 3, text, objective=text),
        ),
        findings=(Finding(text, text, (Line(None, text, text), Line(5, "harness", text, True))),),
        doubts=(Doubt(text, text),),
    )
    return Verdict(
        text, text, text, outcome, 1, (result,), (result,), (text,), broken=text, interrupted=True
    )


def test_the_renderers_and_their_files():
    files = {member.name: member.traits["file"] for member in renderers.members()}
    assert {name: files[name] for name in NAMES} == {
        "html": "report.html", "json": "verdict.json", "junit": "junit.xml", "md": "report.md",
        "text": None,
    }  # fmt: skip


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_control_character_reaches_a_file(name, outcome):
    shown = renderers.get(name).call(hostile_run(EVIL), hostile_verdict(EVIL, outcome))
    shown.encode("utf-8")
    assert not [c for c in shown if (not c.isprintable()) and c not in "\n\u200b\u202f\xa0"] or (
        name == "json"
    )
    assert "\x1b" not in shown
    assert "\x00" not in shown


def test_html_holds_no_element_of_the_run(story):
    page = renderers.get("html").call(hostile_run(EVIL), hostile_verdict(EVIL))
    found = story.elements(page)
    assert found.wrong == []
    assert found.open == []
    assert not found.named("script")
    assert not found.named("img")
    assert not [name for _, given in found.tags for name in given if name.startswith("on")]
    assert "{{ 7*7 }}" in page  # shown, not evaluated
    assert "<!--" not in page


def test_junit_is_xml_with_the_text_inside_it():
    root = ET.fromstring(renderers.get("junit").call(hostile_run(EVIL), hostile_verdict(EVIL)))
    assert {element.tag for element in root.iter()} <= {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error",
        "system-out",
    }  # fmt: skip
    assert "]]></failure>" in next(root.iter("failure")).get("message")


def test_json_keeps_the_text():
    told = json.loads(renderers.get("json").call(hostile_run(EVIL), hostile_verdict(EVIL)))
    assert told["claim"] == EVIL.replace("\ud800", "\\ud800")
    plain = json.loads(renderers.get("json").call(hostile_run("a"), hostile_verdict("a\x1b")))
    assert plain["claim"] == "a\x1b"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_gives_files_that_can_be_parsed(text):
    run, verdict = hostile_run(text), hostile_verdict(text)
    for name in NAMES:
        shown = renderers.get(name).call(run, verdict)
        shown.encode("utf-8")
        if name == "junit":
            ET.fromstring(shown)
        if name == "json":
            json.loads(shown)
