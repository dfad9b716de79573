"""``payresil doctor SYSTEM``: says what it sees while it looks, and how it ends."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path

from payresil.core.problems import InvalidScenario, Place
from payresil.core.registry import UnknownMember, backends
from payresil.core.results import Exit
from payresil.engine.attach_file import load_attachment
from payresil.engine.doctor.examine import examine
from payresil.engine.doctor.seen import Seen
from payresil.engine.output import say
from payresil.engine.refusal import Refusal
from payresil.engine.system_file import check_start, load_system, no_system, system_path

_MARKS = {"good": "ok", "wrong": "WRONG", "doubtful": "?", "skipped": "-"}
_MAPPING = 18
_WIDTH = 100


def doctor(system: str, *, backend: str = "process", at: Path | None = None) -> int:
    """Look at a system; 1 when a mapping is wrong.

    Raises:
        Refusal: when a file cannot be used.
        EnvironmentBroke: when the system cannot be started or reached.
    """
    if at is not None:
        backend = "attach"
    try:
        backends.get(backend)
        described = load_system(system)
        check_start(system, described, backend)
        attached = None if at is None else load_attachment(at, described)
        file = system_path(system)
        if file is None:
            raise InvalidScenario([no_system(system, Place("system"))])
        counts: Counter[str] = Counter()
        for seen in examine(file, described, backend, attached):
            counts[seen.health] += 1
            say(_line(seen))
    except (InvalidScenario, UnknownMember) as error:
        raise Refusal(str(error)) from error
    say(_summary(described.name, counts))
    return Exit.FAIL if counts["wrong"] else Exit.PASS


def _line(seen: Seen) -> str:
    head = f"{_MARKS[seen.health]:<6} {seen.mapping:<{_MAPPING}} "
    words = f"{seen.words}" + (f" [{seen.where}]" if seen.where and _tells(seen) else "")
    return textwrap.fill(
        words,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _tells(seen: Seen) -> bool:
    return seen.health in ("wrong", "doubtful")


def _summary(name: str, counts: Counter[str]) -> str:
    if counts["wrong"]:
        verdict = f"{counts['wrong']} mappings are wrong" if counts["wrong"] > 1 else "one is wrong"
    else:
        verdict = f"{name} is as its file says"
    doubts = f", {counts['doubtful']} to look at" if counts["doubtful"] else ""
    return f"\n{verdict}: {counts['good']} tried and good{doubts}, {counts['skipped']} not there"
