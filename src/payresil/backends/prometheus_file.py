"""What a Prometheus of a run's own is told, be it a process or a container."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import yaml

from payresil.core.topology import Node

_EVERY = "1s"
#: Longer than any run; what it keeps is removed after it.
_RETENTION = "2d"


def options(config: PurePath, data: PurePath, listen: str) -> tuple[str, ...]:
    """Its command line: the file of its configuration, where it keeps samples, ``host:port``."""
    return (
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={_RETENTION}",
        f"--web.listen-address={listen}",
        "--log.level=warn",
    )


def configuration(targets: Mapping[str, str], rules: PurePath | None) -> str:
    """Scrape every node once a second, past the links, under its name as the label ``node``.

    `targets` is node → URL of its metrics; `rules` a file of recording and alert rules.
    """
    content = {
        "global": {
            "scrape_interval": _EVERY,
            "scrape_timeout": _EVERY,
            "evaluation_interval": _EVERY,
        },
        "rule_files": [] if rules is None else [str(rules)],
        "scrape_configs": [
            {"job_name": role, "static_configs": targets_of}
            for role, targets_of in _by_role(targets).items()
        ],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _by_role(targets: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for node, url in targets.items():
        parts = urlsplit(url)
        labels = {
            "node": node,
            "__scheme__": parts.scheme,
            "__metrics_path__": parts.path or "/",
        }
        jobs = found.setdefault(Node.parse(node).role, [])
        jobs.append({"targets": [parts.netloc], "labels": labels})
    return found
