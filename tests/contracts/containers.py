"""What the contract suite needs of Docker itself: the tiny service as an image, and a killer."""

from __future__ import annotations

import functools
import io
import os
import tarfile
from pathlib import Path

import docker

#: The project's image plays every part: official ones may be out of reach.
OWN = os.environ.get("PAYRESIL_IMAGE") or "payresil:local"
PLAYED = ("PAYRESIL_POSTGRES_IMAGE", "PAYRESIL_CADDY_IMAGE", "PAYRESIL_TOXIPROXY_IMAGE")
OWN_PROMETHEUS = "payresil-prometheus:local"

_TAG = "payresil-tiny-service:test"


@functools.cache
def image_of(script: Path) -> str:
    """An image of the own one with a script in it, and no entry point."""
    for setting in PLAYED:
        os.environ.setdefault(setting, OWN)
    os.environ.setdefault("PAYRESIL_PROMETHEUS_IMAGE", OWN_PROMETHEUS)
    dockerfile = f"FROM {OWN}\nENTRYPOINT []\nCOPY {script.name} /{script.name}\n"
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(script, script.name)
        _add(tar, "Dockerfile", dockerfile.encode())
    context.seek(0)
    client = docker.from_env()
    client.images.build(fileobj=context, custom_context=True, tag=_TAG, rm=True)
    return _TAG


def kill(container: str) -> None:
    """End a container, as if its program had crashed."""
    docker.from_env().containers.get(container).kill()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
