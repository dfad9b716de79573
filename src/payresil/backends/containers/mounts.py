"""Which file a path in a container is, where containers share what is mounted in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from docker.models.containers import Container


def mounted_file(container: Container, path: str) -> PurePosixPath | None:
    """Where on the engine's machine the file at `path` is; None where no mount holds it."""
    wanted = PurePosixPath(path)
    holding = [
        (PurePosixPath(mount["Destination"]), source)
        for mount in container.attrs.get("Mounts") or ()
        if wanted.is_relative_to(mount["Destination"])
        and (source := _source(container, mount)) is not None
    ]
    if not holding:
        return None
    target, source = max(holding, key=lambda one: len(one[0].parts))  # it hides the others
    return source / wanted.relative_to(target)


def can_reach(container: Container, file: PurePosixPath) -> bool:
    """Whether something that is mounted in a container holds `file`, under whatever path."""
    sources = (_source(container, mount) for mount in container.attrs.get("Mounts") or ())
    return any(source is not None and file.is_relative_to(source) for source in sources)


def _source(container: Container, mount: Mapping[str, Any]) -> PurePosixPath | None:
    """What is mounted; None for memory, which nobody else sees."""
    source = mount.get("Source") or mount.get("Name")  # some drivers of volumes tell no folder
    if not source or mount.get("Type") == "tmpfs":
        return None
    return PurePosixPath(source) / _subpath(container, mount["Destination"])


def _subpath(container: Container, target: str) -> str:
    """The folder of a volume that is mounted in its place, which `Mounts` does not tell."""
    for asked in (container.attrs.get("HostConfig") or {}).get("Mounts") or ():
        if asked.get("Target") == target:
            return str((asked.get("VolumeOptions") or {}).get("Subpath") or "")
    return ""
