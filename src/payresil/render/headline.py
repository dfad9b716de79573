"""The verdict in one word and one sentence, and the figures that everyone asks for first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from payresil.core.results import CheckResult, Exit, Finding, Measure, Outcome, Verdict
from payresil.render.numbers import number, plural
from payresil.render.visible import visible
from payresil.render.wording import MEANINGS, WORDS

_JUDGED = "_judged"

#: Measures that belong on the first screen wherever a check gives them, in this order. Those of
#: one fault among several (``recovery_time.crash``) stay in the table.
_KEY_MEASURES = (
    "recovery_time",
    "recovery_after_heal",
    "data_loss",
    "data_loss_after_reconciliation",
)
_AMOUNTS = "data_loss_"  # by currency, and the age of the oldest
_BY_DESIGN = "data_loss"  # the check that says what a failover lost; others measure it, too


@dataclass(frozen=True, slots=True)
class Headline:
    """The whole verdict, shortest first."""

    word: str  # pass | fail | inconclusive | broken | interrupted
    sentence: str
    meaning: str


def headline(verdict: Verdict) -> Headline:
    """What the run came to.

    The word follows the exit status. One that says pass while the outcome is another gives way
    to the outcome: a report must not be greener than what it is made of.
    """
    word = WORDS.get(verdict.exit_status, verdict.outcome.value)
    if verdict.exit_status == Exit.PASS:
        word = verdict.outcome.value
    lost_money = any(c.outcome is Outcome.FAIL and c.kind == "money" for c in verdict.checks)
    meaning = MEANINGS["missed" if word == "fail" and not lost_money else word]
    return Headline(word, " ".join(_reasons(verdict)), meaning)


def findings_total(verdict: Verdict) -> int:
    """Violations found in all, also those that the verdict holds only the count of."""
    return sum(total(check) for check in verdict.checks)


def total(check: CheckResult) -> int:
    """Violations that `check` found in all."""
    return max(check.findings_total, len(check.findings))


def key_measures(verdict: Verdict) -> tuple[Measure, ...]:
    """Recovery time and data loss, where a check measured them."""
    by_failover = [check for check in verdict.checks if _is_of(check, _BY_DESIGN)]
    measures = [
        measure
        for check in verdict.checks
        for measure in check.measures
        if not (by_failover and check not in by_failover and measure.name.startswith(_BY_DESIGN))
    ]
    named = [measure for key in _KEY_MEASURES for measure in measures if measure.name == key]
    amounts = (
        measure
        for measure in measures
        if measure.name.startswith(_AMOUNTS) and measure.name not in _KEY_MEASURES
    )
    return (*named, *amounts)


def _is_of(check: CheckResult, checker: str) -> bool:
    """Whether `check` is one of this checker's; the second of a kind is called ``recovery.2``."""
    return check.name.split(".")[0] == checker


def claims(verdict: Verdict) -> list[CheckResult]:
    """The checks of the scenario, without those of the run itself."""
    return [check for check in verdict.checks if check.kind != "evidence"]


def is_judged(measure: Measure) -> bool:
    """Whether `measure` counts what the check looked at."""
    return measure.name.endswith(_JUDGED)


def judged(check: CheckResult) -> list[str]:
    """What the check looked at: ``1,201 intents``, ``1,632 attempts``; may be nothing."""
    return [
        f"{number(measure.value or 0)} "
        + visible(measure.name.removesuffix(_JUDGED).replace("_", " "), 60)
        for measure in check.measures
        if is_judged(measure)
    ]


def with_findings(verdict: Verdict) -> Iterator[tuple[CheckResult, Finding]]:
    """Every finding that the verdict holds, those about money first."""
    for check in by_kind(verdict.checks):
        for finding in check.findings:
            yield check, finding


def by_urgency(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """The worst outcome first, and money before objectives."""
    return sorted(by_kind(checks), key=lambda check: -check.outcome.rank)


def by_kind(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """Money before objectives, otherwise in the scenario's order."""
    return sorted(checks, key=lambda check: check.kind != "money")


def _reasons(verdict: Verdict) -> Iterator[str]:
    if verdict.broken is not None:
        yield f"The run broke: {_ended(visible(verdict.broken))}"
    if verdict.interrupted:
        yield "The run was interrupted."
    yield from _failed(verdict.checks)
    yield from _undecided(verdict)
    if verdict.outcome is Outcome.PASS and claims(verdict):
        yield _held(verdict)
    if not claims(verdict):
        yield "No check ran, so nothing was judged."


def _failed(checks: Sequence[CheckResult]) -> Iterator[str]:
    failed = [check for check in checks if check.outcome is Outcome.FAIL]
    money = [check for check in failed if check.kind == "money"]
    if money:
        found = plural(sum(map(total, money)), "violation")
        yield f"Money went wrong: {found} of {_names(money)}."
    missed = [check for check in failed if check.kind != "money"]
    if missed:
        yield f"Not met: {_names(missed)}."


def _undecided(verdict: Verdict) -> Iterator[str]:
    undecided = [check for check in verdict.checks if check.outcome is Outcome.INCONCLUSIVE]
    if undecided:
        yield f"Not decided: {_names(undecided)}."
    unbitten = [fault for fault in verdict.faults if fault.outcome is not Outcome.PASS]
    if unbitten:
        yield f"Not shown to bite: {_names(unbitten)}."


def _held(verdict: Verdict) -> str:
    checks = len(claims(verdict))
    held = "The one check held" if checks == 1 else f"All {checks} checks held"
    if not verdict.faults:
        return f"{held}; no fault was injected."
    faults = plural(len(verdict.faults), "fault was", "faults were")
    return f"{held}; {faults} shown to bite."


def _names(results: Sequence[CheckResult]) -> str:
    shown = [visible(result.name) for result in results[:5]]
    more = len(results) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
