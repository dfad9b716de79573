"""The toxics, one file each.

To add one, add a file here: a frozen dataclass that extends ``Toxic``, decorated with ``@toxic``.
Its fields are its attributes in the API, its ``pipe`` is what it does. There is no list to edit.
"""

from __future__ import annotations

import importlib
import pkgutil


def load() -> None:
    """Import every file of this folder, so that each registers its toxic."""
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        importlib.import_module(module.name)
