"""What the tests of the image and the stack share.

Those marked `docker` need a Docker engine, docker-compose and Prometheus' programs, and take
minutes: they run when asked for, with ``-m docker``, and then fail where any of that is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "containers"
STACK = CONTAINERS / "stack"

# The image's programs are scripts beside each other, as they are in the image.
sys.path.append(str(CONTAINERS / "image"))

#: Generous: it bounds how long a failing test takes, and nothing else.
PATIENCE_S = 120.0


@pytest.fixture(scope="session")
def stack_file() -> dict[str, Any]:
    """``docker-compose.yml`` as it is written, variables and all."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


@pytest.fixture(scope="session")
def links() -> list[dict[str, Any]]:
    """The stack's links, as Toxiproxy reads them."""
    content: list[dict[str, Any]] = json.loads((STACK / "links.json").read_text())
    return content


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Run a program of this machine; what it printed."""

    def call(*argv: str, **options: Any) -> str:
        assert shutil.which(argv[0]), f"{argv[0]} is missing: see .ci/run for what to install"
        done = subprocess.run(
            argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )
        assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}"
        return done.stdout

    return call


@pytest.fixture(scope="session")
def dashboard() -> dict[str, Any]:
    """Grafana's dashboard."""
    file = STACK / "grafana" / "dashboards" / "payments.json"
    content: dict[str, Any] = json.loads(file.read_text())
    return content


@pytest.fixture(scope="session")
def queries(dashboard: dict[str, Any]) -> list[str]:
    """Every query of the dashboard, with Grafana's own variable filled in."""
    panels = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    ]
    annotations = [one["expr"] for one in dashboard["annotations"]["list"]]
    return [query.replace("$__rate_interval", "10s") for query in panels + annotations]


@pytest.fixture(scope="session")
def image(run: Callable[..., str]) -> str:
    """The project's image: the one that PAYRESIL_IMAGE names, else built now."""
    named = os.environ.get("PAYRESIL_IMAGE")
    if not named:
        run("containers/build.sh")
    return named or "payresil:local"


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something holds that no event tells of."""

    def wait(holds: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline_s, "it never came to hold"
            time.sleep(0.2)

    return wait
