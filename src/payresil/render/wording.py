"""The fixed words of every report: outcomes, exit statuses and the definitions of terms."""

from __future__ import annotations

from dataclasses import dataclass

from payresil.core.results import CheckResult, Exit, Outcome

#: What a check's outcome means, in one sentence.
OUTCOMES: dict[Outcome, str] = {
    Outcome.PASS: "The claim held over everything that was judged, and something was judged.",
    Outcome.FAIL: "The claim was broken; each finding shows how.",
    Outcome.INCONCLUSIVE: "The evidence cannot decide; this is not a pass. Each doubt says why.",
}

#: A sign beside the word, so that neither colour nor language is the only one.
SIGNS: dict[str, str] = {
    "pass": "✓",
    "fail": "✗",
    "inconclusive": "?",
    "broken": "!",
    "interrupted": "!",
}

#: Exit status of the process → the word for the whole run.
WORDS: dict[int, str] = {
    Exit.PASS: "pass",
    Exit.FAIL: "fail",
    Exit.INCONCLUSIVE: "inconclusive",
    Exit.BROKEN: "broken",
    Exit.INTERRUPTED: "interrupted",
}

#: What each exit status says.
STATUSES: dict[int, str] = {
    Exit.PASS: "every claim held, every fault was shown to bite",
    Exit.FAIL: "money went wrong, or an objective was missed",
    Exit.USAGE: "the command or the scenario is invalid; nothing was run",
    Exit.INCONCLUSIVE: "the evidence cannot decide",
    Exit.BROKEN: "the environment or the harness broke",
    Exit.INTERRUPTED: "the run was interrupted, healed and cleaned up",
}

#: What a whole run's word means for whoever has to act on it; `missed` is a fail without money.
MEANINGS: dict[str, str] = {
    "pass": "The system kept these claims in this run. Other faults, other "
    "loads and longer runs were not tried.",
    "fail": "Something that was claimed about money did not hold, and once is enough. Start with "
    "the first timeline.",
    "missed": "No violation about money was found, but a bound was missed: compare what was "
    "measured with the objectives.",
    "inconclusive": "Treat it like a red build: the run neither supports the claim nor breaks it. "
    "Remove the doubts and run again.",
    "broken": "The run did not get far enough to judge the system: a part of the environment or "
    "the harness failed. Fix that first.",
    "interrupted": "The run was stopped early; faults were healed. What follows covers only the "
    "time until then.",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the report and what it means."""

    name: str
    means: str


TERMS = (
    Term("intent", "One thing a customer wants to pay, however many attempts it takes."),
    Term("attempt", "One request for an intent: a first one, a retry, or a read."),
    Term("ok", "An attempt with a final answer; a decline is one. An intent is ok if any is."),
    Term("fail", "It certainly did nothing: refused before it was sent, or rejected outright."),
    Term(
        "unknown",
        "It may have happened, or may yet: time-out, reset, 5xx, an answer that is not final. "
        "Every case in doubt is unknown.",
    ),
    Term(
        "due, sent, done",
        "When the schedule wanted a request, when it left, when its answer came or it was given "
        "up. Latency runs from due to done, so that waiting in a queue is not hidden.",
    ),
    Term("steady, faulted, recovering", "Before any fault; while one is active; after healing."),
    Term("bit", "The tables show that a fault touched payments. One that did not proves nothing."),
    Term("judged", "How many rows, intents or charges a check looked at."),
    Term("finding", "A violation, with the shortest timeline that shows it."),
    Term("doubt", "Why the evidence cannot decide. It makes a check inconclusive."),
    Term("money", "A check of safety: one violation fails, whenever it happened."),
    Term("objective", "A check against a bound that the scenario sets: availability, latency …"),
    Term(
        "recovery_time",
        "From the start of the fault to the start of the first window after which every window "
        "has its share of due intents ok. 0 when there was no outage.",
    ),
    Term(
        "detection_time",
        "From the start of the fault to when a remedy had noticed it: the end of its step detect. "
        "The fault is the last one that had begun by then.",
    ),
    Term(
        "decision_time",
        "How long a remedy's step decide took: none where it is automatic, else until a person "
        "had confirmed it. It counts in recovery_time.",
    ),
    Term("recovery_after_heal", "The same, from when the fault was healed."),
    Term(
        "data_loss",
        "Payments that were acknowledged and are absent from the books that survived: how many, "
        "the amount by currency, the age of the oldest. At a failover: what the promoted database "
        "lacked at first; after_reconciliation: what the books in the end still lack.",
    ),
    Term("evidence", "Whether a fault, or the run itself, can carry a verdict."),
    Term(
        "95% interval",
        "The range that the true value lies in, 19 times out of 20, given this sample.",
    ),
    Term("PSP", "The payment service provider: a stub here, whose own books are the truth."),
    Term(
        "seed",
        "Repeats the plan: arrivals, customers, faults. It does not repeat the interleaving of "
        "processes and threads, so a rare failure may need several runs.",
    ),
)


def evidence_word(result: CheckResult) -> str:
    """What the evidence of a fault came to, in words."""
    return "bit" if result.outcome is Outcome.PASS else "not shown to bite"
