"""Known flaws, each in a file that replaces one policy: what the harness must catch.

A module has a docstring (what is wrong, then what exposes it) and ``apply(sound)``. Its name
with hyphens is the flaw's name.
"""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payresil.refpay.policies import Policies


class UnknownFlawError(ValueError):
    """No flaw has this name; the message lists those that there are."""


def describe() -> dict[str, str]:
    """The first line of each flaw's docstring, by name, without importing anything."""
    described = {}
    for file in sorted(files(__package__).iterdir(), key=lambda entry: entry.name):
        stem = file.name.removesuffix(".py")
        if file.name.endswith(".py") and not stem.startswith("_"):
            text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            described[stem.replace("_", "-")] = text.split("\n")[0]
    return described


def load(name: str | None) -> Policies:
    """The policies with a flaw, or the sound ones. Raises UnknownFlawError."""
    if name is not None and name not in (known := describe()):
        raise UnknownFlawError(f"no flaw is called {name!r}; known: {', '.join(known) or 'none'}")
    from payresil.refpay.policies import SOUND

    if name is None:
        return SOUND
    module = import_module(f"{__package__}.{name.replace('-', '_')}")
    flawed: Policies = module.apply(SOUND)
    return flawed
