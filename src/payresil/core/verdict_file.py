"""``verdict.json``: a verdict as JSON, and back.

The keys are the fields of `Verdict` and what it holds, in that order, after `verdict_version`.
"""

from __future__ import annotations

import msgspec

from payresil.core.results import Verdict

VERDICT_FILE = "verdict.json"
VERDICT_VERSION = 1


class VerdictError(ValueError):
    """A file that holds no verdict, or one of another version; says what to do."""


def to_json(verdict: Verdict) -> str:
    """The verdict as JSON, indented, keys in a fixed order. A number that is not finite is null."""
    content = {"verdict_version": VERDICT_VERSION, **msgspec.to_builtins(verdict)}
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def from_json(text: str) -> Verdict:
    """The verdict that `to_json` wrote.

    Raises:
        VerdictError: when `text` is anything else.
    """
    try:
        content = msgspec.json.decode(text, type=dict[str, object])
        version = content.pop("verdict_version", None)
        if version == VERDICT_VERSION:
            return msgspec.convert(content, Verdict)
        reason = f"its version is {version!r}, this payresil reads {VERDICT_VERSION}"
    except msgspec.MsgspecError as error:
        reason = str(error)
    raise VerdictError(
        f"{VERDICT_FILE} cannot be read ({reason}); `payresil check` judges the run again"
    )
