"""Names of images that are built of a compose file, made of names that an image may not have."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

_HASH_DIGITS = 8

#: Of a folder's name, so that the whole stays within what an image's may have.
_FOLDER_LETTERS = 40


def images_of(file: Path) -> str:
    """How names begin of what is built of a compose file: as in every run, and of no other file."""
    path = file.resolve()
    folder = _plain(path.parent.name)[:_FOLDER_LETTERS].strip("-")
    return f"payresil-{folder or 'project'}-{_hash(str(path))}"


def slug(name: str) -> str:
    """A name as a part of an image's; names that differ stay different."""
    plain = _plain(name)
    return plain if plain == name else f"{plain or 'service'}-{_hash(name)}"


def _plain(name: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_DIGITS]
