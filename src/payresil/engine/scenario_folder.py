"""Which YAML files are meant to be scenarios: told from their top-level keys."""

from __future__ import annotations

import re
from pathlib import Path

#: The name of the copy that a run folder keeps of its scenario.
SCENARIO_FILE = "scenario.yaml"

_KEYS = frozenset({"claim", "system", "workload", "checks"})
#: So many of the keys make a scenario: one may be misspelt, and then the file must be refused
#: rather than left out.
_ENOUGH = 3

#: Where the first key stands, behind comments and the marks that may begin a document.
_FIRST = re.compile(r"\A(?:[ \t]*(?:#.*|---.*|%.*)?\r?\n)*([ ]*)(\{?)")

#: What else lies in a run folder from its first moment on.
_RECORDED = ("run.json", "events.arrows", "events.parquet")


def scenarios_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The scenarios among the `*.yaml` of a folder, without its subfolders; and the other files."""
    files = sorted(file for file in folder.glob("*.yaml") if file.is_file())
    scenarios = [file for file in files if is_scenario(file)]
    return scenarios, [file for file in files if file not in scenarios]


def is_scenario(path: Path) -> bool:
    """Whether a YAML file is meant to be a scenario, well written or not."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return path.is_file()  # whoever loads it says why it cannot be read
    return len(_KEYS.intersection(_top_level_keys(text))) >= _ENOUGH


def is_record(path: Path) -> bool:
    """Whether this is the copy of a scenario that a run folder keeps."""
    return path.name == SCENARIO_FILE and any((path.parent / x).exists() for x in _RECORDED)


def _top_level_keys(text: str) -> list[str]:
    """Read without a parser: pytest looks at every file, also at large and at broken ones."""
    first = _FIRST.match(text)
    margin, brace = first.groups() if first else ("", "")
    before = r"[{,]\s*" if brace else f"^{margin}"
    return re.findall(rf"{before}[\"']?(\w+)[\"']?[ \t]*:", text, re.MULTILINE)
