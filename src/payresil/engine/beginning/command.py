"""Writes the files, and never over others."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from shlex import quote

from payresil.core.results import Exit
from payresil.engine.output import say
from payresil.engine.refusal import Refusal

#: File → template beside this module.
_FILES = {
    "system.yaml": "system.yaml",
    "scenarios/ordinary-day.yaml": "ordinary-day.yaml",
    "scenarios/lost-answers.yaml": "lost-answers.yaml",
}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")

#: What lies in the folder of a service → how it is probably started.
_COMMANDS = {
    "manage.py": ["{python}", "manage.py", "runserver", "--noreload", "{host}:{port}"],
    "app.py": ["{python}", "app.py"],
    "main.py": ["{python}", "main.py"],
    "server.js": ["node", "server.js"],
    "package.json": ["npm", "start"],
}


def init(folder: Path, name: str | None) -> int:
    """Write a system file called `name` and two scenarios into the folder of a service.

    Raises:
        Refusal: when the folder is none, the name cannot be used, or a file is there already.
    """
    if not folder.is_dir():
        raise Refusal(f"{folder} is no folder: name the folder of your service")
    name = name or _name_of(folder)
    if not _NAME.match(name):
        raise Refusal(f"--system {name}: expected lower-case letters, digits and dashes")
    there = [file for file in _FILES if (folder / file).exists()]
    if there:
        raise Refusal(f"{folder} has {', '.join(there)} already, and nothing is written over")
    for file, template in _FILES.items():
        text = files(__package__).joinpath(template).read_text(encoding="utf-8")
        _write(folder / file, _filled(text, name, folder))
    system, scenarios = folder / "system.yaml", folder / "scenarios"
    say(f"{system}: go through it, then run `payresil doctor {quote(str(system))}`")
    say(f"{scenarios}: `payresil run {quote(str(scenarios))}` when the doctor is content")
    return Exit.PASS


def _name_of(folder: Path) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    return words[:64] or "service"


def _filled(template: str, name: str, folder: Path) -> str:
    """The template with the two things that can be known."""
    found = [command for file, command in _COMMANDS.items() if (folder / file).exists()]
    command = found[0] if found else ["./serve", "--port", "{port}"]
    return template.replace("name: NAME", f"name: {name}").replace("COMMAND", json.dumps(command))


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise Refusal(f"{file} cannot be written: {error.strerror}") from error
