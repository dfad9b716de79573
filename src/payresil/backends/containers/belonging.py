"""Whether what a compose project has is of the stack that is to be brought up or taken down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

#: What the compose file of the reference topology puts on all that it describes.
STACK = "payresil.stack"

#: What Compose itself puts on containers: the files they are from, and the folder of those.
_FILES, _FOLDER = (
    "com.docker.compose.project.config_files",
    "com.docker.compose.project.working_dir",
)


class Thing(Protocol):
    """A container, network or volume of the docker SDK."""

    @property
    def name(self) -> str | None:
        """Its name."""
        ...

    @property
    def attrs(self) -> dict[str, Any]:
        """What the engine tells of it."""
        ...


@dataclass(frozen=True, slots=True)
class Project:
    """All that the engine has under the name of a compose project."""

    containers: Sequence[Thing]
    networks: Sequence[Thing]
    volumes: Sequence[Thing]

    def strangers(self, file: Path, mark: str | None) -> Iterator[str]:
        """What is not of the stack in `file`, in words; `mark` is the value of `STACK` there.

        Containers are of the file that Compose has noted on them. Networks and volumes bear the
        mark, or have none where the file puts none. What such containers use is of the stack as
        well: versions that put no mark made it.
        """
        known = [one for one in self.containers if _is_from(one, file, mark)]
        used = {name for one in known for name in _used(one)}
        for one in self.containers:
            if one not in known:
                yield f"the container {one.name}{_origin(one)}"
        for kind, things in (("network", self.networks), ("volume", self.volumes)):
            for one in things:
                if _labels(one).get(STACK) != mark and one.name not in used:
                    yield f"the {kind} {one.name}"


def mark_of(config: Mapping[str, Any]) -> str | None:
    """The mark that a compose file, as Compose reads it, puts on its services."""
    marks = ((one.get("labels") or {}).get(STACK) for one in config["services"].values())
    return next((str(mark) for mark in marks if mark is not None), None)


def _is_from(container: Thing, file: Path, mark: str | None) -> bool:
    files = _files(container)
    if files == [file]:
        return True
    # From a checkout or an installation that is gone there is no file left to take it down with.
    marked = mark is not None and _labels(container).get(STACK) == mark
    return marked and not any(one.exists() for one in files)


def _files(container: Thing) -> list[Path]:
    labels = _labels(container)
    named = [one for one in labels.get(_FILES, "").split(",") if one]
    return [Path(labels.get(_FOLDER, "/"), one).resolve() for one in named]


def _origin(container: Thing) -> str:
    files = ", ".join(map(str, _files(container)))
    return f" (of {files})" if files else ""


def _used(container: Thing) -> Iterator[str]:
    """The names of its networks and volumes."""
    yield from (container.attrs.get("NetworkSettings") or {}).get("Networks") or ()
    yield from (one["Name"] for one in container.attrs.get("Mounts") or () if one.get("Name"))


def _labels(thing: Thing) -> Mapping[str, str]:
    """Those of containers are in their configuration."""
    attrs = thing.attrs
    return attrs.get("Labels") or (attrs.get("Config") or {}).get("Labels") or {}
