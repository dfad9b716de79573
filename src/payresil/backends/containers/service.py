"""One instance of the service as a container, as its system file says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from payresil.backends.containers.recipe import Recipe
from payresil.backends.embedded.service import filled, refuse_unknown, told
from payresil.core.system import ServiceStart

_PORT = 8080
_PYTHON = "/opt/payresil/bin/python"

#: What an instance may use as it likes, whoever it runs as.
DATA = "/var/lib/payresil-data"


def service_port(start: ServiceStart) -> int:
    """The port that an instance listens on in its container."""
    return start.port or _PORT


def service_recipe(
    start: ServiceStart, values: Mapping[str, str], *, flaw: str | None, own: str, work: Path
) -> Recipe:
    """How to make an instance: of its own image, or of the image `own` where it is a command.

    A command of a service with an image of its own is what that image is told.

    Raises:
        EnvironmentBroke: when a flaw is asked of a system that has none.
    """
    refuse_unknown(flaw, start)
    known = {
        **values,
        "python": _PYTHON,
        "host": "0.0.0.0",
        "port": str(service_port(start)),
        "ready_file": "/tmp/payresil-ready.json",
        "data": DATA,
    }
    command = tuple(filled(part, known, "service.command") for part in start.command)
    environment = told(start, known, flaw)
    folders = {str(Path(DATA).parent): _open_folder(work / Path(DATA).name)}
    if start.image is not None:
        return Recipe(start.image, command, environment, folders=folders)
    # The own image takes roles: a command stands in for its entry point.
    return Recipe(own, command[1:], environment, entrypoint=command[:1], folders=folders)


def compose_environment(
    start: ServiceStart, values: Mapping[str, str], *, flaw: str | None
) -> dict[str, str]:
    """What an instance in a compose project is told, beside what its compose file says.

    Raises:
        EnvironmentBroke: when a flaw is asked of a system that has none.
    """
    refuse_unknown(flaw, start)
    return told(start, {**values, "host": "0.0.0.0", "port": str(service_port(start))}, flaw)


def _open_folder(folder: Path) -> Path:
    """An empty folder that everybody may write in, to be copied with its mode."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    return folder
