"""The verdict for programs: `verdict.json`, which `payresil report` reads back."""

from __future__ import annotations

from typing import Any

import msgspec

from payresil.core.registry import renderer
from payresil.core.results import Verdict
from payresil.core.run import Run
from payresil.core.verdict_file import VERDICT_FILE, to_json


@renderer(file=VERDICT_FILE)
def json_(run: Run, verdict: Verdict) -> str:
    """The whole verdict as JSON, nothing left out."""
    try:
        return to_json(verdict)
    except UnicodeEncodeError:  # a lone surrogate: the name of a file that is not UTF-8 has them
        return to_json(msgspec.convert(_encodable(msgspec.to_builtins(verdict)), Verdict))


def _encodable(value: Any) -> Any:
    """`value` with every lone surrogate written out as its escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(inner) for inner in value]
    return value
