"""A base backup is what its manifest says: PostgreSQL's own program for that is not used here.

The wheel's `pg_verifybackup` crashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payresil.backends.embedded.replication.positions import position
from payresil.core.protocols import BackupDamaged

MANIFEST = "backup_manifest"

#: The log is not in the manifest: it is checked by reading it.
_LOG = "pg_wal"

_ALGORITHM = "SHA256"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a base backup consists of, and the part of the log that it takes to use it."""

    files: int
    size_bytes: int
    timeline: int
    start: int  # positions in the log
    stop: int


def read_manifest(folder: Path) -> Manifest:
    """What the manifest in `folder` says; its own checksum is verified, no file is.

    Raises:
        BackupDamaged: when there is none, or it was changed.
    """
    return _manifest(_content(folder))


def verify_manifest(folder: Path) -> Manifest:
    """Compare every file below `folder` with the manifest: its size and its SHA256.

    Raises:
        BackupDamaged: naming the file that is missing, changed, or not in the manifest.
    """
    content = _content(folder)
    listed: dict[str, dict[str, Any]] = {_path(entry): entry for entry in content["Files"]}
    for path, entry in listed.items():
        _verify(folder, path, entry)
    for path in _files(folder):
        if path not in listed:
            raise BackupDamaged(f"the base backup: {path} is not in its manifest")
    return _manifest(content)


def _content(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
        content: dict[str, Any] = json.loads(raw)
        told = content["Manifest-Checksum"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupDamaged(f"the base backup: {path} cannot be read: {error}") from error
    # The checksum is of all lines but the last, which holds it.
    covered = raw[: raw.rstrip(b"\n").rfind(b"\n") + 1]
    if hashlib.sha256(covered).hexdigest() != told:
        raise BackupDamaged(f"the base backup: {path} was changed: its own checksum differs")
    return content


def _manifest(content: dict[str, Any]) -> Manifest:
    first, last = content["WAL-Ranges"][-1], content["WAL-Ranges"][0]  # the newest comes first
    return Manifest(
        files=len(content["Files"]),
        size_bytes=sum(entry["Size"] for entry in content["Files"]),
        timeline=first["Timeline"],
        start=position(first["Start-LSN"]),
        stop=position(last["End-LSN"]),
    )


def _path(entry: dict[str, Any]) -> str:
    """Names that are not UTF-8 come as hexadecimal digits."""
    if "Path" in entry:
        return str(entry["Path"])
    return bytes.fromhex(entry["Encoded-Path"]).decode("utf-8", "surrogateescape")


def _verify(folder: Path, path: str, entry: dict[str, Any]) -> None:
    file = folder / path
    if not file.is_file():
        raise BackupDamaged(f"the base backup: {path} is missing")
    size = file.stat().st_size
    if size != entry["Size"]:
        raise BackupDamaged(
            f"the base backup: {path} has {size} bytes, and {entry['Size']} in the manifest"
        )
    if entry.get("Checksum-Algorithm") != _ALGORITHM:
        raise BackupDamaged(f"the base backup: the manifest has no {_ALGORITHM} of {path}")
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != entry["Checksum"]:
            raise BackupDamaged(f"the base backup: {path} was changed: its {_ALGORITHM} differs")


def _files(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*"):
        path = file.relative_to(folder)
        if not file.is_dir() and path.parts[0] != _LOG and str(path) != MANIFEST:
            yield str(path)
