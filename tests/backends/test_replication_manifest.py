"""A base backup is what its manifest says, or the file that is not is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payresil.backends.embedded.replication.manifest import (
    MANIFEST,
    read_manifest,
    verify_manifest,
)
from payresil.core.protocols import BackupDamaged

_CONTENTS = {"PG_VERSION": b"18\n", "base/5/1259": bytes(8192), "base/5/112": b""}


def write_backup(folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """A backup made by hand; `change` is made to its manifest before that gets its checksum."""
    content: dict[str, Any] = {"PostgreSQL-Backup-Manifest-Version": 2, "Files": []}
    for path, data in _CONTENTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        checksum = hashlib.sha256(data).hexdigest()
        entry = {"Path": path, "Size": len(data), "Checksum-Algorithm": "SHA256"}
        content["Files"].append({**entry, "Checksum": checksum})
    content["WAL-Ranges"] = [{"Timeline": 1, "Start-LSN": "0/28", "End-LSN": "1/0"}]
    change(content)
    text = json.dumps(content)[:-1] + ",\n"
    checksum = hashlib.sha256(text.encode()).hexdigest()
    (folder / MANIFEST).write_text(f'{text}"Manifest-Checksum": "{checksum}"}}\n')


def test_one_that_agrees(tmp_path: Path) -> None:
    write_backup(tmp_path)
    (tmp_path / "pg_wal/archive_status").mkdir(parents=True)
    (tmp_path / "pg_wal/000000010000000000000001").touch()  # the log is not in the manifest
    manifest = verify_manifest(tmp_path)
    assert (manifest.files, manifest.size_bytes) == (3, 8195)
    assert (manifest.timeline, manifest.start, manifest.stop) == (1, 0x28, 2**32)
    assert read_manifest(tmp_path) == manifest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(at=st.integers(0, 8191), value=st.integers(1, 255))
def test_any_byte_that_was_changed_is_noticed(tmp_path: Path, at: int, value: int) -> None:
    write_backup(tmp_path)
    file = tmp_path / "base/5/1259"
    data = bytearray(file.read_bytes())
    data[at] ^= value
    file.write_bytes(data)
    with pytest.raises(BackupDamaged, match="base/5/1259 was changed: its SHA256 differs"):
        verify_manifest(tmp_path)


def test_a_file_that_was_cut_short_is_named(tmp_path: Path) -> None:
    write_backup(tmp_path)
    (tmp_path / "base/5/1259").write_bytes(bytes(4096))
    with pytest.raises(BackupDamaged, match="base/5/1259 has 4096 bytes, and 8192 in the"):
        verify_manifest(tmp_path)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    write_backup(tmp_path)
    (tmp_path / "base/5/112").unlink()
    with pytest.raises(BackupDamaged, match="base/5/112 is missing"):
        verify_manifest(tmp_path)


@pytest.mark.parametrize("path", ["base/5/1260", "recovery.signal", "base/backup_manifest"])
def test_a_file_too_many_is_named(tmp_path: Path, path: str) -> None:
    write_backup(tmp_path)
    (tmp_path / path).touch()
    with pytest.raises(BackupDamaged, match=f"{path} is not in its manifest"):
        verify_manifest(tmp_path)


def test_a_manifest_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    write_backup(tmp_path)
    manifest = tmp_path / MANIFEST
    manifest.write_text(manifest.read_text().replace("8192", "8193"))
    for read in (read_manifest, verify_manifest):
        with pytest.raises(BackupDamaged, match="was changed: its own checksum differs"):
            read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", None])
def test_a_manifest_that_is_none_is_told(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(BackupDamaged, match="backup_manifest cannot be read"):
        verify_manifest(tmp_path)


def test_a_weaker_checksum_does_not_do(tmp_path: Path) -> None:
    def weaken(content: dict[str, Any]) -> None:
        content["Files"][1]["Checksum-Algorithm"] = "CRC32C"

    write_backup(tmp_path, weaken)
    with pytest.raises(BackupDamaged, match="the manifest has no SHA256 of base/5/1259"):
        verify_manifest(tmp_path)


def test_a_name_that_is_not_utf8_comes_in_hexadecimal_digits(tmp_path: Path) -> None:
    def encode(content: dict[str, Any]) -> None:
        entry = content["Files"][0]
        entry["Encoded-Path"] = entry.pop("Path").encode().hex()

    write_backup(tmp_path, encode)
    assert verify_manifest(tmp_path).files == 3
