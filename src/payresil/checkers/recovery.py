"""How long after a fault until customers are served again, for good."""

from __future__ import annotations

from collections.abc import Iterator

from payresil.checkers.answering import answering, recovered_by, times
from payresil.checkers.outages import Episode, Outage, episodes_until, outage_of
from payresil.checkers.standstill import Standstills, standstills
from payresil.core.interruptions import NEVER_NS, THRESHOLD, WINDOW
from payresil.core.registry import checker
from payresil.core.results import Doubt, Finding, Measure, Result
from payresil.core.run import Run
from payresil.core.steps import arrivals_ended_ns
from payresil.core.values import Duration, Share

#: Fewer whole windows than these after the heal, or after what a remedy recovered, do not show that
#: an outage is over.
SETTLED_WINDOWS = 3

#: Payments due in a window that did not end ok.
_NOT_OK = f"""
select source, due_ns, coalesce(last_ns, due_ns) from intents
where due_ns >= ? and due_ns < ? and coalesce(last_ns, {NEVER_NS - 1}) < ?
  and source in ('load', 'probe') and outcome <> 'ok'
"""


@checker(kind="objective", needs=["attempts", "events"])
def recovery(
    run: Run,
    rto: Duration,
    window: Duration = WINDOW,
    threshold: Share = THRESHOLD,
) -> Iterator[Result]:
    """Service is restored within the recovery time objective after a fault begins.

    recovery_time runs from the fault's start to the start of the first window from which on every
    window has at least `threshold` of its due payments and probes ok; 0 when there was no outage.
    `recovery_after_heal` is the part of it after the fault was healed. Faults that overlap are one
    episode, judged until the next one begins or customers stop coming; of several episodes the
    longest recovery counts. What was still unanswered when the next one began is left out. A fault
    that customers need not notice, as that of a standby, is an episode of its own where they did:
    some window that began while it was active, and before the next fault, has too few of its
    payments ok, and the one before it had not.

    An objective that was missed while the harness itself stood still is undecided where that can
    have made it late: by as much time as it stood still, or by payments for half of whose time it
    did, or was catching up. A miss beyond that is a finding.

    Where a remedy that answered the episode came to a good end, recovery was by that, and is seen
    while the fault is still there; else the fault must have been healed. Of each such remedy it is
    measured how long its steps took: `detection_time`, from the start of the fault that it answered
    (the last one that customers had to notice, or did, to begin before its watch first found
    something unwell) to the end of the step detect; `decision_time`,
    how long the step decide took, a person's confirmation included; `step_…` of the others.
    `time_to_zero_unknowns` runs from that fault's start to the end of the step resolve, which waits
    until the service has no payment left whose outcome it does not know;
    `time_to_zero_unreconciled` to the end of the step reconcile, after which the service's own job
    finds nothing to do. A step that never came to a good end has no time.
    """
    end_ns = arrivals_ended_ns(run)
    if end_ns is None:
        yield Doubt("the run does not record that it ran to the end of traffic (phase drain)")
        return
    episodes = episodes_until(run, end_ns, window, threshold)
    if not episodes:
        yield Doubt("no fault was injected, so there was nothing to recover from")
    outages = [(episode, outage_of(run, episode, window, threshold)) for episode in episodes]
    yield Measure("intents_judged", sum(outage.judged for _, outage in outages))
    yield Measure("windows_judged", sum(outage.windows for _, outage in outages))
    yield from _times(outages, rto)
    answers = {episode: answering(run, episode) for episode in episodes}
    several = sum(len(found) for found in answers.values()) > 1
    for episode, outage in outages:
        yield from times(run, answers[episode], named=several)
        over_ns = _over_ns(episode, outage, remedied=recovered_by(answers[episode], episode))
        yield from _judge(run, episode, outage, rto, window, threshold, over_ns)


def _over_ns(episode: Episode, outage: Outage, *, remedied: bool) -> int | None:
    """From when on it must stay good: recovered, and healed where no remedy did it (ns).

    None when that never came.
    """
    if outage.at_most_ns is None or (episode.healed_ns is None and not remedied):
        return None
    good_ns = episode.start_ns + outage.at_most_ns
    return good_ns if remedied else max(good_ns, episode.healed_ns or good_ns)


def _times(outages: list[tuple[Episode, Outage]], rto: Duration) -> Iterator[Measure]:
    if not outages:
        return
    several = len(outages) > 1
    times = [outage.at_most_ns for _, outage in outages if outage.at_most_ns is not None]
    longest = max(times) if len(times) == len(outages) else None
    yield Measure("recovery_time", _s(longest), "s", objective=f"at most {rto}")
    for episode, outage in outages:
        name = f".{'+'.join(episode.faults)}" if several else ""
        if several:
            yield Measure(f"recovery_time{name}", _s(outage.at_most_ns), "s")
        yield Measure(f"recovery_after_heal{name}", _s(_after_heal(episode, outage)), "s")


def _after_heal(episode: Episode, outage: Outage) -> int | None:
    if outage.at_most_ns is None or episode.healed_ns is None:
        return None
    return max(0, episode.start_ns + outage.at_most_ns - episode.healed_ns)


def _s(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def _judge(
    run: Run,
    episode: Episode,
    outage: Outage,
    rto: Duration,
    window: Duration,
    threshold: Share,
    over_ns: int | None,
) -> Iterator[Finding | Doubt]:
    name = " with ".join(episode.faults)
    watched_ns = episode.end_ns - episode.start_ns
    if outage.judged == 0:
        yield Doubt(f"{name}: no payment and no probe was due after it began")
    elif outage.sure_ns is None and watched_ns >= rto.ns:
        missed = f"{name}: not recovered {watched_ns / 1e9:.3f} s after its start; the RTO is {rto}"
        yield _missed(run, missed, episode, outage, rto, threshold)
    elif outage.sure_ns is not None and outage.sure_ns > rto.ns:
        missed = f"{name}: recovered {outage.sure_ns / 1e9:.3f} s after its start; the RTO is {rto}"
        yield _missed(run, missed, episode, outage, rto, threshold)
    else:
        yield from _doubts(name, episode, outage, rto, window, over_ns)


def _missed(
    run: Run, missed: str, episode: Episode, outage: Outage, rto: Duration, threshold: Share
) -> Finding | Doubt:
    """A finding, unless the harness stood still for all that is beyond the objective."""
    still = standstills(run, episode.start_ns)
    bad_until_ns = _bad_until(run, episode, outage, threshold, still)
    still_ns = still.between(episode.start_ns, bad_until_ns)
    is_as_seen = still_ns == 0 and bad_until_ns == outage.bad[-1].end_ns
    if is_as_seen or bad_until_ns - episode.start_ns - still_ns > rto.ns:
        return Finding(missed)
    total_ns = still.between(episode.start_ns, episode.end_ns)
    return Doubt(
        f"{missed}; undecided, since the harness itself stood still for {total_ns / 1e9:.3f} s of "
        "that time"
    )


def _bad_until(
    run: Run, episode: Episode, outage: Outage, threshold: Share, still: Standstills
) -> int:
    """The end of the last window that is bad without the payments that the harness spoilt (ns)."""
    for bad in reversed(outage.bad):
        lives = run.rows(_NOT_OK, [bad.start_ns, bad.end_ns, episode.answered_by_ns])
        due = bad.due - sum(still.spoilt(*life) for life in lives)
        if due and bad.ok / due < threshold:
            return bad.end_ns
    return episode.start_ns


def _doubts(
    name: str,
    episode: Episode,
    outage: Outage,
    rto: Duration,
    window: Duration,
    over_ns: int | None,
) -> Iterator[Doubt]:
    if outage.at_most_ns is not None and over_ns is None:
        yield Doubt(f"{name}: it was never healed, so recovery was not seen")
        return
    if over_ns is None or outage.at_most_ns is None or outage.at_most_ns > rto.ns:
        yield Doubt(
            f"{name}: some windows of {window} had neither a due payment nor a probe, or the run "
            f"was too short, so the RTO of {rto} is undecided; raise the rate or the duration"
        )
        return
    if episode.end_ns - over_ns < SETTLED_WINDOWS * window.ns:
        yield Doubt(
            f"{name}: watched for only {max(0, episode.end_ns - over_ns) / 1e9:.3f} s after "
            f"it was healed and over; it takes {SETTLED_WINDOWS} windows of {window} at least"
        )
